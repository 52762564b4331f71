//! Every rule of the format by example. Properties over generated pages stand in `properties`.

use super::{ErrorKind, Kind, Label, Limits, Page, ParseError, Sample, SampleTime, text};

mod properties;

fn read(page: &str) -> Page<'_> {
    text(page.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

fn refused(page: impl AsRef<[u8]>) -> ParseError {
    match text(page.as_ref(), &Limits::default()) {
        Ok(page) => panic!("accepted: {page:?}"),
        Err(error) => error,
    }
}

/// Name, labels and value of the only sample.
fn only(page: &str) -> (String, Vec<(String, String)>, f64) {
    let page = read(page);
    let [sample] = page.samples() else { panic!("not one sample: {page:?}") };
    let labels = sample.labels.iter().map(|Label { name, value }| (name.into_owned(), value.into_owned()));
    (sample.name.to_string(), labels.collect(), sample.value)
}

fn labels(of: &str) -> Vec<(String, String)> {
    only(of).1
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn empty_pages_and_lines_are_valid() {
    for page in ["", "\n", " \t\n\n", "#\n", "# \n", "#!\n", "# a comment\n", "#HELP x\n", "# HELPER x\n", "#HELP\n"] {
        assert!(read(page).samples().is_empty());
        assert!(read(page).families().is_empty(), "{page}");
    }
}

#[test]
fn a_sample_has_a_name_labels_a_value_and_perhaps_a_time() {
    let page = read("a:b_1{x=\"y\",z=\"\"} 4.5 1395066363000\n");
    let sample = &page.samples()[0];
    let timestamp = Some(SampleTime::Milliseconds(1_395_066_363_000));
    assert_eq!((&*sample.name, sample.value, sample.timestamp), ("a:b_1", 4.5, timestamp));
    assert_eq!(sample.labels.len(), 2);
    assert_eq!(sample.labels.get("x").as_deref(), Some("y"));
    assert_eq!(sample.labels.get("z").as_deref(), Some(""));
    assert_eq!(sample.labels.get("y"), None);
    assert_eq!(read("a 1 -5\n").samples()[0].timestamp, Some(SampleTime::Milliseconds(-5)));
    assert_eq!(read("a 1\n").samples()[0].timestamp, None);
}

#[test]
fn blanks_may_stand_between_any_tokens() {
    let spread = " \ta { x\t= \"y\" ,  z =\"\" , }\t1 \t 7 \n";
    assert_eq!(only(spread), only("a{x=\"y\",z=\"\"} 1 7\n"));
    assert_eq!(labels("a{x=\"y\"}1\n"), [pair("x", "y")]);
    assert_eq!(labels("a{}1\n"), []);
    assert_eq!(labels("a { } 1\n"), []);
}

#[test]
fn label_values_may_hold_anything_but_a_raw_line_feed() {
    assert_eq!(labels("a{x=\"}, =#{\"} 1\n"), [pair("x", "}, =#{")]);
    assert_eq!(labels("a{x=\"\r\t ü€😀\"} 1\n"), [pair("x", "\r\t ü€😀")]);
    assert_eq!(labels("a{x=\"\\\\\\\"\\n\"} 1\n"), [pair("x", "\\\"\n")]);
    assert_eq!(labels("a{x=\"a\0b\"} 1\n"), [pair("x", "a\0b")]);
    assert_eq!(refused("a{x=\"1\n\"} 1\n").expected, "the closing double quote");
    assert_eq!(refused("a{x=\"1\\\n").expected, "the closing double quote");
}

#[test]
fn names_may_be_quoted_and_then_hold_anything() {
    let (name, labels, _) = only("{\"a.b\",\"c d\"=\"e\",f=\"g\"} 1\n");
    assert_eq!((name.as_str(), labels), ("a.b", vec![pair("c d", "e"), pair("f", "g")]));
    assert_eq!(only("{x=\"y\", \"a.b\"} 1\n").0, "a.b");
    assert_eq!(only("{\"a\\\"b\"} 1\n").0, "a\"b");
    assert_eq!(only("{ \"a.b\" , }1\n").0, "a.b");
    assert_eq!(only("a{\"b.c\"=\"d\"} 1\n").1, [pair("b.c", "d")]);
    let page = read("# TYPE \"a.b\" gauge\n# HELP \"a.b\" why\n{\"a.b\"} 1\n");
    assert_eq!(page.family_of(&page.samples()[0]).unwrap().kind, Some(Kind::Gauge));
}

#[test]
fn bad_lines_say_where_and_what() {
    const VALUE: &str = "a value: a number within 64-bit range, NaN, +Inf or -Inf";
    const KIND: &str = "counter, gauge, histogram, summary or untyped";
    const BACKSLASH: &str = "a backslash written as \\\\, or one of \\n and \\\"";
    for (line, column, expected) in [
        ("1a 1", 1, "a metric name, \"{\" or \"#\""),
        ("é 1", 1, "a metric name, \"{\" or \"#\""),
        ("a-b 1", 2, "a blank or \"{\" after the metric name"),
        ("a-1 2", 2, "a blank or \"{\" after the metric name"),
        ("a.b{x=\"y\"} 1", 2, "a blank or \"{\" after the metric name"),
        ("{} 1", 1, "a metric name before or inside the braces"),
        ("{x=\"y\"} 1", 1, "a metric name before or inside the braces"),
        ("a{\"b\"} 1", 3, "only one metric name"),
        ("{\"a\",\"b\"} 1", 6, "only one metric name"),
        ("{\"\"} 1", 2, "a name that is not empty"),
        ("a{\"\"=\"y\"} 1", 3, "a name that is not empty"),
        ("a{,} 1", 3, "a label name or \"}\""),
        ("a{x=\"y\",,} 1", 9, "a label name or \"}\""),
        ("a{1=\"y\"} 1", 3, "a label name or \"}\""),
        ("a{x:y=\"z\"} 1", 4, "\"=\" after the label name"),
        ("a{x} 1", 4, "\"=\" after the label name"),
        ("a{\"x\" \"y\"} 1", 7, "\"=\", \",\" or \"}\" after the quoted name"),
        ("a{x=y} 1", 5, "a label value in double quotes"),
        ("a{x='y'} 1", 5, "a label value in double quotes"),
        ("a{x=\"y\" z=\"\"} 1", 9, "\",\" or \"}\" after the label value"),
        ("a{x=\"y\"", 8, "\",\" or \"}\" after the label value"),
        ("a{x=\"y", 7, "the closing double quote"),
        ("a{", 3, "a label name or \"}\""),
        ("a{x=\"1\",x=\"2\"} 1", 9, "each label name only once"),
        ("a{x=\"1\",\"x\"=\"2\"} 1", 9, "each label name only once"),
        ("a{\"\\\\\"=\"1\",\"\\\\\"=\"2\"} 1", 12, "each label name only once"),
        ("a{__name__=\"b\"} 1", 3, "a label name other than __name__"),
        ("a", 2, VALUE),
        ("a ", 3, VALUE),
        ("a{} one", 5, VALUE),
        ("a{}{} 1", 4, VALUE),
        ("a 1 2.5", 5, "a timestamp in whole milliseconds, or nothing"),
        ("a 1 # {}", 5, "a timestamp in whole milliseconds, or nothing"),
        ("a 1 2 3", 7, "the end of the line after the timestamp"),
        ("a 1\r", 4, "lines that end with a line feed alone"),
        ("\r", 1, "lines that end with a line feed alone"),
        ("# HELP 1 x", 8, "a metric name"),
        ("# HELP", 7, "a metric name"),
        ("# TYPE", 7, "a metric name"),
        ("# HELP a \\t", 10, BACKSLASH),
        ("# HELP a x\\", 11, BACKSLASH),
        ("a{x=\"y\\t\"} 1", 7, BACKSLASH),
        ("a{\"x\\é\"=\"\"} 1", 5, BACKSLASH),
        ("{\"a\\.\"} 1", 4, BACKSLASH),
        ("a\0 1", 2, "a blank or \"{\" after the metric name"),
        ("a 1\0", 3, VALUE),
        ("#\0", 2, "text without NUL bytes"),
        ("# TYPE ", 8, "a metric name"),
        ("# HELP a.b x", 9, "a blank after the metric name"),
        ("# TYPE a", 9, KIND),
        ("# TYPE a Counter", 10, KIND),
        ("# TYPE a gauge x", 10, KIND),
        ("# TYPE a unknown", 10, KIND),
    ] {
        let error = refused(format!("ok 1\n{line}\nok 2\n"));
        assert_eq!((error.line, error.column, error.kind), (2, column, ErrorKind::Syntax), "{line:?}: {error}");
        assert_eq!(error.expected, expected, "{line:?}");
    }
}

#[test]
fn errors_read_as_sentences() {
    let sentence = |page: &str| refused(page).to_string();
    assert_eq!(sentence("a{x} 1\n"), "line 1, column 4: expected \"=\" after the label name, found '}'");
    assert_eq!(sentence("\na{x\n"), "line 2, column 4: expected \"=\" after the label name, found the end of the line");
    assert_eq!(sentence("a 1\nb 2"), "line 2, column 4: expected a line feed at the end of the page");
}

#[test]
fn families_have_kinds_and_help() {
    let page = read(concat!(
        "# HELP a two\\nlines, C:\\\\dir and \\\"quotes\\\"\n# TYPE a  counter \na 1\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\ns_bucket 1\nb 1\n",
    ));
    let names: Vec<_> = page.families().iter().map(|family| (&*family.name, family.kind)).collect();
    let counter = ("a", Some(Kind::Counter));
    let (histogram, summary) = (("h", Some(Kind::Histogram)), ("s", Some(Kind::Summary)));
    assert_eq!(names, [counter, histogram, summary, ("s_bucket", None), ("b", None)]);
    assert_eq!(page.families()[0].help().as_deref(), Some("two\nlines, C:\\dir and \\\"quotes\\\""));
    let owners: Vec<_> = page.samples().iter().map(|sample| &*page.family_of(sample).unwrap().name).collect();
    assert_eq!(owners, ["a", "h", "h", "h", "s", "s", "s", "s_bucket", "b"]);
    let other = read("z 1\n");
    assert_eq!(page.family_of(&other.samples()[0]), None);
}

#[test]
fn type_and_help_come_once_and_type_comes_first() {
    let expected = |page: &str| (refused(page).line, refused(page).expected);
    assert_eq!(expected("# TYPE a gauge\n# TYPE a gauge\n"), (2, "only one TYPE line for a metric name"));
    assert_eq!(expected("# HELP a x\na 1\n# HELP a x\n"), (3, "only one HELP line for a metric name"));
    let late = "the TYPE line before the samples of its metric";
    assert_eq!(expected("a 1\nb 1\n# TYPE a gauge\n"), (3, late));
    assert_eq!(expected("# TYPE h summary\nh_sum 1\n# TYPE h gauge\n"), (3, late));
    // Allowed: HELP behind samples, names apart, series twice.
    assert_eq!(read("a 1\nb 1\na 1\n# HELP a x\n# HELP b\n").samples().len(), 3);
}

#[test]
fn nothing_but_complete_utf8_text_is_read() {
    let error = refused(b"ok 1\na{x=\"\xff\"} 1\n");
    assert_eq!((error.line, error.column, error.kind), (2, 6, ErrorKind::Utf8));
    assert_eq!(refused(b"# HELP a \xc3(\n").kind, ErrorKind::Utf8);
    let error = refused(b"ok 1\nok 2\n# \0\n");
    assert_eq!((error.line, error.column, error.kind), (3, 3, ErrorKind::Syntax));
    for cut in ["up 1", "up 1\nup", "# a comment", "a{x=\"é"] {
        assert_eq!(refused(cut).kind, ErrorKind::Truncated, "{cut}");
    }
    assert_eq!(refused(b"a{x=\"\xc3").kind, ErrorKind::Truncated);
    // What is wrong before the cut is told first.
    assert_eq!(refused("a\nup 1").kind, ErrorKind::Syntax);
}

#[test]
fn limits_are_inclusive_and_named() {
    let limits = Limits { samples: 2, families: 3, labels: 2, line_bytes: 20 };
    let check = |page: &str| text(page.as_bytes(), &limits).map(|page| page.samples().len());
    let limit = |page: &str| {
        let error = check(page).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Limit, "{page}");
        (error.line, error.column, error.expected)
    };
    assert_eq!(check("a 1\na 2\n"), Ok(2));
    assert_eq!(limit("a 1\na 2\na 3\n"), (3, 1, "no more samples than the limit"));
    assert_eq!(check("a{x=\"\",y=\"\"} 1\n"), Ok(1));
    assert_eq!(limit("a{x=\"\",y=\"\",z=\"\"} 1\n"), (1, 13, "no more labels than the limit"));
    assert_eq!(check("# HELP a\n# HELP b\n# HELP c\nc 1\n"), Ok(1));
    assert_eq!(limit("# HELP a\n# HELP b\n# HELP c\nd 1\n"), (4, 1, "no more metric families than the limit"));
    assert_eq!(check("# 345678901234567890\n"), Ok(0));
    assert_eq!(limit("# 3456789012345678901\n"), (1, 21, "no line longer than the limit"));
}

#[test]
fn a_sample_stays_small() {
    // The page's table of samples is most of what a scrape holds.
    assert_eq!(size_of::<Sample<'_>>(), 80);
}
