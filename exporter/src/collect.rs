//! Runs the samplers and makes the page.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use crate::VERSION;
use crate::config::{UnitMap, Uplink};
use crate::page::{Kind, Mark, Page};
use crate::root::Root;
use crate::sampler::process::Process;
use crate::sampler::systemd::Systemd;
use crate::sampler::{SampleError, cpu, filesystem, load, memory, network, os, time, uname};

/// What to collect, and from where.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where `proc`, `sys` and `etc` are.
    pub root: Root,
    /// Socket of the system bus, or an address that could not be understood.
    pub bus: Result<PathBuf, String>,
    /// Units to ask systemd for.
    pub services: UnitMap,
    /// What is configured about the uplink.
    pub uplink: Uplink,
}

/// A page, and what an operator should hear about it.
#[derive(Debug)]
pub struct Collected {
    /// The text of the page.
    pub page: String,
    /// Lines for the log: samplers that began to fail, fail for another reason, or work again.
    pub notices: Vec<String>,
}

/// Collects pages, one at a time.
#[derive(Debug)]
pub struct Collector {
    root: Root,
    uplink: Uplink,
    systemd: Systemd,
    process: Process,
    /// The samplers that failed last time, with the reason: a failure is told when it comes, when its
    /// reason changes and when it goes, not every two minutes.
    failing: BTreeMap<&'static str, String>,
}

/// A page in the making.
struct Draft<'a> {
    page: Page,
    outcomes: Vec<Outcome>,
    notices: Vec<String>,
    failing: &'a mut BTreeMap<&'static str, String>,
}

/// How one sampler did.
struct Outcome {
    sampler: &'static str,
    success: bool,
    seconds: f64,
}

impl Collector {
    /// Prepares; nothing is read yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            root: setup.root,
            uplink: setup.uplink,
            systemd: Systemd::new(setup.bus, setup.services),
            process: Process::starting_now(),
            failing: BTreeMap::new(),
        }
    }

    /// Collects one page. Never fails as a whole: each sampler says for itself whether it worked.
    ///
    /// Files are read where they stand, without a thread pool: `/proc` answers from memory in
    /// microseconds. Only systemd is waited for.
    pub async fn collect(&mut self) -> Collected {
        let mut draft = Draft {
            page: Page::new(),
            outcomes: Vec::with_capacity(10),
            notices: Vec::new(),
            failing: &mut self.failing,
        };
        let (started, mark) = (Instant::now(), draft.page.mark());
        let result = self.systemd.sample(&mut draft.page).await;
        draft.finish("systemd", started, mark, result);

        let (root, uplink, process) = (&self.root, &self.uplink, &self.process);
        draft.run("cpu", |page| cpu::sample(root, page));
        draft.run("memory", |page| memory::sample(root, page));
        draft.run("load", |page| load::sample(root, page));
        draft.run("network", |page| network::sample(root, uplink, page));
        draft.run("filesystem", |page| filesystem::sample(root, page));
        draft.run("uname", uname::sample);
        draft.run("os", |page| os::sample(root, page));
        draft.run("time", time::sample);
        draft.run("process", |page| process.sample(page));
        report(&draft.outcomes, &mut draft.page);
        Collected { page: draft.page.into_text(), notices: draft.notices }
    }
}

impl Draft<'_> {
    fn run(&mut self, sampler: &'static str, sample: impl FnOnce(&mut Page) -> Result<(), SampleError>) {
        let (started, mark) = (Instant::now(), self.page.mark());
        let result = sample(&mut self.page);
        self.finish(sampler, started, mark, result);
    }

    /// Ends one sampler's turn: a failed one leaves no half-written families behind.
    fn finish(&mut self, sampler: &'static str, started: Instant, mark: Mark, result: Result<(), SampleError>) {
        let seconds = started.elapsed().as_secs_f64();
        self.outcomes.push(Outcome { sampler, success: result.is_ok(), seconds });
        let Err(error) = result else {
            if self.failing.remove(sampler).is_some() {
                self.notices.push(format!("sampler {sampler} works again"));
            }
            return;
        };
        self.page.rewind(mark);
        let reason = error.to_string();
        if self.failing.get(sampler) != Some(&reason) {
            self.notices.push(format!("sampler {sampler} failed: {reason}"));
            self.failing.insert(sampler, reason);
        }
    }
}

/// Writes what is said about the exporter itself.
fn report(outcomes: &[Outcome], page: &mut Page) {
    let mut family = page.family(
        "vpn_exporter_sampler_success",
        Kind::Gauge,
        "Whether the sampler could read its source for this page.",
    );
    for outcome in outcomes {
        family.sample(&[("sampler", outcome.sampler)], outcome.success);
    }
    let mut family =
        page.family("vpn_exporter_sampler_duration_seconds", Kind::Gauge, "How long the sampler took for this page.");
    for outcome in outcomes {
        family.sample(&[("sampler", outcome.sampler)], outcome.seconds);
    }
    page.family("vpn_exporter_build_info", Kind::Gauge, "Version of the exporter; always 1.")
        .sample(&[("arch", std::env::consts::ARCH), ("version", VERSION)], 1u64);
}
