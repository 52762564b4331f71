//! `doctor`: looks at everything a collector needs, and says what is wrong and what to do. Changes nothing.
//!
//! One file per check. Each gathers facts and hands them to a pure `judge`, which is what its tests are about.

use std::fmt;

use mect_fleet::store::StoreError;
use mect_fleet::store::mongo::{self, Inspection};
use serde::Serialize;

use crate::config::{Config, Variables};
use crate::control::{self, AskError, Status};
use crate::discovery::{Candidate, Discovery};
use crate::run;

mod canaries;
mod clock;
mod configuration;
mod database;
mod directory;
mod disk;
mod finding;
mod lists;
mod open_files;
mod permissions;
mod redis;
mod targets;

pub use finding::{Finding, Verdict};

/// What a doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of all.
    pub verdict: Verdict,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

/// What the checks look at.
struct Site {
    config: Config,
    variables: Variables,
    /// What the configuration, its target files and its lists name.
    candidates: Vec<Candidate>,
    /// The lists by name, each with the number of its targets or why it cannot be used.
    lists: Vec<(String, Result<usize, String>)>,
    /// What the collector that runs here says of itself.
    running: Result<Status, AskError>,
    /// What the database is like, where one is named.
    database: Option<Result<Inspection, StoreError>>,
    /// What some of the targets answered.
    answers: Vec<targets::Answer>,
}

/// Looks at everything. `loaded` is the configuration, or why there is none.
///
/// # Errors
/// The machine has no thread left.
pub fn examine(loaded: anyhow::Result<(Config, Variables)>) -> anyhow::Result<Report> {
    let (config, variables) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return Ok(Report::of(vec![configuration::unreadable(&error)])),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(look(config, variables)))
}

async fn look(config: Config, variables: Variables) -> Report {
    let mut findings = vec![configuration::check(&config)];
    let site = Site::visit(config, variables).await;
    match &site.database {
        Some(inspected) => findings.extend(database::check(&site, inspected)),
        None => findings.push(directory::check(&site)),
    }
    findings.push(disk::check(&site));
    findings.push(permissions::check(&site));
    findings.push(open_files::check(&site));
    findings.push(clock::check(&site));
    findings.extend(lists::check(&site));
    findings.push(targets::check(&site));
    findings.push(canaries::check(&site).await);
    findings.extend(redis::check(&site).await);
    Report::of(findings)
}

impl Site {
    async fn visit(config: Config, variables: Variables) -> Self {
        let mut candidates = Discovery::candidates_of(&config).unwrap_or_default();
        let mut asked = Vec::new();
        for (name, answer) in lists::ask(&config).await {
            asked.push((name, answer.as_ref().map(Vec::len).map_err(Clone::clone)));
            candidates.extend(answer.unwrap_or_default());
        }
        let running = control::status(&config.store.data_dir);
        let database = match &config.secrets.mongo_url {
            Some(url) => {
                let options = mongo::Options { retention: run::retention(&config.store) };
                Some(mongo::inspect(url.expose(), options).await)
            }
            None => None,
        };
        let answers = targets::ask(&config, &candidates).await;
        Self { config, variables, candidates, lists: asked, running, database, answers }
    }
}

impl Report {
    fn of(findings: Vec<Finding>) -> Self {
        let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        Self { verdict, findings }
    }

    /// True when nothing keeps a collector from its work.
    pub fn is_well(&self) -> bool {
        self.verdict < Verdict::Problem
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}
