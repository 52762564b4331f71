//! Runs the samplers and makes the page.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use crate::config::{UnitMap, Uplink};
use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::process::Process;
use crate::sampler::systemd::Systemd;
use crate::sampler::{SampleError, cpu, filesystem, load, memory, network, os, time, uname};
use crate::{VERSION, log};

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

/// Collects pages, one at a time.
#[derive(Debug)]
pub struct Collector {
    root: Root,
    uplink: Uplink,
    systemd: Systemd,
    process: Process,
    /// The samplers that failed last time, with the reason: a failure is logged when it comes, when its
    /// reason changes and when it goes, not every two minutes.
    failing: BTreeMap<&'static str, String>,
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
    pub async fn collect(&mut self) -> String {
        let mut page = Page::new();
        let mut outcomes = Vec::with_capacity(10);

        let (started, mark) = (Instant::now(), page.mark());
        let result = self.systemd.sample(&mut page).await;
        outcomes.push(finish("systemd", started, result, mark, &mut page, &mut self.failing));

        let root = &self.root;
        let uplink = &self.uplink;
        let process = &self.process;
        type Sample<'a> = &'a dyn Fn(&mut Page) -> Result<(), SampleError>;
        let samplers: [(&'static str, Sample<'_>); 9] = [
            ("cpu", &|page| cpu::sample(root, page)),
            ("memory", &|page| memory::sample(root, page)),
            ("load", &|page| load::sample(root, page)),
            ("network", &|page| network::sample(root, uplink, page)),
            ("filesystem", &|page| filesystem::sample(root, page)),
            ("uname", &|page| {
                uname::sample(page);
                Ok(())
            }),
            ("os", &|page| os::sample(root, page)),
            ("time", &time::sample),
            ("process", &|page| process.sample(page)),
        ];
        for (name, sample) in samplers {
            let (started, mark) = (Instant::now(), page.mark());
            let result = sample(&mut page);
            outcomes.push(finish(name, started, result, mark, &mut page, &mut self.failing));
        }
        report(&outcomes, &mut page);
        page.into_text()
    }
}

/// Ends one sampler's turn: a failed one leaves no half-written families behind.
fn finish(
    sampler: &'static str,
    started: Instant,
    result: Result<(), SampleError>,
    mark: crate::page::Mark,
    page: &mut Page,
    failing: &mut BTreeMap<&'static str, String>,
) -> Outcome {
    let seconds = started.elapsed().as_secs_f64();
    let success = result.is_ok();
    match result {
        Ok(()) => {
            if failing.remove(sampler).is_some() {
                log::line(format_args!("sampler {sampler} works again"));
            }
        }
        Err(error) => {
            page.rewind(mark);
            let reason = error.to_string();
            if failing.get(sampler) != Some(&reason) {
                log::line(format_args!("sampler {sampler} failed: {reason}"));
                failing.insert(sampler, reason);
            }
        }
    }
    Outcome { sampler, success, seconds }
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
