//! OpenMetrics: metrics and their points.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "Every Metric within a MetricFamily MUST have a unique LabelSet.",
        accepted: &[
            "a{b=\"1\"} 1\na{b=\"2\"} 1\n",
            "a{b=\"1\"} 1\na{c=\"1\"} 1\n",
            "a 1\na{b=\"1\"} 1\n",
            "a{b=\"1\",c=\"2\"} 1\na{b=\"2\",c=\"1\"} 1\n",
        ],
        refused: &[
            "a 1\na 2\n",
            "a 1\na{} 1\n",
            "a{b=\"1\"} 1\na{b=\"1\"} 1\n",
            "a{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n",
            "a{b=\"1\"} 1\na{b=\"2\"} 1\na{b=\"1\"} 1\n",
            "a{b=\"1\",c=\"1\"} 1\na{b=\"2\",c=\"1\"} 1\na{c=\"1\",b=\"1\"} 1\n",
            "a{b=\"\\\\\"} 1\na{b=\"2\"} 1\na{b=\"\\\\\"} 1\n",
            "# TYPE a info\na_info{b=\"1\"} 1\na_info{b=\"1\"} 1\n",
            "# TYPE a info\na_info{b=\"1\"} 1\na_info{b=\"2\"} 1\na_info{b=\"1\"} 1\n",
        ],
    },
    Rule {
        says: "Empty label values SHOULD be treated as if the label was not present.",
        accepted: &["a{b=\"\"} 1\n", "a{b=\"\"} 1\na{b=\"1\"} 1\n"],
        refused: &["a{b=\"\"} 1\na 1\n", "a{b=\"\",c=\"1\"} 1\na{c=\"1\"} 1\n"],
    },
    Rule {
        says: "Metrics MUST NOT be interleaved.",
        accepted: &[
            "# TYPE a summary\na_count{b=\"1\"} 0\na_sum{b=\"1\"} 0\na_count{b=\"2\"} 0\na_sum{b=\"2\"} 0\n",
            "# TYPE a counter\na_total{b=\"1\"} 0\na_created{b=\"1\"} 0\na_total{b=\"2\"} 0\na_created{b=\"2\"} 0\n",
            "# TYPE a summary\na_count{b=\"1\",c=\"2\"} 0\na_sum{c=\"2\",b=\"1\"} 0\n",
        ],
        refused: &[
            "# TYPE a summary\na_count{b=\"1\"} 0\na_count{b=\"2\"} 0\na_sum{b=\"1\"} 0\na_sum{b=\"2\"} 0\n",
            "# TYPE a counter\na_total{b=\"1\"} 0\na_total{b=\"2\"} 0\na_created{b=\"1\"} 0\n",
            "# TYPE a summary\na{quantile=\"0\"} 0\na_sum{b=\"1\"} 0\na{quantile=\"1\"} 0\n",
            "# TYPE a stateset\na{b=\"1\",a=\"x\"} 0\na{b=\"2\",a=\"x\"} 0\na{b=\"1\",a=\"y\"} 0\n",
            "a{b=\"1\"} 0 1\na{b=\"2\"} 0 1\na{b=\"1\"} 0 2\n",
            "# TYPE a histogram\na_bucket{b=\"1\",le=\"+Inf\"} 0\na_bucket{b=\"2\",le=\"+Inf\"} 0\na_count{b=\"1\"} 0\na_sum{b=\"1\"} 0\n",
        ],
    },
    Rule {
        says: "If more than one MetricPoint is exposed for a Metric, then its MetricPoints MUST have monotonically \
               increasing timestamps.",
        accepted: &[
            "a 1 1\na 2 2\n",
            "a 1 -2\na 2 -1.5\na 3 0\n",
            "a 1 0.0000000001\na 2 0.0000000010\n",
            "a 1 1604676851.123456789\na 2 1604676851.123456790\n",
            "# TYPE a info\na_info{b=\"1\"} 1 1\na_info{b=\"2\"} 1 0\n",
            "# TYPE a info\na_info{b=\"1\"} 1 1\na_info{b=\"2\"} 1 2\na_info{b=\"1\"} 1 3\n",
            "a{b=\"1\"} 1 5\na{b=\"2\"} 1 4\n",
        ],
        refused: &[
            "a 1 1\na 2 1\n",
            "a 1 1\na 2 1.0\n",
            "a 1 2\na 2 1\n",
            "a 1 -1\na 2 -2\n",
            "a 1 -1\na 2 -1.1\n",
            "a 1 1604676851.123456790\na 2 1604676851.123456789\n",
            "a 1 1\na 2\n",
            "a 1\na 2 1\n",
            "# TYPE a summary\na_count 1 2\na_sum 1\n",
            "# TYPE a summary\na_count 1 2\na_sum 1 1\n",
            "# TYPE a info\na_info{b=\"1\"} 1 3\na_info{b=\"2\"} 1 2\na_info{b=\"1\"} 1 1\n",
        ],
    },
    Rule {
        says: "MetricPoints MUST NOT be interleaved.",
        accepted: &["# TYPE a summary\na_count 0 123\na_sum 0 123\na_count 0 456\na_sum 0 456\n"],
        refused: &["# TYPE a summary\na_count 0 123\na_count 0 456\na_sum 0 123\na_sum 0 456\n"],
    },
    Rule {
        says: "An example of a complete exposition.",
        accepted: &[concat!(
            "# TYPE acme_http_router_request_seconds summary\n",
            "# UNIT acme_http_router_request_seconds seconds\n",
            "# HELP acme_http_router_request_seconds Latency though all of ACME's HTTP request router.\n",
            "acme_http_router_request_seconds_sum{path=\"/api/v1\",method=\"GET\"} 9036.32\n",
            "acme_http_router_request_seconds_count{path=\"/api/v1\",method=\"GET\"} 807283.0\n",
            "acme_http_router_request_seconds_created{path=\"/api/v1\",method=\"GET\"} 1605281325.0\n",
            "acme_http_router_request_seconds_sum{path=\"/api/v2\",method=\"POST\"} 479.3\n",
            "acme_http_router_request_seconds_count{path=\"/api/v2\",method=\"POST\"} 34.0\n",
            "acme_http_router_request_seconds_created{path=\"/api/v2\",method=\"POST\"} 1605281325.0\n",
            "# TYPE go_goroutines gauge\n",
            "# HELP go_goroutines Number of goroutines that currently exist.\n",
            "go_goroutines 69\n",
            "# TYPE process_cpu_seconds counter\n",
            "# UNIT process_cpu_seconds seconds\n",
            "# HELP process_cpu_seconds Total user and system CPU time spent in seconds.\n",
            "process_cpu_seconds_total 4.20072246e+06\n",
        )],
        refused: &[],
    },
];
