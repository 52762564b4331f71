//! The families of a page: their metadata, and the names that no two of them may share.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::parse::error::{Fault, ParseError};
use crate::parse::family::Family;
use crate::parse::kind::{Format, Kind};
use crate::parse::lines::PageLine;

/// The families read so far; the last one is current.
pub(super) struct Families<'a> {
    max: usize,
    pub(super) all: Vec<Family<'a>>,
    by_name: HashMap<Cow<'a, str>, usize>,
    /// Where the current family began, until its names are checked.
    unchecked: Option<PageLine<'a>>,
    /// Working memory: a name that is looked up.
    name: String,
}

impl<'a> Families<'a> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, all: Vec::new(), by_name: HashMap::new(), unchecked: None, name: String::new() }
    }

    pub(super) fn current(&self) -> Option<&Family<'a>> {
        self.all.last()
    }

    /// True when a line about `name` begins another family.
    pub(super) fn is_other(&self, name: &str) -> bool {
        self.current().is_none_or(|family| family.name != name)
    }

    /// The current family, to add metadata to.
    pub(super) fn described(&mut self) -> Result<&mut Family<'a>, Fault> {
        match self.all.last_mut() {
            Some(family) if family.has_samples => {
                Err(Fault::syntax(0, "TYPE, UNIT and HELP before the samples of their metric family"))
            }
            Some(family) => Ok(family),
            None => Err(Fault::syntax(0, "a metric family")),
        }
    }

    pub(super) fn set_kind(&mut self, kind: Kind) -> Result<(), Fault> {
        let family = self.described()?;
        if family.kind.replace(kind).is_some() {
            return Err(Fault::syntax(0, "only one TYPE line for a metric family"));
        }
        check_unit(family)
    }

    pub(super) fn set_help(&mut self, text: &'a str) -> Result<(), Fault> {
        let family = self.described()?;
        if family.raw_help.replace(text).is_some() {
            return Err(Fault::syntax(0, "only one HELP line for a metric family"));
        }
        Ok(())
    }

    pub(super) fn set_unit(&mut self, unit: &'a str) -> Result<(), Fault> {
        let family = self.described()?;
        if family.unit.replace(unit).is_some() {
            return Err(Fault::syntax(0, "only one UNIT line for a metric family"));
        }
        check_unit(family)
    }

    /// Begins a family; the one before must be finished.
    pub(super) fn begin(&mut self, line: PageLine<'a>, name: Cow<'a, str>) -> Result<(), Fault> {
        if self.all.len() == self.max {
            return Err(Fault::limit(0, "no more metric families than the limit"));
        }
        if self.by_name.insert(name.clone(), self.all.len()).is_some() {
            return Err(Fault::syntax(0, "all lines of a metric family together, and each family only once"));
        }
        self.unchecked = Some(line);
        self.all.push(Family::new(name, Format::OpenMetrics));
        Ok(())
    }

    /// Checks the current family's names against those of all before, once its kind is known.
    pub(super) fn check_names(&mut self) -> Result<(), ParseError> {
        let Some(began) = self.unchecked.take() else { return Ok(()) };
        let Some(family) = self.all.last() else { return Ok(()) };
        if clashes(family, &self.all, &self.by_name, &mut self.name) {
            let expected = "a metric family none of whose sample names may be another family's";
            return Err(Fault::syntax(0, expected).on(began.number, began.text));
        }
        Ok(())
    }

    /// Empty metadata is as good as none.
    pub(super) fn into_all(mut self) -> Vec<Family<'a>> {
        for family in &mut self.all {
            family.unit = family.unit.filter(|unit| !unit.is_empty());
            family.raw_help = family.raw_help.filter(|help| !help.is_empty());
        }
        self.all
    }
}

fn check_unit(family: &Family<'_>) -> Result<(), Fault> {
    let Some(unit) = family.unit.filter(|unit| !unit.is_empty()) else { return Ok(()) };
    if !family.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')) {
        return Err(Fault::syntax(0, "a metric family whose name ends with \"_\" and its unit"));
    }
    if matches!(family.kind, Some(Kind::Info | Kind::StateSet)) {
        return Err(Fault::syntax(0, "no unit for an info or a stateset"));
    }
    Ok(())
}

/// True when a sample name of `family` may also be one of an earlier family's. No suffix ends with another one, so that
/// two names can only meet where one of them has no suffix.
fn clashes(family: &Family<'_>, all: &[Family<'_>], by_name: &HashMap<Cow<'_, str>, usize>, name: &mut String) -> bool {
    let known = |name: &str| by_name.get(name).and_then(|position| all.get(*position));
    let suffixes = family.suffixes();
    let meets_shorter = || {
        let (base, _) = family.name.rsplit_once('_')?;
        let suffix = family.name.get(base.len()..)?;
        known(base)?.suffixes().contains(&suffix).then_some(())
    };
    let mut meets_longer = |suffix: &&str| {
        name.clear();
        name.push_str(&family.name);
        name.push_str(suffix);
        !suffix.is_empty() && known(name).is_some_and(|longer| longer.suffixes().contains(&""))
    };
    suffixes.iter().any(&mut meets_longer) || (suffixes.contains(&"") && meets_shorter().is_some())
}
