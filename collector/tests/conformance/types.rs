//! OpenMetrics: gauges, counters, statesets, infos, summaries and unknown metrics.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "The Sample MetricName for the value of a MetricPoint for a MetricFamily of type Gauge MUST NOT have a suffix.",
        accepted: &[
            "# TYPE a gauge\na -1\n",
            "# TYPE a gauge\na NaN\n",
            "# TYPE a gauge\na{b=\"1\"} 17.0 1520879607.789\n",
        ],
        refused: &["# TYPE a gauge\na 1\na_total 1\na 2\n"],
    },
    Rule {
        says: "If no TYPE is exposed, the MetricFamily MUST be of type Unknown.",
        accepted: &["a 1\n", "# HELP a x\na 1\n", "# TYPE a unknown\na -Inf\n", "a_total NaN\n", "a_bucket -1\n"],
        refused: &[],
    },
    Rule {
        says: "A Total is a non-NaN and MUST be monotonically non-decreasing over time, starting from 0.",
        accepted: &[
            "# TYPE a counter\na_total 0\n",
            "# TYPE a counter\na_total 1.5\n",
            "# TYPE a counter\na_total +Inf\n",
        ],
        refused: &[
            "# TYPE a counter\na_total NaN\n",
            "# TYPE a counter\na_total -1\n",
            "# TYPE a counter\na_total -Inf\n",
        ],
    },
    Rule {
        says: "A MetricPoint in a Metric with the type Counter MUST have one value called Total.",
        accepted: &[
            "# TYPE a counter\n",
            "# TYPE a counter\na_total 1\na_created 2\n",
            "# TYPE a counter\na_created 2\na_total 1\n",
            "# TYPE a counter\na_total 17.0 1520879607.789\na_created 1520430000.123 1520879607.789\n",
            "# TYPE a_total counter\na_total_total 1\n",
        ],
        refused: &[
            "# TYPE a counter\na_created 2\n",
            "# TYPE a counter\na_created{b=\"1\"} 2\na_total{b=\"2\"} 1\n",
            "# TYPE a counter\na_created 2\nb 1\n",
            "# TYPE a counter\na_total 1\na_total 1\n",
            "# TYPE a counter\na_total 1\na_created 2\na_created 2\n",
        ],
    },
    Rule {
        says: "A MetricPoint in a Metric with the type Counter SHOULD have a Timestamp value called Created. Timestamps MUST \
               be Unix Epoch in seconds.",
        accepted: &["# TYPE a counter\na_total 1\na_created -1.5\n"],
        refused: &["# TYPE a counter\na_total 1\na_created NaN\n", "# TYPE a summary\na_created +Inf\n"],
    },
    Rule {
        says: "Each State's sample MUST have a label with the MetricFamily name as the label name and the State name as the \
               label value. The State sample's value MUST be 1 if the State is true and MUST be 0 if the State is false.",
        accepted: &[
            "# TYPE a stateset\na{a=\"x\"} 0\na{a=\"y\"} 1\na{a=\"z\"} 1.0\n",
            "# TYPE a stateset\na{b=\"1\",a=\"x\"} 1\na{a=\"y\",b=\"1\"} 0\na{b=\"2\",a=\"x\"} 1\n",
            "# TYPE a stateset\na{a=\"\"} 1\n",
        ],
        refused: &[
            "# TYPE a stateset\na 0\n",
            "# TYPE a stateset\na{b=\"x\"} 0\n",
            "# TYPE a stateset\na{a=\"x\"} 2\n",
            "# TYPE a stateset\na{a=\"x\"} -1\n",
            "# TYPE a stateset\na{a=\"x\"} 0.5\n",
            "# TYPE a stateset\na{a=\"x\"} NaN\n",
        ],
    },
    Rule {
        says: "A point of a StateSet metric MAY contain multiple states and MUST contain one boolean per State.",
        accepted: &["# TYPE a stateset\na{a=\"x\"} 0 1\na{a=\"x\"} 1 2\n"],
        refused: &[
            "# TYPE a stateset\na{a=\"x\"} 0\na{a=\"x\"} 1\n",
            "# TYPE a stateset\na{a=\"x\"} 0\na{a=\"y\"} 1\na{a=\"x\"} 0\n",
        ],
    },
    Rule {
        says: "The Sample MetricName for the value of a MetricPoint for a MetricFamily of type Info MUST have the suffix \
               \"_info\". The Sample value MUST always be 1.",
        accepted: &["# TYPE a info\na_info 1\n", "# TYPE a info\na_info{b=\"x\"} 1.0\na_info{b=\"y\"} 1e0\n"],
        refused: &[
            "# TYPE a info\na_info 0\n",
            "# TYPE a info\na_info 2\n",
            "# TYPE a info\na_info NaN\n",
            "# TYPE a info\na{b=\"x\"} 1\n",
        ],
    },
    Rule {
        says: "Semantically, Count and Sum values are counters so MUST NOT be NaN or negative. Count MUST be an integer.",
        accepted: &[
            "# TYPE a summary\na_count 17.0\na_sum 324789.3\na_created 1520430000.123\n",
            "# TYPE a summary\na_sum 1\n",
            "# TYPE a summary\na_count 1\n",
        ],
        refused: &[
            "# TYPE a summary\na_count NaN\n",
            "# TYPE a summary\na_count -1\n",
            "# TYPE a summary\na_count 0.5\n",
            "# TYPE a summary\na_count +Inf\n",
            "# TYPE a summary\na_sum NaN\n",
            "# TYPE a summary\na_sum -1\n",
        ],
    },
    Rule {
        says: "Quantiles MUST be between 0 and 1 inclusive. Quantile values MUST NOT be negative.",
        accepted: &[
            "# TYPE a summary\na{quantile=\"0\"} 0\na{quantile=\"0.5\"} NaN\na{quantile=\"1.0\"} 1\n",
            "# TYPE a summary\na{quantile=\"0.9\"} 2\na{quantile=\"0.5\"} 1\n",
            "# TYPE a summary\na{quantile=\"5e-1\"} 2\n",
        ],
        refused: &[
            "# TYPE a summary\na 1\n",
            "# TYPE a summary\na{b=\"1\"} 1\n",
            "# TYPE a summary\na{quantile=\"-0.1\"} 0\n",
            "# TYPE a summary\na{quantile=\"1.01\"} 0\n",
            "# TYPE a summary\na{quantile=\"NaN\"} 0\n",
            "# TYPE a summary\na{quantile=\"x\"} 0\n",
            "# TYPE a summary\na{quantile=\"\"} 0\n",
            "# TYPE a summary\na{quantile=\"0.5\"} -1\n",
            "# TYPE a summary\na{quantile=\" 0.5\"} 1\n",
        ],
    },
    Rule {
        says: "Quantiles are a map from a quantile to a value.",
        accepted: &[],
        refused: &[
            "# TYPE a summary\na{quantile=\"0.5\"} 1\na{quantile=\"0.5\"} 1\n",
            "# TYPE a summary\na{quantile=\"0.5\"} 1\na{quantile=\"0.50\"} 2\n",
        ],
    },
    Rule {
        says: "A Quantile's Metric's LabelSet MUST NOT have \"quantile\" label name.",
        accepted: &["# TYPE a gauge\na{quantile=\"x\"} 1\n"],
        refused: &[
            "# TYPE a summary\na_sum{quantile=\"0.5\"} 1\n",
            "# TYPE a summary\na_created{quantile=\"0.5\"} 1\n",
        ],
    },
];
