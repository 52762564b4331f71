//! A span of time in a query: `from` and `to`.

use std::ops::Range;
use std::time::Duration;

use mect_fleet::Timestamp;

use crate::error::Error;
use crate::rest::params::Params;

/// What an instant looks like.
const EXAMPLE: &str = "an instant in RFC 3339, for example 2026-11-24T03:17:19Z";
/// The years 1970 to 9998, which every store can keep and every step after them be written.
const INSTANTS: Range<i64> = 0..253_370_764_800_000;

/// Takes an instant.
pub(crate) fn instant(params: &mut Params, name: &str) -> Result<Option<Timestamp>, Error> {
    params.take_as(name, EXAMPLE, |text| {
        // A `+` that was not escaped arrives as a blank.
        let instant: Timestamp = text.replace(' ', "+").parse().ok()?;
        INSTANTS.contains(&instant.as_millis()).then_some(instant)
    })
}

/// Takes `from` and `to`. Without `to` it ends `now`, without `from` it is as long as `usual`.
pub(crate) fn take(params: &mut Params, now: Timestamp, usual: Duration) -> Result<Range<Timestamp>, Error> {
    let (from, to) = (instant(params, "from")?, instant(params, "to")?);
    let to = to.unwrap_or_else(|| from.map_or(now, |from| now.max(from)));
    let from = from.unwrap_or(to - usual);
    if from > to {
        return Err(Error::Invalid(format!("from: {from} is after the end of the span, {to}")));
    }
    Ok(from..to)
}

/// A length of time as Prometheus writes it: a whole number and `s`, `m`, `h` or `d`; seconds without a letter.
pub(crate) fn length(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.bytes().last()? {
        b's' => (text.strip_suffix('s')?, 1),
        b'm' => (text.strip_suffix('m')?, 60),
        b'h' => (text.strip_suffix('h')?, 3600),
        b'd' => (text.strip_suffix('d')?, 86_400),
        _ => (text, 1),
    };
    let number: u64 = number.bytes().all(|digit| digit.is_ascii_digit()).then(|| number.parse().ok())??;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(query: &str) -> Result<(i64, i64), String> {
        let uri = format!("/?{query}").parse().unwrap();
        let now = Timestamp::from_secs(1_000_000);
        take(&mut Params::of(&uri).unwrap(), now, Duration::from_secs(3600))
            .map(|span| (span.start.as_secs(), span.end.as_secs()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        assert_eq!(span(""), Ok((996_400, 1_000_000)));
        assert_eq!(span("from=1970-01-02T00:00:00Z"), Ok((86_400, 1_000_000)));
        assert_eq!(span("to=1970-01-02T00:00:00Z"), Ok((82_800, 86_400)));
        assert_eq!(span("from=1970-01-02T00:00:00+00:00&to=1970-01-02T00:00:01Z"), Ok((86_400, 86_401)));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert!(span("from=1970-01-03T00:00:00Z&to=1970-01-02T00:00:00Z").unwrap_err().starts_with("from: "));
        for bad in [
            "from=yesterday",
            "from=1795490239",
            "from=1969-12-31T23:59:59Z",
            "to=2026-11-24",
            "to=9999-01-01T00:00:00Z",
        ] {
            let error = span(bad).unwrap_err();
            assert!(error.starts_with(&bad[..2]) && error.contains("RFC 3339"), "{error}");
        }
    }

    #[test]
    fn lengths_are_numbers_with_a_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(length(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "m", "1w", "-5m", "1.5h", "+5", "99999999999999999999d", "9999999999999999d"] {
            assert_eq!(length(bad), None, "{bad}");
        }
    }
}
