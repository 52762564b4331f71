//! Lists of targets by HTTP, as Prometheus' `http_sd` has it: a GET brings the whole list, each time anew. An answer that
//! cannot be used leaves the last good list in force, also over a restart; of a list with wrong targets the right ones count.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::collecting::DroppedTarget;
use mect_fleet::shard::stable_hash;
use mect_fleet::{Failure, FailureReason, ScrapeTarget, TargetGroup, TargetPolicy};
use tokio::task::spawn_blocking;

use super::{Candidate, copies, groups};
use crate::config::{ConfigError, HttpSd};
use crate::scrape::{Accesses, Fetcher, Limits};

/// A list comes within this time, or within its refresh if that is shorter. A start waits so long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A list of 100,000 servers has about 20 MB; beyond this size it is something else.
const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;

/// Asks for one list. Holds nothing of what it said.
pub struct Asker {
    name: String,
    refresh: Duration,
    fetcher: Fetcher,
    policy: Arc<TargetPolicy>,
    /// What its targets may name for an access.
    accesses: Arc<[String]>,
}

/// A good list.
pub struct List {
    /// Its targets.
    pub candidates: Vec<Candidate>,
    /// Those that cannot be used.
    pub dropped: Vec<DroppedTarget>,
    /// As it came.
    text: String,
}

/// What came of asking: a list, or why there is none.
pub type Answer = Result<List, String>;

impl Asker {
    /// Asks for the list that `config` names, which may name targets that `policy` allows.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn new(config: &HttpSd, accesses: Arc<Accesses>, policy: Arc<TargetPolicy>) -> Result<Self, ConfigError> {
        Self::with_most(config, accesses, policy, MAX_LIST_BYTES)
    }

    fn with_most(
        config: &HttpSd,
        accesses: Arc<Accesses>,
        policy: Arc<TargetPolicy>,
        most: usize,
    ) -> Result<Self, ConfigError> {
        let endpoint = config.endpoint().map_err(|error| ConfigError::at("key `http_sd.url`", error.to_string()))?;
        let refresh = Duration::from_secs_f64(config.refresh_seconds);
        let limits = Limits { timeout: TIMEOUT.min(refresh), wire_bytes: most, page_bytes: most };
        let source = ScrapeTarget {
            insecure_credentials: config.insecure_credentials,
            access: config.access.clone(),
            ..ScrapeTarget::at(endpoint)
        };
        let fetcher = Fetcher::new(source, limits, refresh, accesses);
        let accesses = config.target_access.clone().into();
        Ok(Self { name: config.name().to_owned(), refresh, fetcher, policy, accesses })
    }

    /// The list for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Time from one answer to the next question.
    pub fn refresh(&self) -> Duration {
        self.refresh
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why the answer is no list, with the name of it.
    pub async fn ask(&self) -> Answer {
        let fetched = self.fetcher.fetch().await.map_err(|failure| format!("{}: {}", self.name, words(&failure)))?;
        let (policy, accesses) = (Arc::clone(&self.policy), Arc::clone(&self.accesses));
        // A long list takes a while, in which others must not wait.
        let read = spawn_blocking(move || read(fetched, &policy, &accesses)).await;
        read.unwrap_or_else(|lost| Err(lost.to_string())).map_err(|problem| format!("{}: {problem}", self.name))
    }
}

fn read(fetched: Vec<u8>, policy: &TargetPolicy, accesses: &[String]) -> Answer {
    let text = String::from_utf8(fetched).map_err(|_| "the list is not UTF-8".to_owned())?;
    let groups = TargetGroup::from_json(&text).map_err(|error| format!("no list of target groups: {error}"))?;
    let (mut candidates, dropped) = groups::usable(&groups, policy, accesses)?;
    // Who serves the list does not decide that our credentials travel in the clear.
    candidates.iter_mut().for_each(|candidate| candidate.labels.insecure_credentials = false);
    Ok(List { candidates, dropped, text })
}

