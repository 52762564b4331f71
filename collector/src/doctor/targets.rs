//! A few targets: does their page come from here, and is it one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mect_fleet::Timestamp;

use super::{Finding, Site};
use crate::config::Config;
use crate::discovery::Candidate;
use crate::scrape::{Accesses, Limits, Scraper, instant};
use crate::{config, parse};

const CHECK: &str = "targets";
/// Targets that are asked.
const ASKED: usize = 5;
/// Failures that are named.
const NAMED: usize = 3;

/// What one target answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Host and port.
    pub(super) address: String,
    /// Samples on its page, or why there are none.
    samples: Result<usize, String>,
    /// What it says the time is.
    pub(super) date: Option<Timestamp>,
    /// When the head of its answer came.
    pub(super) at: Timestamp,
    took: Duration,
}

/// Scrapes a few targets from all over the list.
pub(super) async fn ask(config: &Config, candidates: &[Candidate]) -> Vec<Answer> {
    // What is wrong with the configuration, that check says itself.
    let Ok(accesses) = Accesses::open(&config.access, config.secrets.agent_api_key.as_ref()) else { return Vec::new() };
    let scraper = Scraper::new(Limits::from(&config.scrape), false, accesses, Arc::new(config.target_policy()));
    let step = candidates.len().div_ceil(ASKED).max(1);
    join_all(candidates.iter().step_by(step).map(|candidate| ask_one(&scraper, &config.scrape, candidate))).await
}

async fn ask_one(scraper: &Scraper, settings: &config::Scrape, candidate: &Candidate) -> Answer {
    let (started, now) = (Instant::now(), Timestamp::now());
    let scraped = scraper.scrape(&candidate.page(), candidate.labels.fallback_format, &mut None).await;
    let (at, date) = scraped.as_ref().map_or((now, None), |page| {
        let date = page.date.as_ref().and_then(|date| instant(date.to_str().ok()?));
        (now + page.answered_at.duration_since(started), date)
    });
    let limits = parse::Limits { samples: settings.max_samples, ..parse::Limits::default() };
    let samples = scraped.map_err(|failure| failure.to_string()).and_then(|page| {
        parse::page(&page.bytes, page.format, &limits)
            .map(|page| page.samples().len())
            .map_err(|error| error.to_string())
    });
    Answer { address: candidate.endpoint.authority(), samples, date, at, took: started.elapsed() }
}

pub(super) fn check(site: &Site) -> Finding {
    judge(site.candidates.len(), &site.answers)
}

fn judge(targets: usize, answers: &[Answer]) -> Finding {
    let failures = answers.iter().filter_map(|answer| Some((&answer.address, answer.samples.as_ref().err()?)));
    let failures: Vec<_> = failures.map(|(address, why)| format!("{address} ({why})")).collect();
    let named = failures[..failures.len().min(NAMED)].join(", ");
    let slowest = answers.iter().map(|answer| answer.took).max().unwrap_or_default();
    match (answers.len(), failures.len()) {
        (0, _) => Finding::ok(CHECK, "none to ask"),
        (asked, 0) => Finding::ok(
            CHECK,
            format!("{asked} of {targets} were asked and show their page, the slowest in {} ms", slowest.as_millis()),
        ),
        (asked, failed) if failed < asked => Finding::warning(
            CHECK,
            format!("{failed} of {asked} asked show no page: {named}"),
            "see whether these hosts are up",
        ),
        (asked, _) => Finding::problem(
            CHECK,
            format!("none of {asked} asked shows its page: {named}"),
            "see that this machine reaches them, that the exporter listens there, and that AGENT_API_KEY is right",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Ok as Fine, Problem, Warning};
    use super::*;

    fn answer(samples: Result<usize, String>) -> Answer {
        let (at, took) = (Timestamp::default(), Duration::from_millis(3));
        Answer { address: "192.0.2.1:9776".into(), samples, date: None, at, took }
    }

    #[test]
    fn none_at_all_is_worse_than_some() {
        let (good, bad) = (answer(Ok(90)), answer(Err("connection refused".into())));
        assert_eq!(judge(0, &[]).verdict, Fine);
        assert_eq!(judge(9, &[good.clone(), good.clone()]).verdict, Fine);
        assert_eq!(judge(9, &[good, bad.clone()]).verdict, Warning);
        let none = judge(9, &[bad.clone(), bad]);
        assert!(none.verdict == Problem && none.text.contains("connection refused"), "{none}");
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(instant("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_secs(784_111_777)));
        assert_eq!(instant("yesterday"), None);
    }
}
