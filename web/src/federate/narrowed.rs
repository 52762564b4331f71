//! Selectors, narrowed step by step to what a series can still match: first by where it comes from, then by its name,
//! last by its own labels. Most series are passed over before their labels are read.

use mect_fleet::collecting::SeriesLabel;

use super::matcher::Matcher;
use super::origin::Origin;
use super::selector::Selector;

/// The selectors that series of one origin may match.
pub(super) struct Narrowed<'a> {
    selectors: Vec<Remaining<'a>>,
    /// The name that was asked about last.
    name: String,
    /// Places of the selectors that it matches.
    of_name: Vec<usize>,
}

struct Remaining<'a> {
    selector: &'a Selector,
    /// Matchers of labels that the origin does not have.
    others: Vec<&'a Matcher>,
}

impl<'a> Narrowed<'a> {
    /// Those of `selectors` that series of that origin may match.
    pub(super) fn to(selectors: &'a [Selector], origin: &Origin) -> Self {
        let remaining = selectors.iter().filter_map(|selector| {
            let mut others = Vec::new();
            for matcher in selector.of_labels() {
                match origin.label(&matcher.label) {
                    Some(value) if matcher.test.accepts(value) => {}
                    Some(_) => return None,
                    None => others.push(matcher),
                }
            }
            Some(Remaining { selector, others })
        });
        Self { selectors: remaining.collect(), name: String::new(), of_name: Vec::new() }
    }

    /// True when none matches.
    pub(super) fn is_empty(&self) -> bool {
        self.selectors.is_empty()
    }

    /// Whether a series of that name may match. Asked again for the same name it does not look again.
    pub(super) fn wants(&mut self, name: &str) -> bool {
        if self.name != name {
            name.clone_into(&mut self.name);
            let takes =
                |remaining: &Remaining<'_>| remaining.selector.of_name().all(|matcher| matcher.test.accepts(name));
            let of_name = self.selectors.iter().enumerate().filter(|(_, remaining)| takes(remaining));
            self.of_name.clear();
            self.of_name.extend(of_name.map(|(place, _)| place));
        }
        !self.of_name.is_empty()
    }

    /// Whether a series of the name that was asked about last matches, with these labels beside its origin's.
    pub(super) fn accepts(&self, labels: &[SeriesLabel<'_>]) -> bool {
        let value = |name: &str| labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
        let selectors = self.of_name.iter().filter_map(|place| self.selectors.get(*place));
        selectors
            .into_iter()
            .any(|selector| selector.others.iter().all(|matcher| matcher.test.accepts(value(&matcher.label))))
    }
}
