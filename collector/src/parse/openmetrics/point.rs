//! One point of a metric: the samples that belong to one moment.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use super::decimal::{Exact, Number};
use super::distribution::{Distribution, threshold};
use super::line::RawSample;
use super::role::Role;
use crate::parse::error::Fault;
use crate::parse::kind::Kind;
use crate::parse::quoted::Text;

/// The point that is being read.
#[derive(Default)]
pub(super) struct Point<'a> {
    pub(super) timestamp: Option<Number<'a>>,
    /// Bits of the roles seen.
    seen: u8,
    /// As they are meant. Sets: a page may have thousands, and they are a stranger's.
    states: HashSet<Cow<'a, str>>,
    quantiles: BTreeSet<Exact<'a>>,
    distribution: Distribution<'a>,
}

impl<'a> Point<'a> {
    /// Forgets the point before, but for its memory.
    pub(super) fn begin(&mut self, timestamp: Option<Number<'a>>) {
        self.timestamp = timestamp;
        self.seen = 0;
        self.states.clear();
        self.quantiles.clear();
        self.distribution = Distribution::default();
    }

    /// Takes a sample. `own` is the value of the label that tells the point's samples apart.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        role: Role,
        sample: &RawSample<'a>,
        own: Option<Text<'a>>,
    ) -> Result<(), Fault> {
        if self.seen & role.bit() != 0 {
            return Err(Fault::syntax(0, "each sample of a metric only once, or with increasing timestamps"));
        }
        self.seen |= role.bit();
        role.check_value(kind, sample)?;
        let missing = |expected| Fault::syntax(0, expected);
        let mut highest = None;
        match role {
            Role::Bucket => {
                let le =
                    own.and_then(threshold).ok_or(missing("a label \"le\" with a number, infinite as \"+Inf\""))?;
                self.distribution.bucket(le, sample.value, sample.value_at)?;
                highest = Some(le);
            }
            Role::Quantile => self.quantile(own)?,
            Role::State => self.state(own)?,
            Role::Count => self.distribution.set_count(sample.value),
            Role::Sum => self.distribution.set_sum(sample.value),
            Role::Value | Role::Total | Role::Created | Role::Info => {}
        }
        let Some(exemplar) = &sample.exemplar else { return Ok(()) };
        if !matches!(role, Role::Total | Role::Bucket) {
            return Err(Fault::syntax(exemplar.at, "an exemplar only on a counter's total or a bucket"));
        }
        if highest.is_some_and(|le| matches!(exemplar.value.compare(le), None | Some(Ordering::Greater))) {
            return Err(Fault::syntax(exemplar.value_at, "an exemplar's value that its bucket covers"));
        }
        Ok(())
    }

    fn quantile(&mut self, own: Option<Text<'a>>) -> Result<(), Fault> {
        let quantile = own.and_then(|text| Number::any(text.raw)).filter(|number| (0.0..=1.0).contains(&number.value));
        let quantile = quantile.ok_or(Fault::syntax(0, "a label \"quantile\" with a number from 0 to 1"))?;
        if !self.quantiles.insert(Exact::of(quantile)) {
            return Err(Fault::syntax(0, "each quantile only once"));
        }
        Ok(())
    }

    fn state(&mut self, own: Option<Text<'a>>) -> Result<(), Fault> {
        let state = own.ok_or(Fault::syntax(0, "a label with the name of the stateset"))?;
        if !self.states.insert(state.decode()) {
            return Err(Fault::syntax(0, "each state only once"));
        }
        Ok(())
    }

    /// Checks what only the whole point can break.
    pub(super) fn finish(&self, kind: Kind) -> Result<(), &'static str> {
        match kind {
            Kind::Counter if self.seen & Role::Total.bit() == 0 => Err("a total in every counter"),
            Kind::Histogram | Kind::GaugeHistogram => self.distribution.finish(kind),
            _ => Ok(()),
        }
    }
}
