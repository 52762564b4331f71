//! Users and the audit at the command line, and a collector that speaks TLS.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use mect_testkit::mongo::ReplicaSet;
use serde_json::json;
use support::collector::Home;
use support::http;

/// Runs a subcommand with that text as its standard input.
fn run(home: &Home, arguments: &[&str], input: &str) -> Output {
    let mut command = home.command(arguments[0]);
    command.args(&arguments[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, says: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(says), "{said}");
}

/// The password that a command drew and printed.
fn drawn(said: &str) -> &str {
    said.split("password: ").nth(1).unwrap().split(' ').next().unwrap()
}

fn signs_in(url: &str, username: &str, password: &str) -> u16 {
    http::post_form(&format!("{url}/token"), &[("username", username), ("password", password)], &[]).unwrap().status
}

#[test]
fn who_is_locked_out_gets_in_again_while_the_collector_is_stopped() {
    let home = Home::new("");
    refused(&run(&home, &["user", "list"], ""), "is no data directory");
    let collector = home.start();
    for arguments in [&["user", "list"][..], &["audit", "verify"], &["user", "add", "zoe"]] {
        refused(&run(&home, arguments, ""), "in use by another collector");
    }
    collector.stop();

    let said = done(&run(&home, &["user", "reset-password", "admin"], ""));
    let password = drawn(&said).to_owned();
    assert!(password.len() >= 20, "{said}");
    done(&run(&home, &["user", "add", "zoe", "--role", "superadmin", "--password-stdin"], "seven purple lanterns\n"));
    refused(&run(&home, &["user", "add", "zoe"], ""), "there is a user zoe already");
    refused(&run(&home, &["user", "add", "a b"], ""), "only letters");
    refused(&run(&home, &["user", "add", "eve", "--password-stdin"], "password1234\n"), "too easy to guess");
    refused(&run(&home, &["user", "add", "eve", "--password-stdin"], "\n"), "is empty");
    refused(&run(&home, &["user", "reset-password", "nobody"], ""), "there is no user nobody");
    done(&run(&home, &["user", "disable", "zoe"], ""));
    refused(&run(&home, &["user", "disable", "admin"], ""), "last superadmin");
    let listed = done(&run(&home, &["user", "list"], ""));
    assert!(listed.contains("admin  superadmin\n") && listed.contains("zoe  superadmin, locked out\n"), "{listed}");
    let verified = done(&run(&home, &["audit", "verify"], ""));
    assert!(verified.contains("the audit is whole"), "{verified}");

    std::fs::write(home.first_password_path(), &password).unwrap();
    let collector = home.start();
    assert_eq!(signs_in(&collector.url, "zoe", "seven purple lanterns"), 401, "locked out");
    let bearer = collector.bearer();
    let opened = http::patch_json(
        &format!("{}/api/v1/users/zoe", collector.url),
        &json!({"disabled": false}),
        &[("authorization", &bearer)],
    );
    assert_eq!(opened.unwrap().status, 200);
    assert_eq!(signs_in(&collector.url, "zoe", "seven purple lanterns"), 200);
    let audit = collector.get("/api/v1/audit").body;
    assert!(audit.contains("command line") && !audit.contains("seven purple") && !audit.contains(&password), "{audit}");
    assert!(!home.log().contains("seven purple"));
}

#[test]
fn with_a_database_users_are_changed_while_collectors_run() {
    let set = ReplicaSet::start(1);
    let mut home = Home::new("");
    home.set("MONGO_URL", &set.url("by_hand"));
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let collector = home.start();
    let said = done(&run(&home, &["user", "add", "zoe", "--role", "admin"], ""));
    assert_eq!(signs_in(&collector.url, "zoe", drawn(&said)), 200);
    assert!(done(&run(&home, &["audit", "verify"], "")).contains("the audit is whole"));
    let edit = bson::doc! {
        "update": "audit",
        "updates": [{ "q": { "action": "user.create" }, "u": { "$set": { "after": r#"{"role":"readonly"}"# } } }],
        "$db": "by_hand", "writeConcern": { "w": "majority" },
    };
    assert_eq!(set.command(0, edit).unwrap().get_i32("nModified").unwrap(), 1);
    refused(&run(&home, &["audit", "verify"], ""), "its seal does not fit");
}

/// A certificate that nobody signed.
fn certificate(home: &Home, name: &str) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN={name}"), "-out"]).arg(home.path().join("site.pem"));
    assert!(command.arg("-keyout").arg(home.path().join("site.key")).output().unwrap().status.success());
}

/// The name in the certificate that the server shows, and its answer.
fn ask_over_tls(address: &str) -> (String, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", address, "-ign_eof"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let _ = child.stdin.take().unwrap().write_all(request);
    let output = String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned();
    let subject = output.lines().find_map(|line| line.trim().strip_prefix("subject=")).unwrap_or_default().to_owned();
    (subject, output)
}

#[test]
fn pages_speak_tls_and_take_a_renewed_certificate() {
    let home = Home::new("[web]\ntls_certificate = \"site.pem\"\ntls_key = \"site.key\"\n");
    let missing = home.command("check-config").output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("web.tls_certificate"), "{missing:?}");
    certificate(&home, "old.test");
    let mut command = home.command("serve");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let (url, _) = support::read_until(&mut output, "Mect VPN Monitor is ready at ");
    let mut program = support::Program { child, name: "mect-collector" };
    let address = url.strip_prefix("https://").unwrap();
    let (subject, answer) = ask_over_tls(address);
    assert!(subject.contains("old.test") && answer.contains("200 OK") && answer.contains("ok"), "{answer}");
    assert!(answer.to_lowercase().contains("strict-transport-security"), "{answer}");
    let mut healthcheck = home.command("healthcheck");
    let healthy = healthcheck.env("MECT_LISTEN", address).output().unwrap();
    assert!(healthy.status.success(), "{healthy:?}");

    certificate(&home, "new.test");
    support::eventually("the new certificate", || ask_over_tls(address).0.contains("new.test").then_some(()));
    program.stop();
}
