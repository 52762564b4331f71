//! The configuration and its target files.

use super::Finding;
use crate::config::Config;
use crate::run;

const CHECK: &str = "configuration";

/// It cannot be read at all: nothing else can be looked at.
pub(super) fn unreadable(error: &anyhow::Error) -> Finding {
    Finding::problem(CHECK, format!("{error:#}"), "put it right, and ask again")
}

pub(super) fn check(config: &Config) -> Finding {
    judge(run::usable_targets(config), !config.http_sd.is_empty())
}

fn judge(targets: anyhow::Result<usize>, has_lists: bool) -> Finding {
    match targets {
        Ok(0) if !has_lists => Finding::warning(
            CHECK,
            "good, but it names no target",
            "list hosts in [[targets]] in a file of [[file_sd]] or a list of [[http_sd]], or add servers later",
        ),
        Ok(targets) => Finding::ok(CHECK, format!("good, with {targets} targets")),
        Err(error) => unreadable(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_mistake_is_a_problem_and_no_target_a_warning() {
        assert_eq!(judge(Ok(3), false).verdict, Verdict::Ok);
        assert_eq!(judge(Ok(0), false).verdict, Verdict::Warning);
        assert_eq!(judge(Ok(0), true).verdict, Verdict::Ok);
        let mistake = judge(Err(anyhow::anyhow!("targets.yml: cannot be read")), true);
        assert_eq!(mistake.verdict, Verdict::Problem);
        assert!(mistake.text.contains("targets.yml"), "{mistake}");
    }
}
