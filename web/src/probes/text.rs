//! OpenMetrics 1.0, which our encoder writes, as the older text format 0.0.4, which everybody reads.
//!
//! The two differ where OpenMetrics says more: a counter's family carries no `_total` there, and infos and unknown
//! types have types of their own.

/// Rewrites a page.
pub(super) fn from_openmetrics(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    // A HELP line stands before the TYPE line that decides the family's name.
    let mut help = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, help)) = help.take().filter(|(helped, _)| *helped == name) {
                text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            // What follows ` # ` is an exemplar; labels may hold the same characters, but end with a brace.
            let end = line.rfind(" # {").unwrap_or(line.len());
            text.push_str(line.get(..end).unwrap_or(line));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_keep_their_names_and_nothing_else_changes() {
        let page = "# HELP a Things done.\n# TYPE a counter\n# UNIT a seconds\na_total{x=\"1\"} 5\n\
                    # HELP b What it is.\n# TYPE b info\nb_info{version=\"# {1\"} 1\n\
                    # HELP c Spread.\n# TYPE c histogram\nc_bucket{le=\"+Inf\"} 1 # {id=\"7\"} 0.5\nc_sum 1\nc_count 1\n\
                    # TYPE d unknown\nd 2\n# EOF\n";
        let expected = "# HELP a_total Things done.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n\
                        # HELP b_info What it is.\n# TYPE b_info gauge\nb_info{version=\"# {1\"} 1\n\
                        # HELP c Spread.\n# TYPE c histogram\nc_bucket{le=\"+Inf\"} 1\nc_sum 1\nc_count 1\n\
                        # TYPE d untyped\nd 2\n";
        assert_eq!(from_openmetrics(page), expected);
    }
}
