//! The text format 0.0.4: label values, numbers, and which names it can write.

use std::borrow::Cow;
use std::io::Write;

/// Whole numbers up to here are written without a fraction or an exponent.
const MAX_WHOLE: f64 = 1e15;

/// A label's value, escaped.
pub(super) fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

/// Writes a value in the shortest way that reads back as the same number.
pub(super) fn number(value: f64, to: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = if value.is_nan() {
        to.write_all(b"NaN")
    } else if value.is_infinite() {
        to.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if value.fract() == 0.0 && value.abs() < MAX_WHOLE && (value != 0.0 || value.is_sign_positive()) {
        write!(to, "{}", value as i64)
    } else {
        // With an exponent where the digits would be many.
        write!(to, "{value:?}")
    };
}

/// True for a metric name that every version of the format can write.
pub(super) fn is_metric_name(name: &str) -> bool {
    is_label_name(&name.replace(':', "_"))
}

/// True for a label name that every version of the format can write.
pub(super) fn is_label_name(name: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let bytes = name.as_bytes();
    bytes.first().is_some_and(is_letter) && bytes.iter().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64) -> String {
        let mut text = Vec::new();
        number(value, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_read_back_as_they_were() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0.0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (0.25, "0.25"),
            (1e300, "1e300"),
            (1.5e-9, "1.5e-9"),
            (1_795_000_000.123, "1795000000.123"),
            (999_999_999_999_999.0, "999999999999999"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(written(value), text);
            assert!(text.parse::<f64>().is_ok_and(|read| read.to_bits() == value.to_bits() || value.is_nan()));
        }
    }

    #[test]
    fn values_are_escaped_and_names_judged() {
        assert_eq!(escaped("plain ü"), "plain ü");
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
        assert!(is_metric_name("node:load1") && !is_label_name("node:load1"));
        for bad in ["", "9a", "a.b", "ä", "a b"] {
            assert!(!is_metric_name(bad) && !is_label_name(bad), "{bad}");
        }
    }
}
