//! A query, read strictly: each name once, and every mistake is named with what is allowed.

use std::fmt;
use std::str::FromStr;

use axum::extract::Query;
use http::Uri;

use crate::error::Error;

/// A longer query is no question about a fleet.
const MAX_QUERY_BYTES: usize = 4096;
/// Values of one list.
const MAX_VALUES: usize = 100;
/// Of a wrong value, so much is repeated to its sender.
const MAX_ECHO_CHARS: usize = 40;

/// The names and values of a query that nobody has taken yet.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Takes the query apart.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Error> {
        Self::within(uri, MAX_QUERY_BYTES)
    }

    /// Takes a query of up to `most` bytes apart.
    pub(crate) fn within(uri: &Uri, most: usize) -> Result<Self, Error> {
        if uri.query().is_some_and(|query| query.len() > most) {
            return Err(Error::QueryTooLong { most });
        }
        let Query(pairs) = Query::try_from_uri(uri)?;
        Ok(Self(pairs))
    }

    /// The value of `name`; none when it is not given or empty.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Error> {
        let mut values = self.0.extract_if(.., |(known, _)| known == name).map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(Error::Invalid(format!("{name}: given more than once")));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// Every value of a name that may be given several times.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(known, _)| known == name).map(|(_, value)| value).collect()
    }

    /// The value of `name` as `parse` reads it; `allowed` says what that takes.
    pub(crate) fn take_as<T>(
        &mut self,
        name: &str,
        allowed: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        parse(&value).map(Some).ok_or_else(|| refuse(name, &value, allowed))
    }

    /// Yes or no.
    pub(crate) fn take_flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        self.take_as(name, "true or false", crate::rest::lenient::word)
    }

    /// A count from 1 to `most`.
    pub(crate) fn take_count(&mut self, name: &str, most: usize) -> Result<Option<usize>, Error> {
        self.take_as(name, format_args!("a whole number from 1 to {most}"), |value| {
            value.parse().ok().filter(|count| (1..=most).contains(count))
        })
    }

    /// A number from `-most` to `most`.
    pub(crate) fn take_degrees(&mut self, name: &str, most: f64) -> Result<Option<f64>, Error> {
        self.take_as(name, format_args!("degrees from -{most} to {most}"), |value| {
            f64::from_str(value).ok().filter(|degrees| (-most..=most).contains(degrees))
        })
    }

    /// The values of a list, separated by commas, as `parse` reads each: sorted, each once.
    pub(crate) fn take_list<T: Ord>(
        &mut self,
        name: &str,
        allowed: impl fmt::Display,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let Some(list) = self.take(name)? else { return Ok(Vec::new()) };
        let mut values = Vec::new();
        for value in list.split(',').map(str::trim).filter(|value| !value.is_empty()) {
            if values.len() == MAX_VALUES {
                return Err(Error::Invalid(format!("{name}: more than {MAX_VALUES} values")));
            }
            values.push(parse(value).ok_or_else(|| refuse(name, value, &allowed))?);
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// Refuses what is left: a misspelt name must not pass for a question that was answered.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::Invalid(format!("unknown parameter `{}`", echo(name)))),
        }
    }
}

fn refuse(name: &str, value: &str, allowed: impl fmt::Display) -> Error {
    Error::Invalid(format!("{name}: `{}` is not allowed; give {allowed}", echo(value)))
}

/// The beginning of a text from outside, fit to be shown.
pub(crate) fn echo(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_ECHO_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_ECHO_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Result<Params, Error> {
        Params::of(&format!("/servers?{query}").parse().unwrap())
    }

    #[track_caller]
    fn says<T>(result: Result<T, Error>, text: &str) {
        assert_eq!(result.err().map(|error| error.to_string()).as_deref(), Some(text));
    }

    #[test]
    fn values_are_read_and_mistakes_named() {
        let mut query = params("limit=5&lat=-12.5&paid=Yes&country=de,+NL,de,&empty=").unwrap();
        assert_eq!(query.take_count("limit", 10).unwrap(), Some(5));
        assert_eq!(query.take_degrees("lat", 90.0).unwrap(), Some(-12.5));
        assert_eq!(query.take_flag("paid").unwrap(), Some(true));
        assert_eq!(query.take_list("country", "", |text| Some(text.to_owned())).unwrap(), ["NL", "de"]);
        assert_eq!(query.take("empty").unwrap(), None);
        query.finish().unwrap();

        let whole = "a whole number from 1 to 10";
        for bad in ["0", "-1", "11", "1.5", "9999999999999999999999", "ten", "٣"] {
            says(
                params(&format!("limit={bad}")).unwrap().take_count("limit", 10),
                &format!("limit: `{bad}` is not allowed; give {whole}"),
            );
        }
        for bad in ["NaN", "inf", "-inf", "90.1", "1e999", "north"] {
            says(
                params(&format!("lat={bad}")).unwrap().take_degrees("lat", 90.0),
                &format!("lat: `{bad}` is not allowed; give degrees from -90 to 90"),
            );
        }
        says(params("a=1&a=1").unwrap().take("a"), "a: given more than once");
        says(params("colour=red").unwrap().finish(), "unknown parameter `colour`");
        let many = vec!["x"; 101].join(",");
        let list = params(&format!("tag={many}")).unwrap().take_list("tag", "", |text| Some(text.to_owned()));
        says(list, "tag: more than 100 values");
    }

    #[test]
    fn what_is_long_or_odd_is_cut_and_escaped() {
        says(params(&"x".repeat(5_000)), "The query is longer than 4096 bytes");
        let long = params(&format!("limit={}", "9".repeat(1_000))).unwrap().take_count("limit", 10);
        says(long, &format!("limit: `{}…` is not allowed; give a whole number from 1 to 10", "9".repeat(40)));
        says(params("%00%E2%80%AE=1").unwrap().finish(), "unknown parameter `\\0\\u{202e}`");
        params("%ff=%fe").unwrap().finish().unwrap_err();
    }
}
