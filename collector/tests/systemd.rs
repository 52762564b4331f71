//! What systemd hears of the real collector, and what it says of the units that we ship.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::collector::Home;
use support::{PATIENCE, built, signal};

fn hear(socket: &UnixDatagram, wanted: &str) {
    let mut heard = Vec::new();
    loop {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}, only {heard:?}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.lines().any(|line| line == wanted) {
            return;
        }
        heard.push(message);
    }
}

#[test]
fn it_hears_ready_signs_of_life_and_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut home = Home::new("");
    home.set("NOTIFY_SOCKET", path.to_str().unwrap());
    home.set("WATCHDOG_USEC", "600000");
    let collector = home.start();
    hear(&socket, "READY=1");
    for _ in 0..5 {
        hear(&socket, "WATCHDOG=1");
    }
    // One that stands still gives no sign.
    signal(collector.program.child.id(), "STOP");
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 256]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1200))).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err());
    signal(collector.program.child.id(), "CONT");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    collector.stop();
    hear(&socket, "STOPPING=1");
}

#[test]
fn the_health_check_tells_a_living_collector_from_none() {
    let home = Home::new("");
    let collector = home.start();
    let address = collector.url.trim_start_matches("http://").to_owned();
    let check = || home.command("healthcheck").env("MECT_LISTEN", &address).output().unwrap();
    assert!(check().status.success());
    collector.stop();
    let gone = check();
    assert_eq!(gone.status.code(), Some(1));
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(said.contains("no collector answers at") && said.contains(&address), "{said}");
}

/// `systemd-analyze` with `arguments` about a unit of ours whose program is the one that was just built.
fn analyze(unit: &str, arguments: &[&str]) -> (bool, String) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/systemd").join(unit);
    let text = std::fs::read_to_string(source).unwrap();
    let program = unit.trim_end_matches(".service");
    let text = text.replace(&format!("/usr/local/bin/{program}"), built(program).to_str().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(unit);
    std::fs::write(&file, text).unwrap();
    let output = Command::new("systemd-analyze").args(arguments).arg(file).output().unwrap_or_else(|error| {
        panic!("systemd-analyze cannot be started ({error}); install it: apt-get install systemd")
    });
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

#[test]
fn the_units_are_understood_and_exposed_little() {
    for unit in ["mect-collector.service", "mect-exporter.service"] {
        let (is_good, said) = analyze(unit, &["verify"]);
        assert!(is_good && !said.contains(unit), "{said}");
        // Out of 100; a unit without hardening has 96.
        let (is_little, said) = analyze(unit, &["security", "--offline=true", "--threshold=20"]);
        assert!(is_little, "{said}");
    }
}
