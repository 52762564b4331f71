//! The lists of `[[http_sd]]`: does each answer, and is it one.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Finding, Site};
use crate::config::Config;
use crate::discovery::Candidate;
use crate::discovery::http_sd::Asker;
use crate::scrape::Accesses;

const CHECK: &str = "target lists";

/// Asks for every list; gives each by its name.
pub(super) async fn ask(config: &Config) -> Vec<(String, Result<Vec<Candidate>, String>)> {
    // What is wrong with the configuration, that check says itself.
    let Ok(accesses) = Accesses::open(&config.access, config.secrets.agent_api_key.as_ref()) else { return Vec::new() };
    let policy = Arc::new(config.target_policy());
    let askers = config.http_sd.iter().map(|list| Asker::new(list, Arc::clone(&accesses), Arc::clone(&policy)));
    let askers: Vec<_> = askers.filter_map(Result::ok).collect();
    let answers = join_all(askers.iter().map(Asker::ask)).await;
    let answers = answers.into_iter().map(|answer| answer.map(|list| list.candidates));
    askers.iter().map(|asker| asker.name().to_owned()).zip(answers).collect()
}

pub(super) fn check(site: &Site) -> Vec<Finding> {
    site.lists.iter().map(|(name, answer)| judge(name, answer)).collect()
}

fn judge(name: &str, answer: &Result<usize, String>) -> Finding {
    match answer {
        Ok(targets) => Finding::ok(CHECK, format!("{name} names {targets} targets")),
        Err(why) => Finding::problem(
            CHECK,
            why.clone(),
            "see that this machine reaches it, and that it answers with a JSON list; what it said last stays in force",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_list_that_cannot_be_used_is_a_problem() {
        assert_eq!(judge("http://cmdb/", &Ok(0)).verdict, Verdict::Ok);
        let bad = judge("http://cmdb/", &Err("http://cmdb/: connection refused".into()));
        assert!(bad.verdict == Verdict::Problem && bad.text.contains("refused"), "{bad}");
    }
}
