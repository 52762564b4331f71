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

/// A short length of time: `12 ms`, `1.3 s`.
pub(crate) fn millis(millis: u32) -> String {
    if millis < 1000 { format!("{millis} ms") } else { format!("{:.1} s", f64::from(millis) / 1000.0) }
}

/// `2026-11-24 03:17:19 UTC`.
pub(crate) fn utc(at: Timestamp) -> String {
    let text = at.to_string();
    match text.get(..19) {
        Some(seconds) => format!("{} UTC", seconds.replace('T', " ")),
        None => text,
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `03:17`, in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_string().get(11..16).unwrap_or_default().to_owned()
}

/// `24 Nov`, in UTC.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    let number = |part: Option<&str>| part.and_then(|digits| digits.parse::<usize>().ok());
    match (number(text.get(5..7)), number(text.get(8..10))) {
        (Some(month), Some(day)) if text.get(4..5) == Some("-") => {
            format!("{day} {}", MONTHS.get(month.wrapping_sub(1)).unwrap_or(&""))
        }
        _ => text,
    }
}

/// An instant in a sentence, as exact as it must be: `14:02 UTC` within the day of `now`, else `24 Nov, 14:02 UTC`; with
/// the year in another one.
pub(crate) fn instant(at: Timestamp, now: Timestamp) -> String {
    let year = |at: Timestamp| at.to_string().get(..4).unwrap_or_default().to_owned();
    match () {
        () if at.day() == now.day() => format!("{} UTC", clock(at)),
        () if year(at) == year(now) => format!("{}, {} UTC", day(at), clock(at)),
        () => format!("{} {}, {} UTC", day(at), year(at), clock(at)),
    }
}

/// A duration of a scrape: `12 ms`, `1.4 s`.
pub(crate) fn milliseconds(milliseconds: f64) -> String {
    if milliseconds < 1.0 {
        "< 1 ms".to_owned()
    } else if milliseconds < 999.5 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1000.0)
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
        assert_eq!([millis(0), millis(999), millis(1340)], ["0 ms", "999 ms", "1.3 s"]);
        assert_eq!(utc(Timestamp::from_millis(1_795_490_239_250)), "2026-11-24 03:17:19 UTC");
    }

    #[test]
    fn instants_are_as_exact_as_they_must_be() {
        let now = Timestamp::from_millis(1_795_490_239_250);
        let before = |hours: u64| instant(now - Duration::from_secs(hours * 3600), now);
        assert_eq!([before(1), before(24)], ["02:17 UTC", "23 Nov, 03:17 UTC"]);
        assert_eq!(before(24 * 365), "24 Nov 2025, 03:17 UTC");
        assert_eq!(day(Timestamp::MAX), Timestamp::MAX.to_string());
        assert_eq!([milliseconds(0.0), milliseconds(0.9)], ["< 1 ms", "< 1 ms"]);
        assert_eq!([milliseconds(7.4), milliseconds(999.4), milliseconds(1449.0)], ["7 ms", "999 ms", "1.4 s"]);
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
