//! What the servers say themselves: the series of their latest pages, with where they come from.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::collecting::{SeriesLabel, SeriesVisitor};

use super::LOOKBACK;
use super::derived::is_ours;
use super::narrowed::Narrowed;
use super::origin::{NAMES, Origin};
use super::sink::{Kind, Sink};
use super::text::{is_label_name, is_metric_name};

/// Put before a page's own label that has one of our names, as Prometheus does.
const RENAMED: &str = "exported_";

/// Takes the series of one server's page.
pub(super) struct Raw<'a, 'b> {
    sink: &'a mut dyn Sink,
    narrowed: &'a mut Narrowed<'b>,
    origin: &'a Origin,
    now: Timestamp,
    /// Start of the page's scrape.
    scraped_at: Timestamp,
    /// Series seen on the page. It may have one twice; whoever stores them may not.
    seen: HashSet<u64>,
    /// The name that was asked about last can be told.
    is_tellable: bool,
    name: String,
}

impl<'a, 'b> Raw<'a, 'b> {
    pub(super) fn new(
        sink: &'a mut dyn Sink,
        narrowed: &'a mut Narrowed<'b>,
        origin: &'a Origin,
        now: Timestamp,
    ) -> Self {
        let (scraped_at, seen) = (now, HashSet::new());
        Self { sink, narrowed, origin, now, scraped_at, seen, is_tellable: false, name: String::new() }
    }
}

/// A page's own times may be so far ahead of ours, as clocks are; later ones no Prometheus would take.
const AHEAD: Duration = Duration::from_secs(60);

impl SeriesVisitor for Raw<'_, '_> {
    fn begins(&mut self, at: Timestamp) -> bool {
        self.scraped_at = at;
        self.now.since(at) <= LOOKBACK
    }

    fn wants(&mut self, name: &str) -> bool {
        if self.name != name {
            name.clone_into(&mut self.name);
            // A name of UTF-8 cannot be written in this format.
            self.is_tellable = self.narrowed.wants(name) && !is_ours(name) && is_metric_name(name);
        }
        self.is_tellable
    }

    fn sample(&mut self, name: &str, labels: &[SeriesLabel<'_>], value: f64, at: Option<Timestamp>) {
        let at = at.unwrap_or(self.scraped_at);
        if at > self.now + AHEAD || self.now.since(at) > LOOKBACK || !labels.iter().all(|(name, _)| is_label_name(name))
        {
            return;
        }
        let renamed = renamed(labels);
        if self.narrowed.accepts(&renamed) && self.seen.insert(fingerprint(name, &renamed)) {
            self.sink.add((name, Kind::Untyped), self.origin, &renamed, value, at);
        }
    }
}

/// The labels with those renamed that have our names.
fn renamed<'a>(labels: &'a [SeriesLabel<'a>]) -> Cow<'a, [SeriesLabel<'a>]> {
    let is_taken = |name: &str| NAMES.contains(&name);
    if !labels.iter().any(|(name, _)| is_taken(name)) {
        return Cow::Borrowed(labels);
    }
    let mut renamed = labels.to_vec();
    for place in 0..renamed.len() {
        let Some((name, _)) = renamed.get(place).filter(|(name, _)| is_taken(name)) else { continue };
        let mut new = format!("{RENAMED}{name}");
        while renamed.iter().any(|(known, _)| *known == new) {
            new.insert_str(0, RENAMED);
        }
        if let Some(label) = renamed.get_mut(place) {
            label.0 = Cow::Owned(new);
        }
    }
    Cow::Owned(renamed)
}

/// The same for the same series, in whichever order its labels stand.
fn fingerprint(name: &str, labels: &[SeriesLabel<'_>]) -> u64 {
    let of = |part: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        part(&mut hasher);
        hasher.finish()
    };
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    let labels = labels.fold(0u64, |sum, label| sum.wrapping_add(of(&|hasher| label.hash(hasher))));
    of(&|hasher| (name, labels).hash(hasher))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::federate::families::Families;
    use crate::federate::selector::Selector;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// One sample of a page: name, labels, value, seconds before now.
    type Sample<'a> = (&'a str, &'a [(&'a str, &'a str)], f64, Option<u64>);

    fn before(seconds: u64) -> Timestamp {
        NOW - std::time::Duration::from_secs(seconds)
    }

    fn told(selector: &str, page_age: u64, samples: &[Sample<'_>]) -> String {
        let selectors = [Selector::parse(selector).unwrap()];
        let origin = Origin::of_part("DE", "vpn");
        let mut families = Families::new(100, &BTreeMap::new());
        let mut narrowed = Narrowed::to(&selectors, &origin);
        let mut raw = Raw::new(&mut families, &mut narrowed, &origin, NOW);
        if raw.begins(before(page_age)) {
            for (name, labels, value, age) in samples {
                if !raw.wants(name) {
                    continue;
                }
                let labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
                raw.sample(name, &labels, *value, age.map(before));
            }
        }
        let lines = families.finish().unwrap_or_else(|error| panic!("{error:?}"));
        lines.into_iter().map(|(_, family)| String::from_utf8(family.lines).unwrap()).collect()
    }

    #[test]
    fn a_label_that_has_our_name_is_renamed() {
        let labels = [("instance", "wg0"), ("exported_instance", "x"), ("mode", "idle")];
        assert_eq!(
            told("a", 10, &[("a", &labels, 1.0, None)]),
            "a{exported_exported_instance=\"wg0\",exported_instance=\"x\",mode=\"idle\",country_code=\"DE\",\
             instance=\"\",job=\"vpn\"} 1 1794999990000\n"
        );
        assert_ne!(told("a{exported_exported_instance=\"wg0\"}", 10, &[("a", &labels, 1.0, None)]), "");
        assert_eq!(told("a{instance=\"wg0\"}", 10, &[("a", &labels, 1.0, None)]), "");
    }

    #[test]
    fn a_series_comes_once_and_never_under_our_names() {
        let (one, other): (&[_], &[_]) = (&[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1"), ("c", "")]);
        let page: [Sample<'_>; 6] = [
            ("a", one, 1.0, None),
            ("a", other, 2.0, None),
            ("up", &[], 0.0, None),
            ("vpn_server_state", &[], 0.0, None),
            ("a.b", &[], 0.0, None),
            ("c", &[("d.e", "f")], 0.0, None),
        ];
        let told = told("{job=\"vpn\"}", 10, &page);
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.starts_with("a{a=\"1\",b=\"2\",") && told.contains("} 1 "), "{told}");
    }

    #[test]
    fn nothing_old_is_told() {
        assert_eq!(told("a", 301, &[("a", &[], 1.0, None)]), "");
        assert_ne!(told("a", 300, &[("a", &[], 1.0, None)]), "");
        assert_eq!(told("a", 10, &[("a", &[], 1.0, Some(301))]), "");
        assert!(told("a", 10, &[("a", &[], 1.0, Some(200))]).ends_with(" 1 1794999800000\n"));
    }
}
