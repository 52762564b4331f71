//! The answer in the making: series by name, as text.
//!
//! All of it is held until its length is known, because an answer that is too long must be refused by its status. It is
//! bounded by the number of series, and goes as it is sent.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use mect_fleet::Timestamp;
use mect_fleet::collecting::SeriesLabel;

use super::origin::Origin;
use super::sink::{Kind, Sink};
use super::text;

/// Bytes of a series that memory reckons with, four times what is usual: names and labels of strangers can be longer.
const MEAN_SERIES_BYTES: usize = 512;
/// Of an answer that is refused, series are counted up to this many times what is allowed.
const COUNTED: usize = 10;

/// All series of one name.
pub(super) struct Family {
    pub(super) kind: Kind,
    /// Their lines.
    pub(super) lines: Vec<u8>,
}

/// The series so far.
pub(super) struct Families {
    by_name: HashMap<Box<str>, Family>,
    series: usize,
    bytes: usize,
    most: usize,
    /// Name and text of the labels that every series gets if it has none of that name.
    external: Vec<(Box<str>, String)>,
}

/// Too many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// Series found.
    pub(super) found: usize,
    /// There are more: nobody counted on.
    pub(super) is_least: bool,
}

impl Families {
    /// None yet, and no more than `most` of them.
    pub(super) fn new(most: usize, external: &BTreeMap<String, String>) -> Self {
        let external = external.iter().filter(|(_, value)| !value.is_empty());
        let external =
            external.map(|(name, value)| (name.as_str().into(), format!(",{name}=\"{}\"", text::escaped(value))));
        Self { by_name: HashMap::new(), series: 0, bytes: 0, most, external: external.collect() }
    }

    /// True when nobody needs to go on: the answer is refused, and how long it would be has been counted for long enough.
    pub(super) fn is_hopeless(&self) -> bool {
        self.series > self.most.saturating_mul(COUNTED) || self.is_too_large()
    }

    fn is_too_large(&self) -> bool {
        self.bytes > self.most.saturating_mul(MEAN_SERIES_BYTES)
    }

    /// All of them, by name.
    pub(super) fn finish(self) -> Result<Vec<(Box<str>, Family)>, TooMany> {
        if self.series > self.most || self.is_too_large() {
            return Err(TooMany { found: self.series, is_least: self.is_hopeless() });
        }
        let mut families: Vec<_> = self.by_name.into_iter().collect();
        families.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(families)
    }
}

impl Sink for Families {
    fn add(
        &mut self,
        (name, kind): (&str, Kind),
        origin: &Origin,
        labels: &[SeriesLabel<'_>],
        value: f64,
        at: Timestamp,
    ) {
        self.series += 1;
        if self.series > self.most || self.is_too_large() {
            // Only counted from here on.
            self.by_name = HashMap::new();
            return;
        }
        let family = match self.by_name.get_mut(name) {
            Some(family) => family,
            None => self.by_name.entry(name.into()).or_insert(Family { kind, lines: Vec::new() }),
        };
        let lines = &mut family.lines;
        let before = lines.len();
        lines.extend_from_slice(name.as_bytes());
        lines.push(b'{');
        for (label, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            lines.extend_from_slice(label.as_bytes());
            lines.extend_from_slice(b"=\"");
            lines.extend_from_slice(text::escaped(value).as_bytes());
            lines.extend_from_slice(b"\",");
        }
        lines.extend_from_slice(origin.text().as_bytes());
        for (external, text) in &self.external {
            let has_own = |(label, value): &SeriesLabel<'_>| **label == **external && !value.is_empty();
            let has_origin = origin.label(external).is_some_and(|value| !value.is_empty());
            if !has_origin && !labels.iter().any(has_own) {
                lines.extend_from_slice(text.as_bytes());
            }
        }
        lines.extend_from_slice(b"} ");
        text::number(value, lines);
        // Writing to memory does not fail.
        let _ = writeln!(lines, " {}", at.as_millis());
        self.bytes += lines.len() - before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families(most: usize, external: &[(&str, &str)]) -> Families {
        let external = external.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Families::new(most, &external.collect())
    }

    fn lines(families: Families) -> Vec<String> {
        let families = families.finish().unwrap_or_else(|error| panic!("{error:?}"));
        families.into_iter().map(|(_, family)| String::from_utf8(family.lines).unwrap()).collect()
    }

    #[test]
    fn series_stand_by_name_with_the_labels_that_they_lack() {
        let mut families = families(10, &[("job", "other"), ("region", "eu\n"), ("x", "external"), ("empty", "")]);
        let (origin, at) = (Origin::of_part("DE", "vpn"), Timestamp::from_millis(1500));
        families.add(("b", Kind::Untyped), &origin, &[("x".into(), "a\"b".into()), ("y".into(), "".into())], 0.5, at);
        families.add(("a", Kind::Gauge), &origin, &[("region".into(), "".into())], 2.0, at);
        assert_eq!(
            lines(families),
            [
                "a{country_code=\"DE\",instance=\"\",job=\"vpn\",region=\"eu\\n\",x=\"external\"} 2 1500\n",
                "b{x=\"a\\\"b\",country_code=\"DE\",instance=\"\",job=\"vpn\",region=\"eu\\n\"} 0.5 1500\n",
            ]
        );
    }

    #[test]
    fn what_is_too_much_is_counted_and_not_held() {
        let mut families = families(2, &[]);
        let origin = Origin::of_part("", "vpn");
        for number in 1..=21 {
            assert!(!families.is_hopeless());
            families.add(("a", Kind::Gauge), &origin, &[], f64::from(number), Timestamp::default());
        }
        assert!(families.is_hopeless() && families.by_name.is_empty());
        assert_eq!(families.finish().err(), Some(TooMany { found: 21, is_least: true }));
    }

    #[test]
    fn long_labels_count_too() {
        let mut families = families(2, &[]);
        let (origin, long) = (Origin::of_part("", "vpn"), "x".repeat(2000));
        families.add(("a", Kind::Gauge), &origin, &[("x".into(), long.into())], 1.0, Timestamp::default());
        assert!(families.is_hopeless());
        assert_eq!(families.finish().err(), Some(TooMany { found: 1, is_least: true }));
    }
}
