//! Sample values and timestamps.

/// More digits than this may not be exact in a 64-bit float, so that the short way below would round twice.
const EXACT_DIGITS: usize = 15;

/// Powers of ten that a 64-bit float holds exactly, by exponent.
const POWERS_OF_TEN: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A sample value: what Go's `ParseFloat` accepts without hexadecimal floats and underscores, as in the Prometheus
/// server. `None` when it is none, or beyond the range of a 64-bit float.
#[inline]
pub(super) fn value(token: &str) -> Option<f64> {
    short_decimal(token.as_bytes()).or_else(|| any_float(token))
}

/// Most values: up to 15 digits, perhaps with a point. Both operands are exact, so that one division rounds right.
fn short_decimal(token: &[u8]) -> Option<f64> {
    if token.len() > EXACT_DIGITS + 1 {
        return None;
    }
    let mut mantissa = 0u64;
    let mut digits = 0usize;
    let mut fraction_from = None;
    for &byte in token {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                digits += 1;
            }
            b'.' if fraction_from.is_none() => fraction_from = Some(digits),
            _ => return None,
        }
    }
    if digits == 0 || digits > EXACT_DIGITS {
        return None;
    }
    let scale = POWERS_OF_TEN.get(fraction_from.map_or(0, |from| digits - from))?;
    #[expect(clippy::cast_precision_loss, reason = "below 10^15, which is exact")]
    let mantissa = mantissa as f64;
    Some(mantissa / scale)
}

/// Rust's grammar is Go's, but for two things: Go knows no sign of NaN, and an overflow is an error.
fn any_float(token: &str) -> Option<f64> {
    let number: f64 = token.parse().ok()?;
    let signed = token.starts_with(['+', '-']);
    let spelt = token.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    let accepted = if number.is_nan() { !signed } else { number.is_finite() || spelt };
    accepted.then_some(number)
}

/// A timestamp in milliseconds since the epoch: what Go's `ParseInt` accepts in base ten.
pub(super) fn timestamp(token: &str) -> Option<i64> {
    token.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_go_accepts() {
        for (token, meant) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("1", 1.0),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("00012.50", 12.5),
            ("1e3", 1e3),
            ("1E-3", 1e-3),
            ("123456789012345", 123_456_789_012_345.0),
            ("1234567890123456789", 1_234_567_890_123_456_789.0),
            ("0.1", 0.1),
            ("12345.678901234", 12_345.678_901_234),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
            ("1e-999", 0.0),
            ("+Inf", f64::INFINITY),
            ("Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("INFINITY", f64::INFINITY),
        ] {
            let read = value(token).unwrap();
            assert_eq!(read.to_bits(), f64::to_bits(meant), "{token}");
        }
        for token in ["NaN", "nan", "NAN"] {
            assert!(value(token).unwrap().is_nan());
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for token in
            ["", ".", "+", "e5", "1e", "1_000", "0x10", "0x1p4", "+NaN", "-nan", "1e999", "-1e999", "infin", "1,5", "١"]
        {
            assert_eq!(value(token), None, "{token}");
        }
    }

    #[test]
    fn the_short_way_rounds_like_the_long_way() {
        for token in ["0.3", "4.35", "999999999999999", "0.00000000000001", "1.23456789012345", "2.675", "1005.005"] {
            assert_eq!(short_decimal(token.as_bytes()), token.parse().ok(), "{token}");
        }
    }

    #[test]
    fn timestamps_are_signed_64_bit() {
        assert_eq!(timestamp("1395066363000"), Some(1_395_066_363_000));
        assert_eq!(timestamp("-1"), Some(-1));
        assert_eq!(timestamp("+1"), Some(1));
        assert_eq!(timestamp("9223372036854775807"), Some(i64::MAX));
        for token in ["", "1.5", "9223372036854775808", "1e3", "-"] {
            assert_eq!(timestamp(token), None, "{token}");
        }
    }
}
