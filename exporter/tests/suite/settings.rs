//! Wrong settings: what the program says, and how it exits.

use std::net::TcpListener;

use crate::program::{Program, command};
use crate::tls::Certificate;

/// Runs it to its end: exit status, standard output, standard error.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = command().args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn file(content: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exporter.toml");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let (_dir, path) = file("# comment\n\n[uplink]\ncapacity_mbits = 100\n");
    let (code, _, said) = run(&["--config", &path], &[]);
    assert_eq!(code, 2);
    assert!(said.contains(&format!("{path}:4: uplink.capacity_mbits: ")), "{said}");
    assert!(said.contains("Did you mean \"capacity_mbit\"?"), "{said}");
}

#[test]
fn a_public_address_needs_a_token() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let (code, _, said) = run(&["check-config", "--listen", address], &[]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("--listen") && said.contains("AGENT_API_KEY"), "{said}");
        let (code, _, said) = run(&["check-config", "--listen", address], &[("AGENT_API_KEY", "")]);
        assert_eq!(code, 2, "an empty token is none: {said}");
        assert_eq!(run(&["check-config", "--listen", address], &[("AGENT_API_KEY", "x")]).0, 0);
    }
    assert_eq!(run(&["check-config", "--listen", "[::ffff:127.0.0.1]:0"], &[]).0, 0);
}

#[test]
fn a_public_address_with_tls_needs_no_token_but_says_what_that_means() {
    let certificate = Certificate::make("localhost");
    let (_dir, path) = file(&certificate.settings(""));
    let program = Program::start(&["--config", &path, "--listen", "0.0.0.0:0"], &[]);
    assert!(program.said.contains("anyone may ask"), "{}", program.said);
}

/// What is wrong with a certificate is said before anybody connects.
#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let (one, other) = (Certificate::make("localhost"), Certificate::make("localhost"));
    for (cert, key, says) in [
        (one.cert(), other.key(), "does not fit the key"),
        (one.key(), one.key(), "holds no certificate in PEM"),
        (one.cert(), one.cert(), "holds no private key in PEM"),
        ("/nonexistent.pem".into(), one.key(), "/nonexistent.pem: tls.cert: cannot be read"),
    ] {
        let (_dir, path) = file(&format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n"));
        let (code, _, said) = run(&["--config", &path, "--listen", "127.0.0.1:0"], &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_setting_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_dir, path) = file(&format!("listen = \"{address}\"\n"));
    for (arguments, variables, setting) in [
        (vec!["--listen", &address], vec![], "--listen"),
        (vec![], vec![("MECT_EXPORTER_LISTEN", address.as_str())], "MECT_EXPORTER_LISTEN"),
        (vec!["--config", &path], vec![], path.as_str()),
    ] {
        let (code, _, said) = run(&arguments, &variables);
        assert_eq!(code, 1, "{said}");
        for part in [address.as_str(), "uses this address already", setting] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn the_command_line_beats_the_environment_and_that_the_file() {
    let (_dir, path) = file("listen = \"127.0.0.1:1\"\n");
    let environment = [("MECT_EXPORTER_LISTEN", "127.0.0.1:2")];
    let listens = |arguments: &[&str], variables: &[(&str, &str)]| run(arguments, variables).1;
    assert!(listens(&["check-config", "--config", &path], &[]).contains("127.0.0.1:1 "));
    assert!(listens(&["check-config", "--config", &path], &environment).contains("127.0.0.1:2 "));
    assert!(
        listens(&["check-config", "--config", &path, "--listen", "127.0.0.1:3"], &environment).contains("127.0.0.1:3 ")
    );
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let (code, _, said) = run(&["--config", "/nonexistent/exporter.toml"], &[]);
    assert_eq!(code, 2);
    assert!(said.contains("/nonexistent/exporter.toml: cannot be read"), "{said}");
}

#[test]
fn the_example_file_holds_the_defaults() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/exporter.toml");
    let (code, shown, said) = run(&["check-config", "--config", example], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(shown.contains("127.0.0.1:9776") && shown.contains("(built in)"), "{shown}");

    // With the comment signs gone, every key that it explains must be one that exists.
    let text = std::fs::read_to_string(example).unwrap();
    let settings: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n");
    let (_dir, path) = file(&settings.replace("token_file = ", "# token_file = "));
    let (code, shown, said) = run(&["check-config", "--config", &path], &[]);
    assert_eq!(code, 0, "{said}\n{settings}");
    for part in [
        "wg-quick@*.service",
        "openvpn-server@*.service",
        "x-ui.service",
        "eth0",
        "1000 Mbit/s",
        "with certificates of clients",
        "2001:db8::/32",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn the_command_line_explains_itself() {
    let (code, shown, _) = run(&["--help"], &[]);
    assert_eq!(code, 0);
    assert!(shown.contains("check-config") && shown.contains("AGENT_API_KEY_FILE"));
    assert!(run(&["--version"], &[]).1.starts_with("mect-exporter 0."));
    let (code, _, said) = run(&["--lisen", "x"], &[]);
    assert_eq!(code, 2);
    assert!(said.contains("--lisen") && said.contains("--help"), "{said}");
}

#[test]
fn a_unit_that_the_operator_names_needs_no_systemd_to_be_configured() {
    let (_dir, path) = file("[services]\nmyvpn = \"wg\"\n");
    let program = Program::start(&["--config", &path], &[("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")]);
    assert!(program.metrics().contains("vpn_exporter_sampler_success{sampler=\"systemd\"} 0\n"));
}

#[test]
fn the_health_check_tells_a_living_exporter_from_none() {
    let program = Program::start(&[], &[("AGENT_API_KEY", "0123456789abcdef0123456789abcdef")]);
    let address = program.address.clone();
    assert_eq!(run(&["healthcheck", "--listen", &address], &[]).0, 0);
    drop(program);

    let certificate = Certificate::make("localhost");
    let (_dir, path) = file(&certificate.settings(""));
    let program = Program::start(&["--config", &path], &[]);
    let ask = || run(&["healthcheck", "--config", &path, "--listen", &program.address], &[]).0;
    assert_eq!(ask(), 0);
    program.signal("STOP");
    assert_eq!(ask(), 1, "it hangs");
    program.signal("CONT");
    drop(program);
    let (code, _, said) = run(&["healthcheck", "--listen", &address], &[]);
    assert!(code == 1 && said.contains("no exporter answers"), "{code} {said}");
}