/// Why nothing came, for a person.
fn words(failure: &Failure) -> String {
    let what = match failure.reason {
        FailureReason::Status => "unexpected answer",
        FailureReason::Auth => "our credentials are refused",
        FailureReason::Redirect => "redirects are not followed; name the URL where it leads",
        FailureReason::ContentType => "the answer does not say that it is application/json",
        FailureReason::TooLarge => "the list is too large",
        FailureReason::Local => "could not be asked",
        other => other.sentence(),
    };
    if failure.detail.is_empty() { what.to_owned() } else { format!("{what} ({})", failure.detail) }
}

/// One list and what it said last.
pub struct HttpSource {
    config: HttpSd,
    asker: Arc<Asker>,
    candidates: Vec<Candidate>,
    dropped: Vec<DroppedTarget>,
    /// Where its last good content is kept over a restart.
    copy: PathBuf,
    /// A good answer came since the start.
    is_fresh: bool,
    /// Why its last answer could not be used.
    problem: Option<String>,
}

impl HttpSource {
    /// A list that was not asked for yet, with a copy of its last good content in `data_dir`.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn new(
        config: &HttpSd,
        accesses: &Arc<Accesses>,
        policy: &Arc<TargetPolicy>,
        data_dir: &Path,
    ) -> Result<Self, ConfigError> {
        let asker = Asker::new(config, Arc::clone(accesses), Arc::clone(policy))?;
        // Whom it shows itself as may decide on what it is told.
        let key = format!("{}\n{}", config.url, config.access.as_deref().unwrap_or_default());
        let copy = copies::path(data_dir, stable_hash(key.as_bytes()), "json");
        let (config, asker) = (config.clone(), Arc::new(asker));
        Ok(Self { config, asker, candidates: Vec::new(), dropped: Vec::new(), copy, is_fresh: false, problem: None })
    }

    /// What the configuration says of it.
    pub fn config(&self) -> &HttpSd {
        &self.config
    }

    /// Who asks for it.
    pub fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// Its targets as it last named them.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Targets that it last named and that cannot be used.
    pub fn dropped(&self) -> &[DroppedTarget] {
        &self.dropped
    }

    /// Why its last answer could not be used, with its name; `None` while it can.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Takes an answer; true when other targets are named now. The same problem again is not logged again.
    pub fn take(&mut self, answer: Answer) -> bool {
        let list = match answer {
            Ok(list) => list,
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    tracing::warn!(problem, "target list not used; what it said last stays in force");
                }
                self.problem = Some(problem);
                return false;
            }
        };
        if self.problem.take().is_some() {
            tracing::info!(list = self.asker.name, "the target list can be used again");
        }
        let is_first = !std::mem::replace(&mut self.is_fresh, true);
        let changed = self.candidates != list.candidates || self.dropped != list.dropped;
        if is_first || changed {
            self.keep_copy(&list.text);
        }
        self.have(list);
        changed
    }

    /// Takes the copy for the list.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn use_copy(&mut self) -> Result<(), String> {
        let bytes = std::fs::read(&self.copy).map_err(|error| error.to_string())?;
        self.have(read(bytes, &self.asker.policy, &self.asker.accesses)?);
        Ok(())
    }

    fn have(&mut self, list: List) {
        if let Some(first) = list.dropped.first().filter(|_| self.dropped != list.dropped) {
            let (list, dropped) = (&self.asker.name, list.dropped.len());
            tracing::warn!(
                list,
                dropped,
                target = first.address,
                reason = first.reason,
                "targets of a list left aside"
            );
        }
        (self.candidates, self.dropped) = (list.candidates, list.dropped);
    }

    fn keep_copy(&self, text: &str) {
        if let Err(error) = copies::keep(&self.copy, |draft| std::fs::write(draft, text)) {
            tracing::warn!(copy = %self.copy.display(), %error, "no copy of the target list was kept");
        }
    }
}

#[cfg(test)]
mod tests;
