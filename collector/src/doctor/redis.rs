//! Redis, where it is named. Nothing depends on it: at worst news come late.

use std::time::Duration;

use mect_fleet::redis::ping;

use super::{Finding, Site};

const CHECK: &str = "redis";

pub(super) async fn check(site: &Site) -> Option<Finding> {
    let url = site.config.secrets.redis_url.as_ref()?;
    Some(judge(ping(url).await))
}

fn judge(answered: Result<Duration, String>) -> Finding {
    match answered {
        Ok(took) => Finding::ok(CHECK, format!("answers in {:.1} ms", took.as_secs_f64() * 1000.0)),
        Err(why) => Finding::problem(
            CHECK,
            format!("Redis does not answer: {why}"),
            "see that REDIS_URL is right and Redis runs; without it collectors hear of each other a little later",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn no_answer_is_told_with_its_reason() {
        assert_eq!(judge(Ok(Duration::from_millis(1))).verdict, Verdict::Ok);
        let silent = judge(Err("NOAUTH".into()));
        assert!(silent.verdict == Verdict::Problem && silent.text.contains("NOAUTH"), "{silent}");
    }
}
