//! `scrape` from the shell, against our exporter, one that nobody here wrote, and none at all.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use support::{exporter, free_port, node_exporter};

const OURS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 91);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 92);

/// Runs `scrape`, which finds only this key in its environment.
fn scrape(arguments: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.arg("scrape").args(arguments).env_remove("AGENT_API_KEY");
    command.envs(key.map(|key| ("AGENT_API_KEY", key))).output().unwrap()
}

#[track_caller]
fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, says: &[&str]) {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    says.iter().for_each(|part| assert!(said.contains(part), "{said}"));
}

#[test]
fn a_target_is_shown_as_the_collector_sees_it() {
    let port = free_port(OURS);
    let _exporter = exporter(OURS, port, |_| {});
    // Longer than the exporter's cache of one second: the second page has other counters.
    let output = scrape(&[&format!("{OURS}:{port}"), "--pause", "1.5"], None);
    let page = shown(&output);
    assert!(page.starts_with(&format!("http://{OURS}:{port}/metrics\n  status    200 OK\n")), "{page}");
    for part in ["text/plain; version=0.0.4; charset=utf-8, read as text", "first byte after", " on the wire"] {
        assert!(page.contains(part), "{page}");
    }
    let of = |name: &str| page.lines().find_map(|line| line.trim_start().strip_prefix(name)).unwrap().trim().to_owned();
    assert!(of("samples").split(' ').next().unwrap().parse::<u32>().unwrap() > 50, "{page}");
    for share in ["cpu", "ram", "net"] {
        assert!(of(share).contains(" %"), "{page}");
    }
    assert!(of("net").contains("bytes/s in"), "{page}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("second scrape in 1.5 s"), "{output:?}");
    let once = shown(&scrape(&[&format!("http://{OURS}:{port}/metrics"), "--pause", "0"], None));
    assert!(once.contains("cpu       unknown") && !once.contains("ram       unknown"), "{once}");
}

#[test]
fn a_foreign_exporter_is_read_and_gzip_makes_its_page_small() {
    let port = free_port(FOREIGN);
    let _exporter = node_exporter(FOREIGN, port);
    let page = shown(&scrape(&[&format!("{FOREIGN}:{port}"), "--pause", "0"], None));
    let size = page.lines().find(|line| line.trim_start().starts_with("size")).unwrap();
    let numbers: Vec<u32> = size.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [page, wire] if wire * 2 < page), "{size}");
}

#[test]
fn the_key_comes_from_a_file_or_the_environment() {
    let ip = Ipv4Addr::new(127, 0, 0, 93);
    let port = free_port(ip);
    let _exporter = exporter(ip, port, |command| {
        command.env("AGENT_API_KEY", "s3cret-of-the-test");
    });
    let url = format!("{ip}:{port}");
    let ask = |more: &[&str], key| scrape(&[&[url.as_str(), "--pause", "0"], more].concat(), key);
    refused(&ask(&[], None), &["the exporter refused our credentials", "(auth)", "--key-file"]);
    refused(&ask(&[], Some("another")), &["(auth)"]);
    shown(&ask(&[], Some("s3cret-of-the-test")));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret-of-the-test\n").unwrap();
    let with_file = |file: &Path| ask(&["--key-file", file.to_str().unwrap()], Some("another"));
    let output = with_file(file.path());
    assert!(!shown(&output).contains("s3cret") && output.stderr.is_empty(), "{output:?}");
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("key"), "s3cret-of-the-test").unwrap();
    let config = home.path().join("collector.toml");
    std::fs::write(&config, "[[access]]\nname = \"house\"\nbearer_file = \"key\"\n").unwrap();
    let by_access = |name: &str| ask(&["--config", config.to_str().unwrap(), "--access", name], None);
    shown(&by_access("house"));
    refused(&by_access("nobody"), &["no [[access]] has the name `nobody`"]);
    std::fs::write(file.path(), "\n").unwrap();
    refused(&with_file(file.path()), &["the first line, where the key should stand, is empty"]);
    refused(&with_file(Path::new("/no/such/key")), &["/no/such/key cannot be read"]);
}

#[test]
fn a_page_that_says_nothing_of_a_host_is_shown_as_far_as_it_goes() {
    let ip = Ipv4Addr::new(127, 0, 0, 94);
    let page = "# TYPE a info\na_info{b=\"c\"} 1\n# EOF\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\n";
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _read = socket.read(&mut [0; 4096]).unwrap();
        write!(socket, "{head}content-length: {}\r\n\r\n{page}", page.len()).unwrap();
    });
    let output = scrape(&[&format!("{ip}:{port}")], None);
    served.join().unwrap();
    let (shown, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("read as openmetrics") && shown.contains("samples   1 in 1 families"), "{shown}");
    assert!(output.status.code() == Some(1) && said.contains("(no_metrics)"), "{output:?}");
}

#[test]
fn a_failure_is_told_with_its_reason() {
    let nobody = free_port(OURS);
    let output = scrape(&[&format!("{OURS}:{nobody}"), "--timeout", "5"], None);
    refused(&output, &[&format!("http://{OURS}:{nobody}/metrics: connection refused (conn_refused)")]);
    assert_eq!(scrape(&["no-port"], None).status.code(), Some(2), "a usage error");
    assert_eq!(scrape(&["a:1", "--timeout", "-1"], None).status.code(), Some(2), "a usage error");
}
