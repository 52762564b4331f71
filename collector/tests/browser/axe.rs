//! What axe-core finds on a page.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use crate::browser::Browser;

/// axe-core itself, where `.ci/install` puts it.
static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/parts/axe.min.js");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; install it: .ci/install", path.display()))
});

/// Fails the test on a serious or critical issue of the page that is shown.
#[track_caller]
pub(crate) fn check(browser: &Browser, what: &str) {
    let issues = issues(browser, what);
    assert!(issues.is_empty(), "axe on {what}:\n{}", issues.join("\n"));
}

/// The serious and critical issues of the page that is shown.
#[track_caller]
pub(crate) fn issues(browser: &Browser, what: &str) -> Vec<String> {
    browser.script(&AXE);
    let report = browser.script_later(
        "const done = arguments[arguments.length - 1]; \
         axe.run(document, { resultTypes: ['violations'] }).then(done, (error) => done(String(error)));",
    );
    let violations = report["violations"].as_array().unwrap_or_else(|| panic!("axe on {what}: {report}"));
    let is_grave = |violation: &&Value| violation["impact"] == "serious" || violation["impact"] == "critical";
    let tried = report["passes"].as_array().map_or(0, Vec::len);
    assert!(tried > 5, "axe looked at nothing of {what}: {tried} rules");
    violations.iter().filter(is_grave).map(sentence).collect()
}

fn sentence(violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().unwrap();
    let node = |node: &Value| format!("  {}\n    {}", node["html"], node["failureSummary"]);
    let nodes: Vec<_> = nodes.iter().take(5).map(node).collect();
    format!("{}: {}\n{}", violation["id"], violation["help"], nodes.join("\n"))
}
