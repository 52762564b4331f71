//! Scrapes the endpoints of one target from the shell, and shows what the collector would see there.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use http::StatusCode;
use mect_fleet::{Failure, FailureReason, Reading, ScrapeTarget, TargetPolicy};
use mect_web::Secret;

use crate::config;
use crate::parse::{self, Format};
use crate::reading::{self, Gather};
use crate::scrape::{Accesses, Connection, Limits, Page, Scraper};

/// More than any key.
const MAX_KEY_BYTES: u64 = 4096;

/// What to scrape, and how.
pub struct Options {
    /// The target with its endpoints, and whether it may see the key over a connection that is not encrypted.
    pub target: ScrapeTarget,
    /// From connecting to the last byte.
    pub timeout: Duration,
    /// What the page is in if it does not say so.
    pub fallback: Option<Format>,
    /// The agent key.
    pub key: Option<Secret>,
    /// The accesses of which the target may name one.
    pub accesses: Vec<config::Access>,
    /// From the first scrape to the second, which shows rates; `None` for one scrape.
    pub pause: Option<Duration>,
}

/// Reads a key from the first line of a file.
///
/// # Errors
/// The file cannot be read, or has no key.
pub fn key(file: &Path) -> anyhow::Result<Secret> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_KEY_BYTES).read_to_string(&mut text))
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let key = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!key.is_empty(), "{}: the first line, where the key should stand, is empty", file.display());
    Ok(Secret::new(key))
}

/// Scrapes the target once, or twice where rates are wanted. Prints what it says to `out`, and to `progress` what it
/// waits for.
///
/// # Errors
/// The scrape failed: its reason and what was seen.
pub fn show(options: &Options, mut out: impl Write, mut progress: impl Write) -> anyhow::Result<()> {
    let settings = config::Scrape::default();
    let limits = Limits { timeout: options.timeout, ..Limits::from(&settings) };
    let accesses = Accesses::open(&options.accesses, options.key.as_ref())?;
    // Who sits at the shell may ask whom they like.
    let scraper = Scraper::new(limits, true, accesses, Arc::new(TargetPolicy::for_operators()));
    let page_limits = parse::Limits { samples: settings.max_samples, ..parse::Limits::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut kept: Vec<Option<Connection>> = options.target.pages().map(|_| None).collect();
        let way = Way { options, scraper: &scraper, page_limits: &page_limits };
        let (gathered, at) = way.go(&mut kept, Some(&mut out)).await?;
        let (mut reading, counters) = gathered.finish(at, None, None);
        if let Some(pause) = options.pause {
            writeln!(progress, "second scrape in {} s, for rates …", pause.as_secs_f64())?;
            tokio::time::sleep(pause).await;
            let (gathered, at) = way.go(&mut kept, None::<&mut Vec<u8>>).await?;
            (reading, _) = gathered.finish(at, Some(&counters), None);
        }
        Ok(write!(out, "{}", Shown(&reading))?)
    })
}

/// How the pages are got.
struct Way<'a> {
    options: &'a Options,
    scraper: &'a Scraper,
    page_limits: &'a parse::Limits,
}

impl Way<'_> {
    /// Scrapes every page once, one after the other, and says to `out` what was seen of each. Returns what they say
    /// together, and when that was answered which counts.
    async fn go(
        &self,
        kept: &mut [Option<Connection>],
        mut out: Option<&mut impl Write>,
    ) -> anyhow::Result<(Gather, Instant)> {
        let mut all: Option<(Gather, Instant)> = None;
        for ((target, kept), place) in self.options.target.pages().zip(kept).zip(0..) {
            // As the collector has it for further endpoints.
            let fallback = self.options.fallback.or((place > 0).then_some(Format::Text));
            let failed = |failure: Failure| told(self.options, target, &failure);
            let started = Instant::now();
            let page = self.scraper.scrape(target, fallback, kept).await.map_err(failed)?;
            let ended = Instant::now();
            if let Some(out) = &mut out {
                writeln!(out, "{}\n{}", target.endpoint, exchange(&page, started, ended))?;
            }
            let parsed = reading::parsed(&page, self.page_limits).map_err(failed)?;
            if let Some(out) = &mut out {
                writeln!(out, "  samples   {} in {} families", parsed.samples().len(), parsed.families().len())?;
            }
            let one = reading::gathered(&parsed, || page.clock()).map_err(failed)?;
            all = Some(match all {
                None => (one, page.answered_at),
                Some((mut all, at)) => {
                    let at = if !all.has_counters() && one.has_counters() { page.answered_at } else { at };
                    all.join(one);
                    (all, at)
                }
            });
        }
        all.context("no page is named")
    }
}

/// The error for a person: the reason by its name, as metrics and REST have it, and its sentence.
fn told(options: &Options, target: &ScrapeTarget, failure: &Failure) -> anyhow::Error {
    let hint = match failure.reason {
        FailureReason::Auth if target.access.is_some() => "",
        FailureReason::Auth if options.key.is_none() => "; give the key with --key-file FILE or AGENT_API_KEY",
        FailureReason::Auth if !target.insecure_credentials => {
            "; the key is shown only over loopback, and elsewhere with --insecure-credentials"
        }
        FailureReason::ContentType if options.fallback.is_none() => {
            "; --format says what the page is in, as `fallback_format` does for a target"
        }
        _ => "",
    };
    anyhow::anyhow!("{}: {failure} ({}){hint}", target.endpoint, failure.reason)
}

/// What was seen of the exchange.
fn exchange(page: &Page, started: Instant, ended: Instant) -> String {
    let content_type = page.content_type.as_ref().map_or_else(
        || "no content type".to_owned(),
        |value| String::from_utf8_lossy(value.as_bytes()).escape_debug().to_string(),
    );
    let after = |at: Instant| format!("{:.1} ms", at.saturating_duration_since(started).as_secs_f64() * 1e3);
    format!(
        "  status    {}\n  type      {content_type}, read as {}\n  time      connected after {}, first byte after {}, \
         all after {}\n  size      {} bytes, {} on the wire",
        // Any other one is a failure.
        StatusCode::OK,
        page.format,
        after(page.connected_at),
        after(page.answered_at),
        after(ended),
        page.bytes.len(),
        page.wire_bytes
    )
}

/// A reading, a line for each thing.
struct Shown<'a>(&'a Reading);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Reading { cpu, ram, net, sessions, services, .. } = self.0;
        let share = |ratio: Option<f32>| ratio.map_or("unknown".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0));
        let mut rates = String::new();
        if let (Some(receive), Some(transmit)) = (self.0.receive_bytes_per_second, self.0.transmit_bytes_per_second) {
            write!(rates, ", {receive:.0} bytes/s in, {transmit:.0} bytes/s out")?;
        }
        writeln!(f, "  cpu       {}\n  ram       {}\n  net       {}{rates}", share(*cpu), share(*ram), share(*net))?;
        writeln!(f, "  sessions  {}", sessions.map_or("unknown".to_owned(), |sessions| sessions.to_string()))?;
        let state = |active| if active { "active" } else { "inactive" };
        for unit in services {
            writeln!(f, "  service   {} {} {}", unit.service.name(), unit.unit.escape_debug(), state(unit.active))?;
        }
        match (services.is_empty(), self.0.services_unknown) {
            (true, true) => writeln!(f, "  services  unknown: the exporter could not ask for its units"),
            (true, false) => writeln!(f, "  services  none"),
            (false, _) => Ok(()),
        }
    }
}
