//! Periods: what an operator wants for a while.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// From an instant until a deadline, or until an operator ends it. Over by itself once the deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// When an operator began it.
    pub since: Timestamp,
    /// When it ends by itself; `None`: when an operator says so.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

impl Period {
    /// True while it lasts.
    pub fn lasts_at(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_at_its_deadline() {
        let at = Timestamp::from_secs;
        let endless = Period { since: at(10), until: None };
        let short = Period { until: Some(at(20)), ..endless };
        assert!(endless.lasts_at(at(1_000_000)) && short.lasts_at(at(19)));
        assert!(!short.lasts_at(at(20)));
    }
}
