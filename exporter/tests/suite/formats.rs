//! Both formats, read by those who invented them: promtool, Prometheus itself, and the parser of Prometheus'
//! Python client.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mect_exporter::collect::BUDGET;
use mect_exporter::config::PerPeer;
use mect_exporter::exposition::to_open_metrics;

use crate::program::{Program, exchange};
use crate::vpn_host::VpnHost;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn get(program: &Program, path: &str, headers: &str) -> crate::program::Response {
    program.request(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
}

#[test]
fn the_accept_header_decides_about_the_format() {
    let program = Program::start(&[], &[]);
    let text = get(&program, "/metrics", "");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(text.header("vary"), Some("accept, accept-encoding"));
    assert!(text.body.contains("# TYPE node_cpu_seconds_total counter\n"));
    let open = get(&program, "/metrics", "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n");
    assert_eq!(open.header("content-type"), Some(OPEN_METRICS));
    assert!(open.body.contains("# TYPE node_cpu_seconds counter\n# UNIT node_cpu_seconds seconds\n"));
    assert!(open.body.ends_with("\n# EOF\n"));
    // The same numbers: both are made of one collection.
    let samples =
        |page: &str| page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&text.body), samples(&open.body));
}

#[test]
fn gzip_is_given_to_whoever_takes_it() {
    let program = Program::start(&[], &[]);
    let mut stream = program.connect();
    let plain = exchange(&mut stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let gzip = exchange(&mut stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, deflate\r\n\r\n");
    assert_eq!((plain.header("content-encoding"), gzip.header("content-encoding")), (None, Some("gzip")));
    let length =
        |response: &crate::program::Response| -> usize { response.header("content-length").unwrap().parse().unwrap() };
    assert!(length(&gzip) * 3 < length(&plain), "{} of {}", length(&gzip), length(&plain));
    assert!(gzip.body.contains("# TYPE node_load1 gauge\nnode_load1 "));
}

#[test]
fn parts_of_the_page_can_be_asked_for() {
    let program = Program::start(&[], &[]);
    let page = get(&program, "/metrics?collect[]=load&collect%5B%5D=cpu", "").body;
    assert!(page.contains("node_load1 ") && page.contains("node_cpu_seconds_total{"), "{page}");
    assert!(page.contains("vpn_exporter_build_info"), "{page}");
    assert!(!page.contains("node_memory") && !page.contains("node_network"), "{page}");
    let unknown = get(&program, "/metrics?collect[]=diskstats", "");
    assert_eq!(unknown.status, 400);
    assert!(unknown.body.contains("\"diskstats\"") && unknown.body.contains("filesystem"), "{}", unknown.body);
    let head = program.request("HEAD /metrics?collect[]=load HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!((head.status, head.header("content-encoding")), (200, Some("gzip")));
}

#[test]
fn python_reads_the_page_as_open_metrics() {
    let program = Program::start(&[], &[]);
    read_by_python(&get(&program, "/metrics", "Accept: application/openmetrics-text\r\n").body);
}

/// The page with every family that there is.
#[tokio::test]
async fn the_page_of_a_full_host_is_read_in_both_formats() {
    let host = VpnHost::start();
    for per_peer in [PerPeer::Off, PerPeer::Hashed] {
        let page = host.collector(per_peer).collect(BUDGET).await.page.text().to_owned();
        assert_eq!(promtool(&page), [] as [String; 0]);
        read_by_python(&to_open_metrics(&page));
    }
}

/// What promtool dislikes, but for the capitals in node_exporter's own names, which must stay as they are.
pub(crate) fn promtool(page: &str) -> Vec<String> {
    let (_, said) = pipe(Command::new("promtool").args(["check", "metrics"]), page);
    let is_capital = |line: &&str| line.starts_with("node_") && line.ends_with("'snake_case' not 'camelCase'");
    said.lines().filter(|line| !is_capital(line)).map(str::to_owned).collect()
}

/// Prometheus' own parser in Python is the strictest reader of OpenMetrics that there is.
fn read_by_python(page: &str) {
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        families = list(parse(sys.stdin.read()))\nprint(len(families), sum(len(f.samples) for f in families))\n\
        assert any(f.name == 'node_cpu_seconds' and f.type == 'counter' and f.unit == 'seconds' for f in families)";
    // Debian's package, whatever other Python comes first.
    let output = pipe(Command::new("/usr/bin/python3").args(["-c", script]), page);
    assert!(output.0, "python3-prometheus-client (apt-get install it) does not read the page: {}\n{page}", output.1);
    let samples = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(output.1.trim().ends_with(&format!(" {samples}")), "{samples} samples, read {}", output.1);
}

#[test]
fn prometheus_scrapes_it_over_open_metrics_and_gzip() {
    let program = Program::start(&[], &[("AGENT_API_KEY", "s3cret")]);
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "scrape_configs:\n- job_name: vpn\n  scrape_interval: 1s\n  authorization: {{credentials: s3cret}}\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        program.address
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = Command::new("prometheus")
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", &format!("--web.listen-address={port}")])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|_| panic!("prometheus is missing: apt-get install prometheus"));
    let _prometheus = Ended(child);
    let started = Instant::now();
    loop {
        let query =
            "GET /api/v1/query?query=up%7Bjob=%22vpn%22%7D*on()group_left()vpn_exporter_build_info HTTP/1.0\r\n\r\n";
        let answer = ask(&port, query);
        if answer.contains("\"1\"]") {
            break;
        }
        let targets = ask(&port, "GET /api/v1/targets HTTP/1.0\r\n\r\n");
        assert!(started.elapsed() < Duration::from_secs(60), "{answer}\n{targets}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Empty when nobody answers.
fn ask(address: &str, request: &str) -> String {
    use std::io::Read;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return String::new() };
    let mut answer = String::new();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn pipe(command: &mut Command, input: &str) -> (bool, String) {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|_| panic!("{command:?} cannot be started: apt-get install prometheus"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
