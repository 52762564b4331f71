//! The VPN services of a host: how far up its ladder each is, and what is wrong in words. Pure.

use mect_fleet::reading::RUNGS;
use mect_fleet::{Reading, ServiceReading};

/// A unit of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) service: &'static str,
    pub(super) unit: String,
    /// `on`, `part`, `off`, or `unknown` when what is known is old.
    pub(super) class: &'static str,
    /// Rungs reached, of five; `None` where the page does not say.
    pub(super) rung: Option<u8>,
    /// The rung in words.
    pub(super) word: &'static str,
    /// What is wrong, or missing for the next rung.
    pub(super) trouble: Option<&'static str>,
}

/// The units of a reading. `is_current` when it still says how things are.
pub(super) fn units(reading: &Reading, is_current: bool) -> Vec<Unit> {
    reading.services.iter().map(|unit| of(unit, is_current)).collect()
}

fn of(unit: &ServiceReading, is_current: bool) -> Unit {
    let rung = unit.rung.map(|rung| rung.min(5));
    Unit {
        service: unit.service.name(),
        unit: unit.unit.to_string(),
        class: match rung {
            _ if !is_current => "unknown",
            _ if !unit.active => "off",
            Some(2) => "part",
            _ => "on",
        },
        rung,
        word: match (rung, unit.active) {
            (Some(rung), _) => RUNGS.get(usize::from(rung)).copied().unwrap_or_default(),
            (None, true) => "unit active",
            (None, false) => "unit not active",
        },
        trouble: rung.and_then(trouble),
    }
}

/// Why a service is not on the next rung.
const fn trouble(rung: u8) -> Option<&'static str> {
    match rung {
        0 => Some("systemd says that its unit is not active"),
        1 => Some("the unit is active, but the process that does the work is gone"),
        2 => Some("the process lives, but a port that clients connect to is not bound, or cannot be seen"),
        3 => Some("clients can connect, but its control channel does not answer, or none can be asked"),
        4 => Some("it answers; no client sent data lately"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mect_fleet::Service;

    use super::*;

    fn unit(rung: Option<u8>, active: bool) -> Unit {
        let reading = ServiceReading { service: Service::Squid, unit: "squid.service".into(), active, rung };
        of(&reading, true)
    }

    #[test]
    fn each_rung_has_its_words() {
        let seen: Vec<_> =
            (0..=5).map(|rung| unit(Some(rung), rung >= 2)).map(|unit| (unit.class, unit.word)).collect();
        let words = ["off", "off", "part", "on", "on", "on"].into_iter().zip(RUNGS);
        assert_eq!(seen, words.collect::<Vec<_>>());
        assert!((0..5).all(|rung| trouble(rung).is_some()) && trouble(5).is_none());
    }

    #[test]
    fn a_page_without_rungs_tells_of_units() {
        assert_eq!((unit(None, true).class, unit(None, true).word), ("on", "unit active"));
        assert_eq!((unit(None, false).class, unit(None, false).word), ("off", "unit not active"));
        assert_eq!(unit(Some(9), true).rung, Some(5));
    }

    #[test]
    fn what_is_old_is_not_known() {
        let reading =
            ServiceReading { service: Service::Squid, unit: "squid.service".into(), active: true, rung: Some(5) };
        assert_eq!(of(&reading, false).class, "unknown");
    }
}
