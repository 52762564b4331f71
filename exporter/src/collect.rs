//! Runs the samplers and makes the page.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::VERSION;
use crate::config::{PerPeer, Service, UnitMap, Uplink};
use crate::exposition::Exposition;
use crate::host;
use crate::page::{Kind, Mark, Page};
use crate::root::Root;
use crate::sampler::process::Process;
use crate::sampler::systemd::Systemd;
use crate::sampler::{
    SampleError, certificate, cpu, filesystem, load, memory, netstat, network, os, pressure, time, uname,
};
use crate::vpn::{Seen, Vpn, render};

/// Longest wait for systemd, and for the services together, per page. Both answer in milliseconds; when one
/// hangs, the page comes without it rather than not at all.
pub const BUDGET: Duration = Duration::from_millis(500);

/// The samplers of the services, by their names on the page.
const SERVICES: [(&str, Service); 4] =
    [("wireguard", Service::Wg), ("openvpn", Service::Ov), ("squid", Service::Sq), ("xray", Service::Vr)];

/// All samplers, as `collect[]` may name them.
pub const SAMPLERS: [&str; 18] = [
    "systemd",
    "cpu",
    "memory",
    "load",
    "pressure",
    "network",
    "netstat",
    "filesystem",
    "uname",
    "os",
    "time",
    "process",
    "wireguard",
    "openvpn",
    "squid",
    "xray",
    "services",
    "certificate",
];

/// Samplers that have no source which could be missing: whether they worked is not worth a series.
const CANNOT_FAIL: [&str; 4] = ["uname", "time", "process", "services"];

/// Samplers that wait for others, so that their time says something. `services` waits for all of them
/// together; those that only read files take microseconds.
const WAIT: [&str; 2] = ["systemd", "services"];

/// Under this name stands what the exporter says of itself, which is on every page.
pub const ITSELF: &str = "exporter";

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
    /// PEM files whose expiry is shown.
    pub certificates: Vec<PathBuf>,
    /// Whether single peers are shown.
    pub per_peer: PerPeer,
    /// How long data counts as moving after it last did.
    pub data_window: Duration,
}

/// A page, and what an operator should hear about it.
#[derive(Debug)]
pub struct Collected {
    /// The page.
    pub page: Exposition,
    /// Lines for the log: samplers that began to fail, fail for another reason, or work again.
    pub notices: Vec<String>,
    /// How each sampler did.
    pub outcomes: Vec<Outcome>,
    /// What was seen of the services.
    pub services: Vec<Seen>,
}

/// How one sampler did.
#[derive(Debug)]
pub struct Outcome {
    /// Its name on the page.
    pub sampler: &'static str,
    /// Why it failed.
    pub error: Option<SampleError>,
    /// How long it took.
    pub seconds: f64,
}

/// Collects pages, one at a time.
#[derive(Debug)]
pub struct Collector {
    root: Root,
    uplink: Uplink,
    certificates: Vec<PathBuf>,
    per_peer: PerPeer,
    systemd: Systemd,
    vpn: Vpn,
    process: Process,
    /// The samplers that failed last time, with the reason: a failure is told when it comes, when its
    /// reason changes and when it goes, not every two minutes.
    failing: BTreeMap<&'static str, String>,
}

/// A page in the making.
struct Draft<'a> {
    page: Page,
    /// Where each sampler's part ends.
    parts: Vec<(&'static str, usize)>,
    outcomes: Vec<Outcome>,
    notices: Vec<String>,
    failing: &'a mut BTreeMap<&'static str, String>,
}

