//! How the collector starts, refuses to start, and stops.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::process::Output;

use support::collector::Home;
use support::{exporter, free_port, http, signal};

fn run(home: &Home, subcommand: &str) -> Output {
    home.command(subcommand).output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
}

#[test]
fn a_config_mistake_names_file_line_key_and_what_is_allowed() {
    let home = Home::new("[scrape]\nintervall_seconds = 5\n");
    for subcommand in ["serve", "check-config"] {
        let parts = ["collector.toml:2:", "`intervall_seconds`", "did you mean `interval_seconds`?", "Allowed here:"];
        assert_refused(&run(&home, subcommand), 2, &parts);
    }
    home.configure("[[file_sd]]\nfiles = [\"missing.yml\"]\n");
    assert_refused(&run(&home, "check-config"), 2, &["missing.yml", "cannot be read"]);
    home.configure("");
    assert!(run(&home, "check-config").status.success());
}

#[test]
fn an_unknown_variable_of_ours_is_refused() {
    let mut home = Home::new("");
    home.set("MECT_LISTENS", "127.0.0.1:0");
    assert_refused(&run(&home, "check-config"), 2, &["MECT_LISTENS", "did you mean `MECT_LISTEN`?"]);
}

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut home = Home::new("");
    home.set("MECT_LISTEN", &address);
    assert_refused(&run(&home, "serve"), 1, &[&address, "in use", "`listen` in [web]", "MECT_LISTEN"]);
}

/// A start that fails must not use up the first password.
#[test]
fn the_first_password_is_told_by_the_start_that_succeeds() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new("");
    let mut command = home.command("serve");
    command.env("MECT_LISTEN", taken.local_addr().unwrap().to_string());
    let failed = command.output().unwrap();
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(support::collector::first_password(&String::from_utf8_lossy(&failed.stdout)).is_none(), "{failed:?}");
    // Nothing that can be read at the other end of the standard output.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(home.command("serve").stdout(full).status().unwrap().code(), Some(1));
    home.start();
}

#[test]
fn a_data_directory_that_another_collector_holds_is_refused() {
    let home = Home::new("");
    let _holder = home.start();
    assert_refused(&run(&home, "serve"), 1, &["in use by another collector", "data_dir"]);
}

#[test]
fn the_first_password_may_come_from_a_file_and_must_be_changed() {
    let mut home = Home::new("");
    let file = home.path().join("password");
    std::fs::write(&file, "first password for Zoe 7\n").unwrap();
    home.set("MECT_ADMIN_PASSWORD_FILE", file.to_str().unwrap());
    let mut command = home.command("serve");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let (url, _) = support::read_until(&mut output, "Mect VPN Monitor is ready at ");
    let mut program = support::Program { child, name: "mect-collector" };

    let form = [("username", "admin"), ("password", "first password for Zoe 7")];
    let token = http::post_form(&format!("{url}/token"), &form, &[]).unwrap();
    let token = token.json()["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let refused = http::get(&format!("{url}/servers"), &[("authorization", &bearer)]).unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("must be changed"), "{refused:?}");

    program.stop();
    let said = support::all_of(output);
    assert!(!said.contains("first password for Zoe 7"), "a given password is not printed: {said}");
}

/// A mistake in the target file must not empty the list for clients when the collector is restarted.
#[test]
fn a_broken_target_file_at_a_restart_leaves_the_fleet_as_it_was() {
    let ip = std::net::Ipv4Addr::new(127, 0, 0, 12);
    let port = free_port(ip);
    let _exporter = exporter(ip, port, |_| {});
    let home = Home::new("[scrape]\ninterval_seconds = 1\n[[file_sd]]\nfiles = [\"targets.yml\"]\n");
    let targets = home.path().join("targets.yml");
    assert_refused(&run(&home, "serve"), 2, &["targets.yml", "cannot be read"]);
    std::fs::write(&targets, format!("- targets: ['{ip}:{port}']\n")).unwrap();
    let ip = ip.to_string();
    home.start().server_when("an active server", &ip, |server| server["status"] == "active");
    std::fs::write(&targets, "- targets: [").unwrap();
    let again = home.start();
    again.server_when("the server, still scraped", &ip, |server| server["status"] == "active");
    assert_refused(&run(&home, "check-config"), 2, &["targets.yml"]);
}

#[test]
fn a_stop_records_what_was_scraped_and_the_next_start_shows_it() {
    let ip = std::net::Ipv4Addr::new(127, 0, 0, 11);
    let port = free_port(ip);
    let mut exporter = exporter(ip, port, |_| {});
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n[[targets]]\naddress = \"{ip}:{port}\"\n"
    ));
    let collector = home.start();
    let ip = ip.to_string();
    let active = collector.server_when("an active server", &ip, |server| server["status"] == "active");
    signal(exporter.child.id(), "STOP");
    collector.stop();
    exporter.kill();

    home.configure("");
    let again = home.start();
    let remembered = again.server_when("the remembered server", &ip, |_| true);
    assert_eq!(remembered["server_id"], active["server_id"]);
    assert_eq!(remembered["first_heartbeat"], active["first_heartbeat"]);
    assert!(remembered["last_heartbeat"].as_str() >= active["last_heartbeat"].as_str());
    // It has no target any more: clients are not sent there.
    assert_eq!(again.get("/servers").json(), serde_json::json!([]));
}

/// As a shell does that is interrupted itself: both get the signal, and it passes its own on.
#[test]
fn a_signal_that_is_passed_on_is_no_second_one() {
    let home = Home::new("");
    let mut collector = home.start();
    for name in ["INT", "TERM"] {
        signal(collector.program.child.id(), name);
    }
    assert!(collector.program.stop().success());
    assert!(home.log().contains("stopping:") && !home.log().contains("ended at once"), "{}", home.log());
}
