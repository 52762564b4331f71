//! The Prometheus text format, version 0.0.4.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "Lines are separated by a line feed character (\\n). The last line must end with a line feed character. \
               Empty lines are ignored.",
        accepted: &["", "\n", "a 1\n", "\n\na 1\n\n", " \t\na 1\n"],
        refused: &["a 1", "a 1\nb 2", "# a comment", "a 1\r\n", "\r\n", "a 1\rb 2\n"],
    },
    Rule {
        says: "Within a line, tokens can be separated by any number of blanks and/or tabs (and must be separated by at \
               least one if they would otherwise merge with the previous token). Leading and trailing whitespace is \
               ignored.",
        accepted: &[
            "  a  1  \n",
            "\ta\t1\t2\t\n",
            "a { b = \"c\" , d=\"e\" } 1\n",
            "a{b=\"c\"}1\n",
            "# \tTYPE \ta  gauge \n",
        ],
        refused: &["a1\n", "a 12 3 4\n", "a{b=\"c\"}1 2 3\n", "a\u{a0}1\n", "a\u{b}1\n"],
    },
    Rule {
        says: "Lines with a # as the first non-whitespace character are comments. They are ignored unless the first \
               token after # is either HELP or TYPE.",
        accepted: &[
            "#\n",
            "# \n",
            "# what a {\n",
            "  # indented\n",
            "# UNIT a seconds\n",
            "# EOF\na 1\n",
            "# help a x\n",
            "#!\n",
        ],
        refused: &["a 1 # no comment here\n", "// a\n"],
    },
    Rule {
        says: "If the token is HELP, at least one more token is expected, which is the metric name.",
        accepted: &["# HELP a\n", "# HELP a \n", "# HELP a text of any kind {} = \"\n", "# HELP a:b_1 x\n"],
        refused: &["# HELP\n", "# HELP \n", "# HELP 1a x\n", "# HELP a.b x\n", "# HELP {a} x\n"],
    },
    Rule {
        says: "HELP lines may contain any sequence of UTF-8 characters (after the metric name), but the backslash and \
               the line feed characters have to be escaped as \\\\ and \\n, respectively.",
        accepted: &["# HELP a é€😀\n", "# HELP a \\\\ and \\n\n", "# HELP a nul \0\n", "# HELP a \\\\t\n"],
        refused: &["# HELP a \\t\n", "# HELP a \\\n", "# HELP a x\\\\\\\n"],
    },
    Rule {
        says: "Only one HELP line may exist for any given metric name.",
        accepted: &["# HELP a x\n# HELP b x\n"],
        refused: &["# HELP a x\n# HELP a x\n", "# HELP a x\n# HELP b x\n# HELP a y\n", "# HELP a x\na 1\n# HELP a x\n"],
    },
    Rule {
        says: "If the token is TYPE, exactly two more tokens are expected. The first is the metric name, and the second \
               is either counter, gauge, histogram, summary, or untyped.",
        accepted: &[
            "# TYPE a counter\n",
            "# TYPE a gauge\n",
            "# TYPE a histogram\n",
            "# TYPE a summary\n",
            "# TYPE a untyped\n",
        ],
        refused: &[
            "# TYPE\n",
            "# TYPE a\n",
            "# TYPE a \n",
            "# TYPE a Gauge\n",
            "# TYPE a unknown\n",
            "# TYPE a info\n",
            "# TYPE a gauge x\n",
            "# TYPE 1 gauge\n",
        ],
    },
    Rule {
        says: "Only one TYPE line may exist for a given metric name. The TYPE line for a metric name must appear before \
               the first sample is reported for that metric name.",
        accepted: &["# TYPE a gauge\na 1\n", "# HELP a x\n# TYPE a gauge\na 1\n", "# TYPE a gauge\n# HELP a x\na 1\n"],
        refused: &[
            "# TYPE a gauge\n# TYPE a gauge\n",
            "# TYPE a gauge\n# TYPE b gauge\n# TYPE a counter\n",
            "a 1\n# TYPE a gauge\n",
            "# TYPE a histogram\na_sum 1\n# TYPE a histogram\n",
        ],
    },
    Rule {
        says: "metric_name [\"{\" label_name \"=\" `\"` label_value `\"` { \",\" label_name \"=\" `\"` label_value `\"` } \
               [ \",\" ] \"}\"] value [ timestamp ]",
        accepted: &[
            "a 1\n",
            "a{b=\"c\"} 1\n",
            "a{b=\"c\",} 1\n",
            "a{b=\"c\",d=\"\"} 1 2\n",
            "a{} 1\n",
            "a:b 1\n",
            "_a 1\n",
            "a{_b=\"\"} 1\n",
        ],
        refused: &[
            "a\n",
            "a{b=\"c\"}\n",
            "a{b=\"c\" 1\n",
            "a{b=\"c} 1\n",
            "a{b=c} 1\n",
            "a{b='c'} 1\n",
            "a{b} 1\n",
            "a{b=} 1\n",
            "a{=\"c\"} 1\n",
            "a{,} 1\n",
            "a{b=\"c\",,} 1\n",
            "a{,b=\"c\"} 1\n",
            "a{b=\"c\" d=\"e\"} 1\n",
            "a{b=\"c\"d=\"e\"} 1\n",
            "a{b:c=\"d\"} 1\n",
            "a{1b=\"c\"} 1\n",
            "a{b-c=\"d\"} 1\n",
            "1a 1\n",
            "a.b 1\n",
            "a-b 1\n",
            "é 1\n",
            "{b=\"c\"} 1\n",
            "a}b 1\n",
            "a{b=\"c\"}} 1\n",
        ],
    },
    Rule {
        says: "label_value can be any sequence of UTF-8 characters, but the backslash (\\), double-quote (\"), and line \
               feed (\\n) characters have to be escaped as \\\\, \\\", and \\n, respectively.",
        accepted: &["a{b=\"é€😀 }{,=#\"} 1\n", "a{b=\"\\\\\\\"\\n\"} 1\n", "a{b=\"\0\r\t\"} 1\n"],
        refused: &["a{b=\"x\\t\"} 1\n", "a{b=\"\\\"} 1\n", "a{b=\"\"\"} 1\n", "a{b=\"x\ny\"} 1\n", "a{b=\"\\é\"} 1\n"],
    },
    Rule {
        says: "value is a float represented as required by Go's ParseFloat() function. In addition to standard numerical \
               values, NaN, +Inf, and -Inf are valid values representing not a number, positive infinity, and negative \
               infinity, respectively.",
        accepted: &[
            "a 1\n",
            "a -1\n",
            "a +1\n",
            "a 1.\n",
            "a .5\n",
            "a 1e5\n",
            "a 1E-5\n",
            "a 007\n",
            "a NaN\n",
            "a +Inf\n",
            "a -Inf\n",
            "a Inf\n",
            "a nan\n",
            "a infinity\n",
            "a 1e-999\n",
        ],
        refused: &[
            "a one\n",
            "a 1,5\n",
            "a 1e\n",
            "a .\n",
            "a +\n",
            "a 1e999\n",
            "a +NaN\n",
            "a 1_000\n",
            "a 0x\n",
            "a --1\n",
            "a 1 e5\n",
            "a \"1\"\n",
            "a infin\n",
            "a \n",
        ],
    },
    Rule {
        says: "timestamp is an int64 (milliseconds since epoch, i.e. 1970-01-01 00:00:00 UTC, excluding leap seconds), \
               represented as required by Go's ParseInt() function.",
        accepted: &["a 1 0\n", "a 1 -5\n", "a 1 +5\n", "a 1 1395066363000\n", "a 1 9223372036854775807\n"],
        refused: &[
            "a 1 1.5\n",
            "a 1 1e3\n",
            "a 1 NaN\n",
            "a 1 9223372036854775808\n",
            "a 1 0x1\n",
            "a 1 z\n",
            "a 1 1 1\n",
        ],
    },
    Rule {
        says: "A label name is a key: no sample has two of the same.",
        accepted: &["a{b=\"\",c=\"\"} 1\n"],
        refused: &[
            "a{b=\"1\",b=\"2\"} 1\n",
            "a{b=\"1\",c=\"\",b=\"1\"} 1\n",
            "a{b=\"1\",\"b\"=\"1\"} 1\n",
            "a{__name__=\"b\"} 1\n",
        ],
    },
    Rule {
        says: "Names outside the usual signs stand in double quotes, the metric's own among the labels (Prometheus 3).",
        accepted: &[
            "{\"a.b\"} 1\n",
            "{\"a.b\",c=\"d\"} 1\n",
            "a{\"b.c\"=\"d\"} 1\n",
            "# TYPE \"a.b\" gauge\n",
            "{\"a.b\",} 1\n",
        ],
        refused: &[
            "\"a.b\" 1\n",
            "{\"\"} 1\n",
            "{} 1\n",
            "{\"a\",\"b\"} 1\n",
            "a{\"b\"} 1\n",
            "{\"a.b} 1\n",
            "{\"a.b\"=} 1\n",
        ],
    },
];
