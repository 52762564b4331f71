//! Numbers as they are written: a 64-bit float cannot tell all of them apart.
//!
//! OpenMetrics allows numbers with more digits than a float holds, as for times in nanoseconds, and has rules that
//! compare numbers. Where two floats are equal the digits decide.

use std::cmp::Ordering;

use crate::parse::number;

/// A number of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    /// The nearest float.
    pub(super) value: f64,
    raw: &'a str,
}

impl<'a> Number<'a> {
    /// `number` of the grammar: decimal, infinite or NaN.
    pub(super) fn any(token: &'a str) -> Option<Self> {
        number::value(token).map(|value| Self { value, raw: token })
    }

    /// `realnumber` of the grammar: no infinity, no NaN, however they are spelt.
    pub(super) fn real(token: &'a str) -> Option<Self> {
        Self::any(token).filter(|number| number.value.is_finite())
    }

    /// True for a whole number, however it is written.
    pub(super) fn is_integer(self) -> bool {
        self.value.is_finite() && self.value.fract() == 0.0
    }

    /// The exact order; `None` where one is NaN.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        let order = self.value.partial_cmp(&other.value)?;
        let is_told_by_digits = order == Ordering::Equal && self.value.is_finite() && self.raw != other.raw;
        Some(if is_told_by_digits { Signed::read(self.raw).order(&Signed::read(other.raw)) } else { order })
    }
}

/// A finite number, in its exact order. Its digits are read once, however many others it is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact<'a> {
    value: f64,
    digits: Signed<'a>,
}

impl<'a> Exact<'a> {
    /// The order of a number that is finite.
    pub(super) fn of(number: Number<'a>) -> Self {
        Self { value: number.value, digits: Signed::read(number.raw) }
    }
}

impl PartialEq for Exact<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact<'_> {}

impl PartialOrd for Exact<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Without NaN there always is an order.
        let order = self.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal);
        order.then_with(|| self.digits.order(&other.digits))
    }
}

/// A decimal with its sign.
#[derive(Debug, Clone, Copy)]
struct Signed<'a> {
    is_negative: bool,
    size: Decimal<'a>,
}

impl<'a> Signed<'a> {
    /// Reads a token that is known to be a `realnumber`.
    fn read(token: &'a str) -> Self {
        Self { is_negative: token.starts_with('-'), size: Decimal::read(token) }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self.size.is_zero(), other.size.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => sign(other.is_negative).reverse(),
            (false, true) => sign(self.is_negative),
            (false, false) if self.is_negative != other.is_negative => sign(self.is_negative),
            (false, false) if self.is_negative => other.size.order(&self.size),
            (false, false) => self.size.order(&other.size),
        }
    }
}

/// A decimal without its sign: 0.d₁d₂d₃… × 10^`exponent`, where neither the first digit nor the last is 0. Zero has no
/// digits.
#[derive(Debug, Clone, Copy)]
struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

/// How a number that is not zero compares with zero.
const fn sign(is_negative: bool) -> Ordering {
    if is_negative { Ordering::Less } else { Ordering::Greater }
}

impl<'a> Decimal<'a> {
    /// Reads a token that is known to be a `realnumber`.
    fn read(token: &'a str) -> Self {
        let unsigned = token.trim_start_matches(['+', '-']);
        let (mantissa, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let power = power.parse().unwrap_or(if power.starts_with('-') { i64::MIN } else { i64::MAX });
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('0');
        let shorter = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
        let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let point = length(whole) - (length(fraction) - length(shorter));
        let fraction = shorter.trim_end_matches('0');
        let whole = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        Self { whole: whole.as_bytes(), fraction: fraction.as_bytes(), exponent: power.saturating_add(point) }
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    fn order(&self, other: &Self) -> Ordering {
        self.exponent.cmp(&other.exponent).then_with(|| self.digits(other))
    }

    /// Compares the digits alone. No allocation and no second look: a stranger may write a thousand of them.
    fn digits(&self, other: &Self) -> Ordering {
        if self.whole.len() == other.whole.len() {
            return self.whole.cmp(other.whole).then_with(|| self.fraction.cmp(other.fraction));
        }
        self.whole.iter().chain(self.fraction).cmp(other.whole.iter().chain(other.fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: &str, b: &str) -> Option<Ordering> {
        Number::any(a).unwrap().compare(Number::any(b).unwrap())
    }

    #[test]
    fn numbers_beyond_a_float_are_told_apart() {
        for (smaller, greater) in [
            ("1", "2"),
            ("1604676851.123456789", "1604676851.123456790"),
            ("0.0000000000", "0.00000000000000000000000000000000001"),
            ("9007199254740992", "9007199254740993"),
            ("9007199254740992.0", "9007199254740992.5"),
            ("-9007199254740993", "-9007199254740992"),
            ("1e-999", "1e-998"),
            ("-1e-999", "0"),
            ("0", "1e-999"),
            ("-1e-999", "1e-999"),
            ("0.1", "0.10000000000000000001"),
            ("-Inf", "+Inf"),
        ] {
            assert_eq!(order(smaller, greater), Some(Ordering::Less), "{smaller} {greater}");
            assert_eq!(order(greater, smaller), Some(Ordering::Greater), "{smaller} {greater}");
        }
    }

    #[test]
    fn one_number_may_be_written_in_many_ways() {
        for (a, b) in [
            ("1", "1.0"),
            ("1", "+001.00e0"),
            ("100", "1e2"),
            ("0.001", "1E-3"),
            ("12.5e1", "125"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0", "0.0e99999999999999999999"),
            ("Inf", "+inf"),
        ] {
            assert_eq!(order(a, b), Some(Ordering::Equal), "{a} {b}");
        }
        assert_eq!(order("NaN", "NaN"), None);
    }

    #[test]
    fn only_decimals_are_real() {
        assert!(["0", "-1.5", "1e3", ".5", "5."].into_iter().all(|token| Number::real(token).is_some()));
        for token in ["NaN", "inf", "-Inf", "+infinity", "", "1e999", "0x1", "1_0", " 1"] {
            assert!(Number::real(token).is_none(), "{token}");
        }
    }
}
