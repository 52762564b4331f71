//! OpenMetrics: histograms and gauge histograms.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "Histogram MetricPoints MUST have one bucket with an +Inf threshold.",
        accepted: &[
            "# TYPE a histogram\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 3\na_count 3\na_sum 2\na_created 1\n",
            "# TYPE a histogram\na_sum 2\na_count 3\na_bucket{le=\"+Inf\"} 3\n",
            "# TYPE a histogram\na_bucket{b=\"1\",le=\"+Inf\"} 0\na_bucket{le=\"+Inf\",b=\"2\"} 0\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 0\n",
        ],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"1\"} 0\n",
            "# TYPE a histogram\na_sum 1\na_count 1\n",
            "# TYPE a histogram\na_created 1\n",
            "# TYPE a histogram\na_bucket{b=\"1\",le=\"1\"} 0\na_bucket{b=\"2\",le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 0 1\na_bucket{le=\"+Inf\"} 0 2\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 0\nb 1\n",
        ],
    },
    Rule {
        says: "Exposers MUST produce output for positive infinity as +Inf. Bucket thresholds MUST NOT equal NaN. Every \
               bucket MUST have a threshold and a value.",
        accepted: &["# TYPE a histogram\na_bucket{le=\"-Inf\"} 0\na_bucket{le=\"+Inf\"} 0\n"],
        refused: &[
            "# TYPE a histogram\na_bucket 0\n",
            "# TYPE a histogram\na_bucket{le=\"\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"NaN\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"x\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"+inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"+Infinity\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\" 1\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a gaugehistogram\na_bucket 0\n",
        ],
    },
    Rule {
        says: "Parsers MUST NOT reject inputs which are outside of the canonical values merely because they are not \
               consistent with the canonical values.",
        accepted: &[
            "# TYPE a histogram\na_bucket{le=\"0\"} 0\na_bucket{le=\"0.00000000001\"} 0\na_bucket{le=\"1e-04\"} 0\na_bucket{le=\"1.1e-4\"} 0\n\
             a_bucket{le=\"1\"} 0\na_bucket{le=\"1e10\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a summary\na{quantile=\"0.50\"} 1\na{quantile=\"1e0\"} 1\n",
        ],
        refused: &[],
    },
    Rule {
        says: "Buckets MUST be sorted in number increasing order of \"le\". Bucket thresholds within a MetricPoint MUST be \
               unique.",
        accepted: &["# TYPE a histogram\na_bucket{le=\"2\"} 0\na_bucket{le=\"10\"} 0\na_bucket{le=\"+Inf\"} 0\n"],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"2\"} 0\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_bucket{le=\"1\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 0\na_bucket{le=\"1.0\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"2\"} 0\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 0\n",
        ],
    },
    Rule {
        says: "Buckets MUST be cumulative.",
        accepted: &["# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"2\"} 1\na_bucket{le=\"+Inf\"} 1\n"],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 0\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 9007199254740993\na_bucket{le=\"+Inf\"} 9007199254740992\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 0\n",
        ],
    },
    Rule {
        says: "Semantically, Sum, and buckets values are counters so MUST NOT be NaN or negative. Count and bucket values \
               MUST be integers.",
        accepted: &["# TYPE a histogram\na_bucket{le=\"+Inf\"} 3.0\na_count 3\na_sum +Inf\n"],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} -1\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} NaN\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0.5\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} +Inf\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_count 0\na_sum NaN\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_count 0\na_sum -1\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_count -0.5\na_sum 0\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} -1\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 0.5\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 0\na_gcount 0\na_gsum NaN\n",
        ],
    },
    Rule {
        says: "If and only if a Sum Value is present in a MetricPoint, then the MetricPoint's +Inf Bucket value MUST also \
               appear in a Sample with a MetricName with the suffix \"_count\".",
        accepted: &["# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gcount 3\na_gsum 2\n"],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 3\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_sum 3\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 2\na_sum 3\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 9007199254740992\na_count 9007199254740993\na_sum 3\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gcount 3\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gsum 3\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gcount 4\na_gsum 3\n",
        ],
    },
    Rule {
        says: "Negative threshold buckets MAY be used, but then the Histogram MetricPoint MUST NOT contain a sum value as it \
               would no longer be a counter semantically.",
        accepted: &[
            "# TYPE a histogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\na_gcount 2\na_gsum -7\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\na_gcount 2\na_gsum 7\n",
        ],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\na_count 2\na_sum 1\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_gcount 2\na_gsum -7\n",
        ],
    },
    Rule {
        says: "A Histogram's Metric's LabelSet MUST NOT have a \"le\" label name.",
        accepted: &["# TYPE a gauge\na{le=\"x\"} 1\n", "# TYPE a summary\na_sum{le=\"1\"} 1\n"],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_created{le=\"+Inf\"} 1\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_count{le=\"1\"} 0\na_sum 0\n",
        ],
    },
    Rule {
        says: "An example of a Metric with no labels and a MetricPoint with Sum, Count, and Created values, and with 12 \
               buckets.",
        accepted: &[concat!(
            "# TYPE foo histogram\nfoo_bucket{le=\"0.0\"} 0\nfoo_bucket{le=\"1e-05\"} 0\nfoo_bucket{le=\"0.0001\"} 5\n",
            "foo_bucket{le=\"0.1\"} 8\nfoo_bucket{le=\"1.0\"} 10\nfoo_bucket{le=\"10.0\"} 11\nfoo_bucket{le=\"100000.0\"} 11\n",
            "foo_bucket{le=\"1e+06\"} 15\nfoo_bucket{le=\"1e+23\"} 16\nfoo_bucket{le=\"1.1e+23\"} 17\nfoo_bucket{le=\"+Inf\"} 17\n",
            "foo_count 17\nfoo_sum 324789.3\nfoo_created 1520430000.123\n",
        )],
        refused: &[],
    },
];
