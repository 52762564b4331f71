//! OpenMetrics: how a page begins and ends.

use crate::Rule;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        says: "exposition = metricset HASH SP eof [ LF ]",
        accepted: &["# EOF\n", "# EOF", "a 1\n# EOF\n", "a 1\n# EOF"],
        refused: &[
            "",
            "\n",
            "a 1\n",
            "a 1",
            "# EO",
            "# EOF ",
            "# EOF \n",
            " # EOF\n",
            "#EOF\n",
            "#  EOF\n",
            "# eof\n",
            "# EOF\r\n",
            "a 1\n# EOFa\n",
            "a 1# EOF\n",
            "a 1 # EOF\n",
        ],
    },
    Rule {
        says: "Expositions MUST end with EOF and SHOULD end with 'EOF\\n'.",
        accepted: &[],
        refused: &[
            "# EOF\n\n",
            "# EOF\n ",
            "# EOF\na 1\n",
            "# EOF\n# EOF\n",
            "# EOF\n#",
            "a 1\n# EOF\nb 1\n# EOF\n",
            "# EOF\n\0",
        ],
    },
    Rule {
        says: "UTF-8 MUST be used. Byte order markers (BOMs) MUST NOT be used.",
        accepted: &["# HELP a é\n# EOF\n"],
        refused: &["\u{feff}# EOF\n", "\u{feff}a 1\n# EOF\n"],
    },
    Rule {
        says: "Line endings MUST be signalled with line feed (\\n) and MUST NOT contain carriage returns (\\r).",
        accepted: &["a{b=\"\r\"} 1\n# EOF\n", "# HELP a x\ry\n# EOF\n"],
        refused: &[
            "a 1\r\n# EOF\n",
            "# TYPE a gauge\r\n# EOF\n",
            "# HELP a x\r\n# EOF\n",
            "# UNIT a_s s\r\n# EOF\n",
            "a 1\r# EOF\n",
        ],
    },
];
