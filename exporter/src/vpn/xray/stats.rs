//! The core's counters, whichever way they come. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most users taken; the ones last by name give way.
const MAX_USERS: usize = 10_000;

/// Counters of one inbound or user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From the client.
    pub uplink: u64,
    /// To the client.
    pub downlink: u64,
}

impl Bytes {
    /// Both directions.
    pub fn total(self) -> u64 {
        self.uplink.saturating_add(self.downlink)
    }
}

/// Counters by tag and by user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// By the inbound's tag.
    pub inbounds: BTreeMap<String, Bytes>,
    /// By the user's name.
    pub users: BTreeMap<String, Bytes>,
}

impl Stats {
    /// Adds a counter by its name, e.g. `inbound>>>in-443>>>traffic>>>uplink`.
    pub fn add(&mut self, name: &str, value: u64) {
        let parts: Vec<&str> = name.split(">>>").collect();
        if let [kind, name, "traffic", direction] = parts[..] {
            self.add_parts(kind, name, direction, value);
        }
    }

    fn add_parts(&mut self, kind: &str, name: &str, direction: &str, value: u64) {
        let counters = match kind {
            "inbound" => &mut self.inbounds,
            "user" => &mut self.users,
            _ => return,
        };
        if counters.len() >= MAX_USERS && !counters.contains_key(name) {
            return;
        }
        let bytes = counters.entry(name.to_owned()).or_default();
        match direction {
            "uplink" => bytes.uplink = value,
            "downlink" => bytes.downlink = value,
            _ => {}
        }
    }
}

/// Parses `/debug/vars`: `{"stats": {"inbound": {"TAG": {"uplink": 1, "downlink": 2}}, "user": {…}}}`.
///
/// # Errors
/// It is not JSON, or has no counters at all.
pub fn parse_vars(text: &str) -> Result<Stats, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let kinds = value.get("stats").ok_or("it shows no \"stats\"")?;
    let mut stats = Stats::default();
    for (kind, names) in kinds.as_object().into_iter().flatten() {
        for (name, directions) in names.as_object().into_iter().flatten() {
            for (direction, value) in directions.as_object().into_iter().flatten() {
                if let Some(value) = value.as_u64() {
                    stats.add_parts(kind, name, direction, value);
                }
            }
        }
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_say_the_same() {
        let text = r#"{"cmdline": ["xray"], "memstats": {"Alloc": 1}, "observatory": {}, "stats": {
            "inbound": {"in-443": {"downlink": 74460, "uplink": 10231}, "api": {"downlink": 5, "uplink": 6}},
            "outbound": {"direct": {"downlink": 97714548, "uplink": 3684}},
            "user": {"love@x": {"downlink": 158, "uplink": 276}}}}"#;
        let mut by_name = Stats::default();
        for (name, value) in [
            ("inbound>>>in-443>>>traffic>>>downlink", 74460),
            ("inbound>>>in-443>>>traffic>>>uplink", 10231),
            ("inbound>>>api>>>traffic>>>downlink", 5),
            ("inbound>>>api>>>traffic>>>uplink", 6),
            ("outbound>>>direct>>>traffic>>>uplink", 3684),
            ("user>>>love@x>>>traffic>>>uplink", 276),
            ("user>>>love@x>>>traffic>>>downlink", 158),
            ("nonsense", 1),
            ("user>>>x", 1),
        ] {
            by_name.add(name, value);
        }
        assert_eq!(parse_vars(text).unwrap(), by_name);
        assert_eq!(by_name.users["love@x"].total(), 434);
    }

    #[test]
    fn nonsense_is_an_error_or_nothing() {
        assert!(parse_vars("").is_err() && parse_vars("{}").is_err() && parse_vars("<html>").is_err());
        for odd in [r#"{"stats": null}"#, r#"{"stats": {"inbound": {"x": {"uplink": -1}, "y": 5}}}"#] {
            assert_eq!(parse_vars(odd).unwrap(), Stats::default(), "{odd}");
        }
    }
}
