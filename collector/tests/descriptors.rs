//! More targets than open files: connections are not kept then, scrapes wait for each other, and pages stay open.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use support::collector::Home;
use support::{eventually, simulate, with_open_files};

const TARGETS: usize = 400;
/// Store, runtime and pages need some twenty; scrapes get half.
const OPEN_FILES: u32 = 200;

#[test]
fn a_low_limit_of_open_files_shuts_nobody_out() {
    // Connections would be kept at this interval.
    let home = Home::new(
        "[web]\nopen_metrics = true\n[scrape]\ninterval_seconds = 2\n[[file_sd]]\nfiles = [\"targets.json\"]\n",
    );
    let _simulation = simulate(TARGETS, &home.path().join("targets.json"));

    let collector = home.start_by(with_open_files(OPEN_FILES, &home.command("serve")));
    eventually("every server to be active", || {
        (collector.get("/servers").json().as_array()?.len() == TARGETS).then_some(())
    });
    // And again: what was scraped once would have kept a descriptor.
    let scrapes = |result: &str| {
        let page = collector.get("/metrics").body;
        let name = format!("mect_scrapes_total{{result=\"{result}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)?.parse::<usize>().ok()).unwrap_or(0)
    };
    eventually("every server to be scraped again and again", || (scrapes("success") > 4 * TARGETS).then_some(()));
    assert_eq!(scrapes("local"), 0, "{}", home.log());
}
