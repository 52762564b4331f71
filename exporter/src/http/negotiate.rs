//! What a scraper wants: format, compression, parts of the page, and how long it waits. Pure.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING};

use crate::collect::{BUDGET, SAMPLERS};
use crate::exposition::Format;

/// Prometheus says here how long it waits for the whole answer.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// Share of that time for each of the two waits of a collection, for systemd and for the services; the rest
/// is for the way and for writing.
const SHARE: f64 = 0.4;

/// Shortest wait: a service that is well answers within it.
const LEAST_BUDGET: Duration = Duration::from_millis(20);

/// The format to answer in: the one with the highest q-value, text when they are equal or neither is named.
/// OpenMetrics is only given to those who ask for it by name.
pub fn format(headers: &HeaderMap) -> Format {
    let (mut text, mut open_metrics) = (0.0, 0.0_f32);
    let mut any = false;
    for (item, parameters) in items(headers, ACCEPT.as_str()) {
        any = true;
        let q = quality(parameters);
        match item {
            "application/openmetrics-text" if is_version_1(parameters) => open_metrics = open_metrics.max(q),
            "text/plain" | "text/*" | "*/*" => text = f32::max(text, q),
            _ => {}
        }
    }
    if any && open_metrics > text { Format::OpenMetrics } else { Format::Text }
}

/// Prometheus also offers the draft 0.0.1, which is not what we write.
fn is_version_1(parameters: &str) -> bool {
    parameter(parameters, "version").is_none_or(|version| version.starts_with("1."))
}

/// Whether the answer may be compressed with gzip.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut wildcard = false;
    for (item, parameters) in items(headers, ACCEPT_ENCODING.as_str()) {
        let accepted = quality(parameters) > 0.0;
        match item {
            "gzip" | "x-gzip" => return accepted,
            "*" => wildcard = accepted,
            _ => {}
        }
    }
    wildcard
}

/// How long a collection may wait for systemd, and for the services.
pub fn budget(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0) else { return BUDGET };
    // Far above any timeout a duration could not hold.
    Duration::from_secs_f64(seconds.min(60.0) * SHARE).clamp(LEAST_BUDGET, BUDGET)
}

/// The samplers that `?collect[]=…` names, as node_exporter has it; empty means all.
///
/// # Errors
/// The name of one that there is not.
pub fn wanted(query: Option<&str>) -> Result<Vec<&'static str>, String> {
    let mut wanted = Vec::new();
    for pair in query.unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !matches!(key, "collect[]" | "collect%5B%5D" | "collect%5b%5d") {
            continue;
        }
        let known = SAMPLERS.iter().find(|sampler| **sampler == value);
        let sampler =
            known.ok_or_else(|| format!("no sampler is called {value:?}. There are: {}", SAMPLERS.join(", ")))?;
        if !wanted.contains(sampler) {
            wanted.push(*sampler);
        }
    }
    Ok(wanted)
}

/// Items of a list header with their parameters, e.g. `text/plain` and `version=0.0.4;q=0.5`.
fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|item| {
        let (item, parameters) = item.split_once(';').unwrap_or((item, ""));
        (item.trim(), parameters)
    })
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// RFC 9110 section 12.4.2; what makes no sense is 1, as if it were not there.
fn quality(parameters: &str) -> f32 {
    let q = parameter(parameters, "q").and_then(|q| q.parse::<f32>().ok()).filter(|q| (0.0..=1.0).contains(q));
    q.unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn the_highest_quality_decides_and_text_is_the_default() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.4", Format::Text),
            ("text/plain, application/openmetrics-text", Format::Text),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("*/*", Format::Text),
            ("text/html", Format::Text),
            (";;q=,,=", Format::Text),
        ] {
            assert_eq!(format(&headers("accept", accept)), expected, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn gzip_is_given_to_those_who_take_it() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("br", false),
        ] {
            assert_eq!(accepts_gzip(&headers("accept-encoding", value)), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn the_budget_fits_the_scrapers_patience() {
        let budget = |value: &str| super::budget(&headers(SCRAPE_TIMEOUT, value)).as_millis();
        assert_eq!((budget("10"), budget("1"), budget("0.5"), budget("0.001")), (500, 400, 200, 20));
        for odd in ["", "x", "-1", "NaN", "inf", "1e300"] {
            assert_eq!(budget(odd), 500, "{odd}");
        }
    }

    #[test]
    fn parts_are_named_as_node_exporter_has_it() {
        assert_eq!(wanted(None).unwrap(), [] as [&str; 0]);
        assert_eq!(wanted(Some("collect[]=cpu&x=y&collect%5B%5D=load&collect[]=cpu")).unwrap(), ["cpu", "load"]);
        assert!(wanted(Some("collect[]=cpus")).unwrap_err().contains("There are: systemd, cpu"));
    }
}
