//! Numbers and times as people read them, with units.

use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::reading::percent;

/// How long ago, in the one unit that matters: `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`.
pub(crate) fn ago(age: Duration) -> String {
    format!("{} ago", span(age))
}

/// A length of time in the one unit that matters.
pub(crate) fn span(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// `2026-11-24 03:17:19 UTC`.
pub(crate) fn utc(at: Timestamp) -> String {
    let text = at.to_string();
    match text.get(..19) {
        Some(seconds) => format!("{} UTC", seconds.replace('T', " ")),
        None => text,
    }
}

/// A rate of bytes as networks state it: bits per second in decimal units.
pub(crate) fn bit_rate(bytes_per_second: f64) -> String {
    let bits = bytes_per_second.max(0.0) * 8.0;
    let (value, unit) = match bits {
        bits if bits >= 1e12 => (bits / 1e12, "Tbit/s"),
        bits if bits >= 1e9 => (bits / 1e9, "Gbit/s"),
        bits if bits >= 1e6 => (bits / 1e6, "Mbit/s"),
        bits => (bits / 1e3, "kbit/s"),
    };
    let decimals = if value >= 100.0 { 0 } else { 1 };
    format!("{value:.decimals$} {unit}")
}

/// A count with thousands separated: `50,000`.
pub(crate) fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio as a whole percentage: `42 %`.
pub(crate) fn whole_percent(ratio: f32) -> String {
    format!("{:.0} %", percent(ratio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_unit() {
        let text = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!([text(0), text(59), text(60), text(7199)], ["0 s ago", "59 s ago", "1 min ago", "1 h ago"]);
        assert_eq!(text(86_400 * 3), "3 d ago");
        assert_eq!(utc(Timestamp::from_millis(1_795_490_239_250)), "2026-11-24 03:17:19 UTC");
    }

    #[test]
    fn rates_are_bits() {
        assert_eq!(bit_rate(0.0), "0.0 kbit/s");
        assert_eq!(bit_rate(125_000.0), "1.0 Mbit/s");
        assert_eq!(bit_rate(50_000_000.0), "400 Mbit/s");
        assert_eq!(bit_rate(1.5e9), "12.0 Gbit/s");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [count(7u32), count(999u32), count(1000u32), count(1_234_567u32)],
            ["7", "999", "1,000", "1,234,567"]
        );
    }
}
