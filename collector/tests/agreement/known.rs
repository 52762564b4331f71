//! Where the two readers differ, and the sentence that decides it.

/// What is refused by one of them alone.
pub(crate) struct Known {
    /// What we expect where we refuse, and why we are right.
    ours: &'static [(&'static str, &'static str)],
    /// A part of what they say where they refuse, and why they are wrong.
    theirs: &'static [(&'static str, &'static str)],
}

impl Known {
    pub(crate) fn we_refuse(&self, expected: &str) -> bool {
        self.ours.iter().any(|(known, _)| *known == expected)
    }

    pub(crate) fn they_refuse(&self, error: &str) -> bool {
        self.theirs.iter().any(|(known, _)| error.contains(known))
    }
}

/// It calls itself "a laxer parser than the main Go parser".
pub(crate) const TEXT: Known = Known {
    ours: &[
        ("a line feed at the end of the page", "The last line must end with a line feed character."),
        ("lines that end with a line feed alone", "Lines are separated by a line feed character (\\n)."),
        ("only one HELP line for a metric name", "Only one HELP line may exist for any given metric name."),
        ("only one TYPE line for a metric name", "Only one TYPE line may exist for a given metric name."),
        (
            "the TYPE line before the samples of its metric",
            "The TYPE line for a metric name must appear before the first sample is reported for that metric name.",
        ),
        ("\",\" or \"}\" after the label value", LABELS),
        ("\"=\" after the label name", LABELS),
        ("\"=\", \",\" or \"}\" after the quoted name", LABELS),
        ("a label name or \"}\"", LABELS),
        ("a label value in double quotes", LABELS),
        ("the closing double quote", LABELS),
        ("only one metric name", LABELS),
        (
            "a backslash written as \\\\, or one of \\n and \\\"",
            "the backslash (\\), double-quote (\"), and line feed (\\n) characters have to be escaped",
        ),
        ("a timestamp in whole milliseconds, or nothing", "timestamp is an int64 (milliseconds since epoch)"),
        ("the end of the line after the timestamp", "value [ timestamp ]"),
        (
            "a value: a number within 64-bit range, NaN, +Inf or -Inf",
            "value is a float represented as required by Go's ParseFloat() function.",
        ),
        ("text without NUL bytes", "No sentence: a page with NUL outside of texts is no text."),
    ],
    theirs: &[],
};

const LABELS: &str =
    "\"{\" label_name \"=\" `\"` label_value `\"` { \",\" label_name \"=\" `\"` label_value `\"` } [ \",\" ] \"}\"";

pub(crate) const OPENMETRICS: Known = Known {
    ours: &[
        (
            "\"# TYPE \", \"# UNIT \", \"# HELP \" or \"# EOF\": there are no comments",
            "metric-descriptor = HASH SP type SP metricname SP metric-type LF",
        ),
        ("one space before the value", "sample = metricname [labels] SP number [SP timestamp] [exemplar] LF"),
        ("a label \"le\" with a number, infinite as \"+Inf\"", "number = realnumber"),
        ("a label \"quantile\" with a number from 0 to 1", "number = realnumber"),
        (
            "a double quote written as \\\"",
            "normal-char: any unicode character, except newline, double quote, and backslash",
        ),
        ("a backslash written as \\\\", "escaped-char =/ BS normal-char"),
        ("lines that end with a line feed alone", "Line endings MUST NOT contain carriage returns (\\r)."),
        (
            "a total in every counter",
            "A MetricPoint in a Metric with the type Counter MUST have one value called Total.",
        ),
        ("an exemplar's value that its bucket covers", "the value of the exemplar MUST be within this range."),
        ("buckets in increasing order of \"le\", each once", "Bucket thresholds within a MetricPoint MUST be unique."),
        ("each quantile only once", "Quantiles are a map from a quantile to a value."),
        ("each state only once", "MUST contain one boolean per State."),
        (
            "each sample of a metric only once, or with increasing timestamps",
            "its MetricPoints MUST have monotonically increasing timestamps.",
        ),
    ],
    theirs: &[(
        "_sum/_gsum must be present if _count is present",
        "Empty label values SHOULD be treated as if the label was not present.",
    )],
};
