//! Instants in documents that others wrote: dates, ISO 8601 texts, numbers.

use bson::Bson;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::time::Timestamp;

/// Numbers up to here are seconds since the epoch (the year 5138), larger ones milliseconds.
const SECONDS_UP_TO: f64 = 1e11;

/// The instant of a value; `None` when it holds none.
pub(super) fn timestamp(value: &Bson) -> Option<Timestamp> {
    match value {
        Bson::DateTime(date) => Some(Timestamp::from_millis(date.timestamp_millis())),
        Bson::String(text) => from_text(text),
        Bson::Int32(number) => from_number(f64::from(*number)),
        Bson::Int64(number) => from_number(*number as f64),
        Bson::Double(number) => from_number(*number),
        _ => None,
    }
}

/// ISO 8601 as Python writes it: a blank may stand for the `T`, and without a zone it is UTC.
fn from_text(text: &str) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    let parsed =
        OffsetDateTime::parse(&text, &Rfc3339).or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339));
    let millis = parsed.ok()?.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

fn from_number(number: f64) -> Option<Timestamp> {
    let millis = if number.abs() < SECONDS_UP_TO { number * 1000.0 } else { number };
    (number > 0.0 && number.is_finite()).then(|| Timestamp::from_millis(millis as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_instant_is_read() {
        let expected = Some(Timestamp::from_millis(1_714_567_890_123));
        for value in [
            Bson::DateTime(bson::DateTime::from_millis(1_714_567_890_123)),
            "2024-05-01T12:51:30.123Z".into(),
            "2024-05-01T12:51:30.123000".into(),
            "2024-05-01 12:51:30.123000+00:00".into(),
            "2024-05-01T14:51:30.123+02:00".into(),
            Bson::Double(1_714_567_890.123),
            Bson::Int64(1_714_567_890_123),
        ] {
            assert_eq!(timestamp(&value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for value in [Bson::Null, "".into(), "yesterday".into(), Bson::Double(f64::NAN), Bson::Int32(0)] {
            assert_eq!(timestamp(&value), None, "{value}");
        }
    }
}
