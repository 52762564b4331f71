//! OpenMetrics: exemplars.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "exemplar = SP HASH SP labels SP number [SP timestamp]",
        accepted: &[
            "# TYPE a counter\na_total 1 # {} 1\n",
            "# TYPE a counter\na_total 1 # {b=\"c\",d=\"\"} -0.5 1520879607.789\n",
            "# TYPE a counter\na_total 1 123 # {b=\"c\"} 0.5 123\n",
            "# TYPE a counter\na_total{e=\" # {} 1\"} 1 # {b=\" # \"} NaN\n",
        ],
        refused: &[
            "# TYPE a counter\na_total 1 #\n",
            "# TYPE a counter\na_total 1 # \n",
            "# TYPE a counter\na_total 1# {} 1\n",
            "# TYPE a counter\na_total 1 #{} 1\n",
            "# TYPE a counter\na_total 1  # {} 1\n",
            "# TYPE a counter\na_total 1 # {}1\n",
            "# TYPE a counter\na_total 1 # {}\n",
            "# TYPE a counter\na_total 1 # {} 1 \n",
            "# TYPE a counter\na_total 1 # {} 1 1 \n",
            "# TYPE a counter\na_total 1 # {} 1 1 1\n",
            "# TYPE a counter\na_total 1 # 1\n",
            "# TYPE a counter\na_total 1 # b 1\n",
            "# TYPE a counter\na_total 1 # a{} 1\n",
            "# TYPE a counter\na_total 1 # {b=\"c\",} 1\n",
            "# TYPE a counter\na_total 1 # {b=\"c\",b=\"c\"} 1\n",
            "# TYPE a counter\na_total 1 # {b} 1\n",
            "# TYPE a counter\na_total 1 # {\"b\"} 1\n",
            "# TYPE a counter\na_total 1 # {} one\n",
            "# TYPE a counter\na_total 1 # {} 0x1\n",
            "# TYPE a counter\na_total 1 # {} 1 NaN\n",
            "# TYPE a counter\na_total 1 # {} 1 +Inf\n",
            "# TYPE a counter\na_total 1 # {} 1 # {} 1\n",
            "# TYPE a counter\na_total # {} 1\n",
        ],
    },
    Rule {
        says: "Exemplars MAY be attached to the MetricPoint's Total sample. Bucket values MAY have exemplars.",
        accepted: &[
            "# TYPE a counter\na_total 1 # {} 1\na_created 1\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 0 # {} 1\na_bucket{le=\"+Inf\"} 1 # {} 2\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1 # {} 2\n",
        ],
        refused: &[
            "# TYPE a counter\na_total 1\na_created 1 # {} 1\n",
            "a 1 # {} 1\n",
            "a_total 1 # {} 1\n",
            "# TYPE a gauge\na 1 # {} 1\n",
            "# TYPE a_bucket gauge\na_bucket 1 # {} 1\n",
            "# TYPE a summary\na{quantile=\"0.5\"} 1 # {} 1\n",
            "# TYPE a summary\na_count 1 # {} 1\n",
            "# TYPE a stateset\na{a=\"x\"} 1 # {} 1\n",
            "# TYPE a info\na_info 1 # {} 1\n",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_count 0 # {} 1\na_sum 0\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 0\na_gcount 0\na_gsum 0 # {} 1\n",
        ],
    },
    Rule {
        says: "The combined length of the label names and values of an Exemplar's LabelSet MUST NOT exceed 128 UTF-8 \
               character code points.",
        accepted: &[
            "# TYPE a counter\na_total 1 # {a=\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456\"} 1\n",
            "# TYPE a counter\na_total 1 # {a=\"éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé\"} 1\n",
            "# TYPE a counter\na_total 1 # {a=\"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\"} 1\n",
        ],
        refused: &[
            "# TYPE a counter\na_total 1 # {a=\"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567\"} 1\n",
            "# TYPE a counter\na_total 1 # {a=\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456\",b=\"\"} 1\n",
        ],
    },
    Rule {
        says: "Each bucket covers the values less and or equal to it, and the value of the exemplar MUST be within this range.",
        accepted: &[
            "# TYPE a histogram\na_bucket{le=\"1\"} 1 # {} 1.0\na_bucket{le=\"2\"} 2 # {} 0.5\na_bucket{le=\"+Inf\"} 3 # {} +Inf\n",
        ],
        refused: &[
            "# TYPE a histogram\na_bucket{le=\"1\"} 1 # {} 1.5\na_bucket{le=\"+Inf\"} 3\n",
            "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1 # {} +Inf\na_bucket{le=\"+Inf\"} 3\n",
            "# TYPE a histogram\na_bucket{le=\"1\"} 1 # {} NaN\na_bucket{le=\"+Inf\"} 3\n",
        ],
    },
];
