//! Exporters behind TLS and credentials, each reached in its own way; and those that are not who they should be.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::path::Path;

use support::collector::Home;
use support::pki::Authority;
use support::{Program, exporter, free_port};

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 97, last)
}

/// A real exporter with the certificate `name`, and more settings, also of its TLS.
fn secured(home: &Path, last: u8, name: &str, more: &str, tls: &str) -> (Program, u16) {
    let (ip, port) = (address(last), free_port(address(last)));
    let settings = home.join(format!("exporter-{last}.toml"));
    let (cert, key) = (home.join(format!("{name}.pem")), home.join(format!("{name}.key")));
    std::fs::write(&settings, format!("{more}\n[tls]\ncert = {cert:?}\nkey = {key:?}\n{tls}\n")).unwrap();
    let program = exporter(ip, port, |command| {
        command.arg("--config").arg(&settings);
    });
    (program, port)
}

#[test]
fn each_target_is_reached_in_its_own_way_and_nobody_else_is_believed() {
    let home = Home::new("");
    let dir = home.path();
    let pki = Authority(dir);
    pki.root("ca");
    pki.root("stranger");
    for last in 1..=6 {
        pki.issue(&format!("host{last}"), "ca", &format!("IP:{}", address(last)), 30);
    }
    pki.issue("named", "ca", "DNS:de1.internal", 30);
    pki.issue("late", "ca", &format!("IP:{}", address(8)), -1);
    pki.issue("client", "ca", "DNS:collector", 30);
    std::fs::write(dir.join("token"), "the-exporters-own-token\n").unwrap();
    // What each exporter is, and what the collector knows of it.
    let client_ca = format!("client_ca = {:?}", dir.join("ca.pem"));
    let token = format!("token_file = {:?}", dir.join("token"));
    let clear_port = free_port(address(9));
    let clear = exporter(address(9), clear_port, |_| {});
    let exporters = [
        (1, secured(dir, 1, "host1", "", ""), "trusted", true),
        (2, secured(dir, 2, "stranger", "", ""), "pinned", true),
        (3, secured(dir, 3, "host3", "", &client_ca), "showing", true),
        (4, secured(dir, 4, "host4", "", &client_ca), "trusted", false),
        (5, secured(dir, 5, "host5", "", ""), "pinned", false),
        (6, secured(dir, 6, "host6", "", ""), "usual", false),
        (7, secured(dir, 7, "named", "", ""), "named", true),
        (8, secured(dir, 8, "late", "", ""), "trusted", false),
        (9, (clear, clear_port), "trusted", false),
        (10, secured(dir, 10, "host1", "", ""), "trusted", false),
        (11, secured(dir, 11, "named", &token, ""), "bearer", true),
        (12, secured(dir, 12, "named", &token, ""), "key", true),
    ];
    let mut config = String::from("[scrape]\ninterval_seconds = 1\n[health]\nfall = 2\n");
    for (name, says) in [
        ("trusted", "ca = \"ca.pem\""),
        ("pinned", &*format!("pinned_key = {:?}", pki.pin("stranger"))),
        ("showing", "ca = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\""),
        ("named", "ca = \"ca.pem\"\nserver_name = \"de1.internal\""),
        ("bearer", "ca = \"ca.pem\"\nserver_name = \"de1.internal\"\nbearer_file = \"token\""),
        ("key", "ca = \"ca.pem\"\nserver_name = \"de1.internal\"\napi_key_file = \"token\""),
    ] {
        config.push_str(&format!("[[access]]\nname = {name:?}\n{says}\n"));
    }
    for (last, (_, port), access, _) in &exporters {
        let access = if *access == "usual" { String::new() } else { format!("access = {access:?}\n") };
        config.push_str(&format!("[[targets]]\naddress = \"https://{}:{port}\"\n{access}", address(*last)));
    }
    home.configure(&config);
    let collector = home.start();
    for (last, _, access, is_right) in &exporters {
        let state = if *is_right { "active" } else { "down" };
        let ip = address(*last).to_string();
        let server =
            collector.server_when(&format!("{ip} by {access} to be {state}"), &ip, |server| server["health"] == state);
        if !is_right {
            assert_eq!(server["failure"], "tls", "{ip}: {server}");
        }
    }

    // A token that was replaced is read again.
    std::fs::write(dir.join("token"), "another-token\n").unwrap();
    let ip = address(11).to_string();
    collector.server_when("the exporter to refuse it", &ip, |server| server["failure"] == "auth");
    assert!(!home.log().contains("another-token"));
    std::fs::write(dir.join("token"), "the-exporters-own-token\n").unwrap();
    collector.server_when("the right token to be read again", &ip, |server| server["health"] == "active");
}

#[test]
fn an_access_that_cannot_be_used_is_told_with_its_place() {
    let home = Home::new("");
    let pki = Authority(home.path());
    pki.root("ca");
    std::fs::write(home.path().join("empty"), "\n").unwrap();
    for (says, told) in [
        ("ca = \"ca.pem\"", "missing field `name`"),
        ("name = \"x\"\nca = \"missing.pem\"", "missing.pem: cannot be read"),
        ("name = \"x\"\nca = \"ca.key\"", "ca.key: holds no certificate"),
        ("name = \"x\"\npinned_key = \"sha256/AA\"", "`pinned_key` is not `sha256/` and 32 bytes in base64"),
        ("name = \"x\"\ncertificate = \"ca.pem\"", "only both of `certificate` and `key`, or none"),
        ("name = \"x\"\ncertificate = \"ca.pem\"\nkey = \"ca.pem\"", "ca.pem: no private key in PEM form"),
        ("name = \"x\"\nbearer_file = \"empty\"", "empty: is empty"),
        ("name = \"x\"\nusername = \"u\"", "only both of `username` and `password_file`, or none"),
        (
            "name = \"x\"\nbearer_file = \"a\"\napi_key_file = \"a\"",
            "one of `bearer_file`, `api_key_file` and `password_file`",
        ),
        ("name = \"x\"\n[[access]]\nname = \"x\"", "given twice"),
        ("name = \"x\"\n[[targets]]\naddress = \"a:1\"\naccess = \"y\"", "no [[access]] has the name `y`"),
        ("name = \"x\"\nserver_name = \"a b\"", "`server_name` is neither a host name nor an address"),
        ("name = \"x\"\nauthority = \"a\"", "unknown key `authority`"),
    ] {
        home.configure(&format!("[[access]]\n{says}\n"));
        let output = home.command("check-config").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(told), "{says}: {said}");
        assert!(!said.contains("BEGIN"), "{said}");
    }
    home.configure("[[file_sd]]\nfiles = [\"targets.yml\"]\n");
    std::fs::write(home.path().join("targets.yml"), "- targets: ['a:1']\n  labels: {access: nowhere}\n").unwrap();
    let output = home.command("check-config").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("http://a:1/metrics: no [[access]]"), "{said}");
}