impl Collector {
    /// Prepares; nothing is read yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            systemd: Systemd::new(setup.bus, setup.services),
            vpn: Vpn::new(setup.root.clone(), setup.data_window),
            root: setup.root,
            uplink: setup.uplink,
            certificates: setup.certificates,
            per_peer: setup.per_peer,
            process: Process::starting_now(),
            failing: BTreeMap::new(),
        }
    }

    /// Collects one page. Never fails as a whole: each sampler says for itself whether it worked.
    ///
    /// Files are read where they stand, without a thread pool: `/proc` answers from memory in
    /// microseconds. Only systemd and the services are waited for, each for at most `budget`.
    pub async fn collect(&mut self, budget: Duration) -> Collected {
        let mut draft = Draft {
            page: Page::new(),
            parts: Vec::with_capacity(SAMPLERS.len() + 1),
            outcomes: Vec::with_capacity(SAMPLERS.len()),
            notices: Vec::new(),
            failing: &mut self.failing,
        };
        let (started, mark) = (Instant::now(), draft.page.mark());
        let result = self.systemd.sample(budget, &mut draft.page).await;
        let (rows, result) = result.map_or_else(|error| (Vec::new(), Err(error)), |rows| (rows, Ok(())));
        draft.finish("systemd", started.elapsed().as_secs_f64(), mark, result);

        let (root, uplink, process) = (&self.root, &self.uplink, &self.process);
        draft.run("cpu", |page| cpu::sample(root, page));
        draft.run("memory", |page| memory::sample(root, page));
        draft.run("load", |page| load::sample(root, page));
        draft.run("pressure", |page| pressure::sample(root, page));
        draft.run("network", |page| network::sample(root, uplink, page));
        draft.run("netstat", |page| netstat::sample(root, page));
        draft.run("filesystem", |page| filesystem::sample(root, page));
        draft.run("uname", uname::sample);
        draft.run("os", |page| os::sample(root, page));
        draft.run("time", time::sample);
        draft.run("process", |page| process.sample(page));

        let started = Instant::now();
        let mut seen = self.vpn.look(&rows, budget).await;
        let waited = started.elapsed();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        for (sampler, service) in SERVICES {
            draft.service(sampler, service, &mut seen, now);
        }
        if !seen.is_empty() {
            let mark = draft.page.mark();
            render::render(&seen, self.per_peer, root, &mut draft.page);
            draft.finish("services", waited.as_secs_f64(), mark, Ok(()));
        }
        if !self.certificates.is_empty() {
            draft.partial("certificate", |page| certificate::sample(root, &self.certificates, page));
        }
        report(&draft.outcomes, &host::id(root).unwrap_or_default(), &mut draft.page);
        draft.parts.push((ITSELF, draft.page.len()));
        Collected {
            page: Exposition::new(draft.page.into_text(), draft.parts),
            notices: draft.notices,
            outcomes: draft.outcomes,
            services: seen,
        }
    }
}

impl Draft<'_> {
    fn run(&mut self, sampler: &'static str, sample: impl FnOnce(&mut Page) -> Result<(), SampleError>) {
        let (started, mark) = (Instant::now(), self.page.mark());
        let result = sample(&mut self.page);
        self.finish(sampler, started.elapsed().as_secs_f64(), mark, result);
    }

    /// As [`Draft::run`], for a sampler that keeps what it has in spite of a failure.
    fn partial(&mut self, sampler: &'static str, sample: impl FnOnce(&mut Page) -> Result<(), SampleError>) {
        let started = Instant::now();
        let result = sample(&mut self.page);
        let mark = self.page.mark();
        self.finish(sampler, started.elapsed().as_secs_f64(), mark, result);
    }

    /// One kind of service, if the host has it. Several instances fail together: the first reason is told.
    fn service(&mut self, sampler: &'static str, service: Service, seen: &mut [Seen], now: u64) {
        let of_kind = || seen.iter().filter(|seen| seen.instance.service == service);
        if of_kind().next().is_none() {
            return;
        }
        let seconds = of_kind().map(|seen| seen.seconds).fold(0.0, f64::max);
        render::render_service(service, seen, now, &mut self.page);
        let mark = self.page.mark();
        let mut problems = seen.iter_mut().filter(|seen| seen.instance.service == service);
        let result = problems.find_map(|seen| seen.reading.problem.take()).map_or(Ok(()), Err);
        self.finish(sampler, seconds, mark, result);
    }

    /// Ends one sampler's turn: a failed one leaves no half-written families behind.
    fn finish(&mut self, sampler: &'static str, seconds: f64, mark: Mark, result: Result<(), SampleError>) {
        match &result {
            Ok(()) => {
                if self.failing.remove(sampler).is_some() {
                    self.notices.push(format!("sampler {sampler} works again"));
                }
            }
            Err(error) => {
                self.page.rewind(mark);
                let reason = error.to_string();
                if self.failing.get(sampler) != Some(&reason) {
                    self.notices.push(format!("sampler {sampler} failed: {reason}"));
                    self.failing.insert(sampler, reason);
                }
            }
        }
        self.parts.push((sampler, self.page.len()));
        self.outcomes.push(Outcome { sampler, error: result.err(), seconds });
    }
}

/// Writes what is said about the exporter itself.
fn report(outcomes: &[Outcome], host: &str, page: &mut Page) {
    let mut family = page.family(
        "vpn_exporter_sampler_success",
        Kind::Gauge,
        "Whether the sampler could read its source for this page.",
    );
    for outcome in outcomes.iter().filter(|outcome| !CANNOT_FAIL.contains(&outcome.sampler)) {
        family.sample(&[("sampler", outcome.sampler)], outcome.error.is_none());
    }
    let mut family = page.family(
        "vpn_exporter_sampler_duration_seconds",
        Kind::Gauge,
        "How long the sampler waited for others to answer.",
    );
    for outcome in outcomes.iter().filter(|outcome| WAIT.contains(&outcome.sampler)) {
        family.sample(&[("sampler", outcome.sampler)], outcome.seconds);
    }
    // A label, not a series of its own: a page may have so many only.
    let labels = [("arch", std::env::consts::ARCH), ("host_id", host), ("version", VERSION)];
    page.family(
        "vpn_exporter_build_info",
        Kind::Gauge,
        "Version of the exporter, and which host it runs on; always 1.",
    )
    .sample(&labels, 1u64);
}
