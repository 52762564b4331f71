//! OpenMetrics: metric families, their metadata and their names.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "MetricFamilies MUST NOT be interleaved.",
        accepted: &["a 1\nb 1\n", "a{x=\"1\"} 1\na{x=\"2\"} 1\nb 1\n"],
        refused: &[
            "a{x=\"1\"} 1\nb 1\na{x=\"2\"} 1\n",
            "# TYPE a gauge\n# TYPE b gauge\na 1\nb 1\n",
            "# TYPE a counter\na_total 1\nb 1\na_total{x=\"1\"} 1\n",
            "# TYPE a gauge\n# TYPE b gauge\n# HELP a x\n",
        ],
    },
    Rule {
        says: "MetricFamily names are a string and MUST be unique within a MetricSet.",
        accepted: &["# TYPE a gauge\n# TYPE b gauge\n"],
        refused: &[
            "# TYPE a gauge\na 1\n# TYPE a gauge\na{x=\"1\"} 1\n",
            "# TYPE a counter\na_total 1\n# TYPE a gauge\n",
            "# TYPE a info\n# TYPE b gauge\n# TYPE a counter\n",
            "# TYPE a counter\na 1\n",
            "# TYPE a histogram\na 1\n",
        ],
    },
    Rule {
        says: "There MUST NOT be more than one of each type of metadata line for a MetricFamily.",
        accepted: &[
            "# TYPE a_s gauge\n# UNIT a_s s\n# HELP a_s x\na_s 1\n",
            "# HELP a_s x\n# UNIT a_s s\n# TYPE a_s gauge\na_s 1\n",
        ],
        refused: &[
            "# TYPE a gauge\n# TYPE a gauge\n",
            "# HELP a x\n# HELP a x\n",
            "# HELP a x\n# TYPE a gauge\n# HELP a y\n",
            "# UNIT a_s s\n# UNIT a_s s\n",
        ],
    },
    Rule {
        says: "metricfamily = *metric-descriptor *metric",
        accepted: &["# HELP a x\na 1\n", "# TYPE a gauge\n", "# HELP a x\n", "# UNIT a_s s\na_s 1\n"],
        refused: &[
            "a 1\n# TYPE a gauge\n",
            "# TYPE a gauge\na 1\n# HELP a x\n",
            "# TYPE a_s gauge\na_s 1\n# UNIT a_s s\n",
            "# HELP a x\na 1\n# TYPE a gauge\na 1\n",
        ],
    },
    Rule {
        says: "If a unit is specified it MUST be provided in a UNIT metadata line. In addition, an underscore and the unit \
               MUST be the suffix of the MetricFamily name.",
        accepted: &[
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\n",
            "# TYPE a_seconds counter\na_seconds_total 1\n",
            "# UNIT a_b_c b_c\n",
            "# UNIT a \n",
        ],
        refused: &[
            "# TYPE a counter\n# UNIT a seconds\n",
            "# UNIT seconds seconds\n",
            "# UNIT aseconds seconds\n",
            "# TYPE a counter\n# UNIT a total\n",
            "# UNIT a_seconds second\n",
        ],
    },
    Rule {
        says: "MetricFamilies of type Info MUST have an empty Unit string. MetricFamilies of type StateSets MUST have an \
               empty Unit string.",
        accepted: &["# TYPE a_s info\n# UNIT a_s \n", "# UNIT a_s \n# TYPE a_s stateset\n"],
        refused: &[
            "# TYPE a_s info\n# UNIT a_s s\n",
            "# UNIT a_s s\n# TYPE a_s info\n",
            "# TYPE a_s stateset\n# UNIT a_s s\n",
            "# UNIT a_s s\n# TYPE a_s stateset\n",
        ],
    },
    Rule {
        says: "The name of a MetricFamily MUST NOT result in a potential clash for sample metric names as per the ABNF with \
               another MetricFamily in the Text Format within a MetricSet.",
        accepted: &[
            "# TYPE a gauge\na 1\n# TYPE a_total gauge\na_total 1\n",
            "# TYPE a gauge\n# TYPE a_created gauge\n",
            "# TYPE a counter\n# TYPE a_info gauge\n",
            "# TYPE a summary\n# TYPE a_bucket gauge\n",
            "# TYPE a gaugehistogram\n# TYPE a_sum gauge\n",
            "# TYPE a info\n# TYPE a_total unknown\n",
            "# TYPE a counter\na_total 1\n# TYPE a_total counter\na_total_total 1\n",
        ],
        refused: &[
            "# TYPE a counter\n# TYPE a_created gauge\n",
            "# TYPE a_created gauge\n# TYPE a counter\n",
            "# TYPE a_total gauge\na_total 1\n# TYPE a counter\n",
            "a_total 1\n# TYPE a counter\na_total{x=\"1\"} 1\n",
            "# TYPE a info\n# TYPE a_info gauge\n",
            "# TYPE a_info stateset\n# TYPE a info\n",
            "# TYPE a summary\n# TYPE a_count unknown\n",
            "# TYPE a histogram\n# TYPE a_bucket summary\n",
            "# TYPE a_sum gauge\n# TYPE a histogram\n",
            "# TYPE a gaugehistogram\n# TYPE a_gcount gauge\n",
            "# TYPE a gaugehistogram\n# HELP a_gsum x\n",
            "# HELP a_gsum x\n# TYPE a gaugehistogram\n",
        ],
    },
    Rule {
        says: "The next MetricFamily MUST be signalled with either metadata or a new sample metric name which cannot be \
               part of the previous MetricFamily.",
        accepted: &[
            "# TYPE a gauge\na_total 1\n",
            "# TYPE a counter\na_sum 1\n",
            "# TYPE a gauge\nab 1\n",
            "# TYPE a summary\na_count 1\na_bucket 1\n",
            "# TYPE a_b gauge\na 1\n",
        ],
        refused: &["# TYPE a info\na 1\n", "# TYPE a gauge\na 1\nb 1\na 2\n"],
    },
];
