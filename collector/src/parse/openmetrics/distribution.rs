//! The rules of one point of a histogram or gauge histogram.

use std::cmp::Ordering;

use super::decimal::Number;
use crate::parse::error::Fault;
use crate::parse::kind::Kind;
use crate::parse::quoted::Text;

/// How positive infinity is written in `le`, and no other way.
const INFINITY: &str = "+Inf";

/// What was seen of one point.
#[derive(Default)]
pub(super) struct Distribution<'a> {
    last: Option<(Number<'a>, Number<'a>)>,
    has_negative_threshold: bool,
    count: Option<Number<'a>>,
    sum: Option<Number<'a>>,
}

/// The threshold that a bucket's `le` gives.
pub(super) fn threshold(le: Text<'_>) -> Option<Number<'_>> {
    let number = Number::any(le.raw).filter(|number| !number.value.is_nan())?;
    (number.value != f64::INFINITY || le.raw == INFINITY).then_some(number)
}

impl<'a> Distribution<'a> {
    pub(super) fn set_count(&mut self, count: Number<'a>) {
        self.count = Some(count);
    }

    pub(super) fn set_sum(&mut self, sum: Number<'a>) {
        self.sum = Some(sum);
    }

    /// Takes the next bucket. Faults stand at the value, or at 0 where the threshold is at fault.
    pub(super) fn bucket(&mut self, le: Number<'a>, value: Number<'a>, value_at: usize) -> Result<(), Fault> {
        if let Some((last_le, last_value)) = self.last {
            if le.compare(last_le) != Some(Ordering::Greater) {
                return Err(Fault::syntax(0, "buckets in increasing order of \"le\", each once"));
            }
            if value.compare(last_value) == Some(Ordering::Less) {
                return Err(Fault::syntax(value_at, "cumulative buckets: not less than in the bucket before"));
            }
        }
        self.has_negative_threshold |= le.value < 0.0;
        self.last = Some((le, value));
        Ok(())
    }

    /// Checks what only the whole point can break.
    pub(super) fn finish(&self, kind: Kind) -> Result<(), &'static str> {
        let Some((_, all)) = self.last.filter(|(le, _)| le.value == f64::INFINITY) else {
            return Err("a bucket with le=\"+Inf\" in every histogram");
        };
        match (self.sum, self.count) {
            (Some(_), None) => return Err("a count beside the sum of the histogram"),
            (None, Some(_)) => return Err("a sum beside the count of the histogram"),
            (_, Some(count)) if count.compare(all) != Some(Ordering::Equal) => {
                return Err("a count equal to the bucket with le=\"+Inf\"");
            }
            _ => {}
        }
        let is_negative = self.sum.is_some_and(|sum| sum.value < 0.0);
        match kind {
            Kind::Histogram if self.has_negative_threshold && self.sum.is_some() => {
                Err("no sum in a histogram with negative thresholds")
            }
            Kind::GaugeHistogram if is_negative && !self.has_negative_threshold => {
                Err("a negative sum only with negative thresholds")
            }
            _ => Ok(()),
        }
    }
}
