//! Target files change under a running collector: it follows, and what did not change goes on undisturbed.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use support::collector::Home;
use support::{eventually, exporter, free_port};

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

#[test]
fn a_changed_file_adds_and_removes_targets_and_a_broken_one_changes_nothing() {
    let (kept, gone, new) = (address(41), address(42), address(43));
    let ports = [kept, gone, new].map(free_port);
    let _exporters = [(kept, ports[0]), (gone, ports[1]), (new, ports[2])].map(|(ip, port)| exporter(ip, port, |_| {}));
    let home = Home::new(
        "[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n\
         [[file_sd]]\nfiles = [\"targets.yml\"]\nrefresh_seconds = 0.2\n",
    );
    let write = |targets: &str| std::fs::write(home.path().join("targets.yml"), targets).unwrap();
    write(&format!(
        "- targets: ['{kept}:{}', '{gone}:{}']\n  labels: {{country_code: de, paid: 'true'}}\n",
        ports[0], ports[1]
    ));
    let collector = home.start();
    let listed = |ip: Ipv4Addr| collector.get("/servers").body.contains(&format!("\"{ip}\""));
    eventually("both targets", || (listed(kept) && listed(gone)).then_some(()));
    let before = collector.server_when("the kept one", &kept.to_string(), |_| true);
    assert_eq!((&before["countryCode"], &before["paid"]), (&"DE".into(), &true.into()));

    // What the operator sets by hand stays when the file is read again.
    let path = format!("/server/{kept}/config");
    let patched = collector.patch(&path, &serde_json::json!({"paid": false, "gaming": true}));
    assert_eq!(patched.status, 200, "{patched:?}");
    assert_eq!(patched.json()["updated_fields"], serde_json::json!({"paid": false, "gaming": true}));

    write(&format!(
        "- targets: ['{kept}:{}', '{new}:{}']\n  labels: {{country_code: se, paid: 'true'}}\n",
        ports[0], ports[2]
    ));
    eventually("the new target, and the removed one gone", || (listed(new) && !listed(gone)).then_some(()));
    let after = collector.server_when("the kept one", &kept.to_string(), |_| true);
    for key in ["server_id", "first_heartbeat"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!((&after["countryCode"], &after["paid"], &after["gaming"]), (&"SE".into(), &false.into(), &true.into()));

    // It is not scraped any more, but not forgotten either; and it comes back under its own identity.
    let removed = collector.server_when("the removed one", &gone.to_string(), |_| true);
    write("- targets: [nonsense]\n");
    let heartbeat =
        |ip: Ipv4Addr| collector.server_when("a server", &ip.to_string(), |_| true)["last_heartbeat"].clone();
    let kept_heartbeat = heartbeat(kept);
    eventually("the kept one to be scraped on", || (heartbeat(kept) != kept_heartbeat).then_some(()));
    assert_eq!(heartbeat(gone), removed["last_heartbeat"]);
    let about = || collector.get("/about").body;
    assert!(about().contains("Target file not used") && about().contains("targets.yml"), "{}", about());
    write(&format!("- targets: ['{gone}:{}']\n", ports[1]));
    eventually("it to come back", || (listed(gone) && !listed(kept)).then_some(()));
    assert!(!about().contains("Target file not used"), "it is good again");
    let back = collector.server_when("it", &gone.to_string(), |_| true);
    assert_eq!(back["server_id"], removed["server_id"]);
}
