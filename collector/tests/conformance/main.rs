//! Conformance: for each rule of both formats, pages that keep it and pages that break it.
//!
//! The rules are quoted from the formats' descriptions. A page of OpenMetrics is given without its `# EOF`, which the
//! test adds; [`whole`] has those whose end is what they are about.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod distributions;
mod exemplars;
mod families;
mod grammar;
mod metrics;
mod text;
mod types;
mod whole;

use std::io::Write as _;
use std::process::{Command, Stdio};

use mect_collector::parse::{self, Format, Limits};

/// A rule, by the words of the format's description.
struct Rule {
    says: &'static str,
    accepted: &'static [&'static str],
    refused: &'static [&'static str],
}

fn check(format: Format, rules: &[Rule], end: &str) {
    let mut wrong = Vec::new();
    let mut check = |rule: &Rule, body: &str, is_valid: bool| {
        let page = format!("{body}{end}");
        let read = parse::page(page.as_bytes(), format, &Limits::default());
        if read.is_ok() != is_valid {
            let said = read.err().map_or("accepted".to_owned(), |error| error.to_string());
            wrong.push(format!("{}\n{page:?}\n{said}", rule.says));
        }
    };
    for rule in rules {
        rule.accepted.iter().for_each(|page| check(rule, page, true));
        rule.refused.iter().for_each(|page| check(rule, page, false));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const EOF: &str = "# EOF\n";

#[test]
fn text_format() {
    check(Format::Text, text::RULES, "");
}

#[test]
fn openmetrics_pages() {
    check(Format::OpenMetrics, whole::RULES, "");
}

#[test]
fn openmetrics_grammar() {
    check(Format::OpenMetrics, grammar::RULES, EOF);
}

#[test]
fn openmetrics_families() {
    check(Format::OpenMetrics, families::RULES, EOF);
}

#[test]
fn openmetrics_metrics() {
    check(Format::OpenMetrics, metrics::RULES, EOF);
}

#[test]
fn openmetrics_types() {
    check(Format::OpenMetrics, types::RULES, EOF);
}

#[test]
fn openmetrics_distributions() {
    check(Format::OpenMetrics, distributions::RULES, EOF);
}

#[test]
fn openmetrics_exemplars() {
    check(Format::OpenMetrics, exemplars::RULES, EOF);
}

#[test]
fn bytes_that_are_no_utf8_are_refused_wherever_they_stand() {
    for page in [
        &b"a{b=\"\xff\"} 1\n# EOF\n"[..],
        b"# HELP a \xc3\x28\n# EOF\n",
        b"\xef\xbb\xbfa 1\n# EOF\n",
        b"a\xc0 1\n# EOF\n",
    ] {
        for format in [Format::Text, Format::OpenMetrics] {
            assert!(parse::page(page, format, &Limits::default()).is_err(), "{format}: {page:?}");
        }
    }
}

/// The subcommand answers with the same verdicts.
#[test]
fn the_subcommand_tells_valid_pages_from_others() {
    let parse = |arguments: &[&str], page: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
        command.arg("parse").args(arguments).arg("-");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, shown, said) = parse(&[], "# TYPE a counter\na_total 1 2.5 # {t=\"x\"} 3\n# EOF\n");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let expected = r#"{"name":"a_total","labels":{},"value":1.0,"timestamp":2500,"type":"counter","exemplar":{"labels":{"t":"x"},"value":3.0}}"#;
    assert_eq!(shown.trim_end(), expected);
    let (code, shown, said) = parse(&["--format", "openmetrics"], "a 1\nb\n# EOF\n");
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    assert!(said.starts_with("mect-collector: line 2, column 2: expected one space before the value"), "{said}");
    assert_eq!(parse(&["--format", "text"], "# EOF\na  1\n").0, Some(0));
    assert_eq!(parse(&["--format", "text"], "a  1").0, Some(1));
    assert_eq!(parse(&["--format", "json"], "").0, Some(2));
}
