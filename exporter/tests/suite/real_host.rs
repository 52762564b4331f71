//! A real host: systemd as PID 1, WireGuard, OpenVPN, Squid and V2Ray with a client connected to each, and the
//! exporter under the unit that we ship. Each service is broken in turn, and the page must tell exactly that.

mod files;
mod machine;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use machine::{CLIENT, Machine, SERVER, fetch_by_http_proxy, fetch_by_socks, value};

/// What the page says of a host that is well.
const WELL: [&str; 22] = [
    "vpn_service_active{service=\"ov\",unit=\"openvpn@server.service\"} 1",
    "vpn_service_active{service=\"sq\",unit=\"squid.service\"} 1",
    "vpn_service_active{service=\"wg\",unit=\"wg-quick@wg0.service\"} 1",
    "vpn_service_active{service=\"vr\",unit=\"x-ui.service\"} 1",
    "vpn_service_health{service=\"ov\",unit=\"openvpn@server.service\"} 5",
    "vpn_service_health{service=\"sq\",unit=\"squid.service\"} 5",
    "vpn_service_health{service=\"wg\",unit=\"wg-quick@wg0.service\"} 5",
    "vpn_service_health{service=\"vr\",unit=\"x-ui.service\"} 5",
    "vpn_service_listening{service=\"ov\",transport=\"udp\",port=\"1194\"} 1",
    "vpn_service_listening{service=\"sq\",transport=\"tcp\",port=\"3128\"} 1",
    "vpn_service_listening{service=\"wg\",transport=\"udp\",port=\"51820\"} 1",
    "vpn_service_listening{service=\"vr\",transport=\"tcp\",port=\"10086\"} 1",
    "vpn_sessions{service=\"ov\",instance=\"server\"} 1",
    "vpn_sessions{service=\"sq\",instance=\"squid\"} 1",
    "vpn_sessions{service=\"wg\",instance=\"wg0\"} 1",
    "vpn_sessions{service=\"vr\",instance=\"x-ui\"} 1",
    "vpn_service_health{service=\"ov\",unit=\"openvpn-server@office.service\"} 4",
    "vpn_service_listening{service=\"ov\",transport=\"tcp\",port=\"443\"} 1",
    "vpn_sessions{service=\"ov\",instance=\"office\"} 0",
    "vpn_session_limit{service=\"ov\",instance=\"server\"} 50",
    "vpn_wireguard_peers{device=\"wg0\"} 2",
    "vpn_wireguard_peers_recent{device=\"wg0\",window=\"180s\"} 1",
];

const SERVICES: [&str; 4] = ["wireguard", "openvpn", "squid", "xray"];

fn health(service: &str, rung: u8) -> String {
    let unit = match service {
        "wg" => "wg-quick@wg0",
        "ov" => "openvpn@server",
        "sq" => "squid",
        _ => "x-ui",
    };
    format!("vpn_service_health{{service=\"{service}\",unit=\"{unit}.service\"}} {rung}")
}

/// Something through each tunnel and proxy. What does not get through is what the page must tell.
fn traffic(machine: &Machine) {
    machine.in_client_net(|| {
        let wait = Duration::from_millis(300);
        for inside in ["10.9.0.1:9", "10.8.0.1:9"] {
            // Refused, which is data both ways.
            let _ = TcpStream::connect_timeout(&inside.parse().unwrap(), wait);
        }
        let squid: SocketAddr = format!("{SERVER}:3128").parse().unwrap();
        if TcpStream::connect_timeout(&squid, wait).is_ok() {
            fetch_by_http_proxy(squid, 5000);
        }
        let _ = fetch_by_socks("127.0.0.1:1080".parse().unwrap(), 5000);
    });
}

fn lines<'a>(lines: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    lines.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn a_real_host_is_seen_as_it_is() {
    let mut machine = Machine::boot(files::write());
    machine.serve_web();
    for unit in ["wg-quick@wg0", "openvpn@server", "openvpn-server@office", "squid", "x-ui", "mect-exporter"] {
        machine.start(unit);
    }
    files::connect_clients(&mut machine);
    // One client stays connected to Squid.
    let held = machine.in_client_net(|| TcpStream::connect((SERVER, 3128)).unwrap());
    let well = |machine: &Machine, what: &str| machine.wait_for_lines(what, &WELL, || traffic(machine));

    let page = well(&machine, "all is well");
    all_samplers_work(&page);
    numbers_are_right(&machine, &page);
    stopped(&machine);
    well(&machine, "started again");
    core_dead(&machine);
    well(&machine, "core restarted");
    squid_hangs(&machine);
    well(&machine, "squid goes on");
    status_stale(&machine);
    well(&machine, "openvpn goes on");
    port_not_bound(&machine);
    well(&machine, "port is back");
    cable_pulled(&machine);
    well(&machine, "cable is back");
    management_busy(&machine);
    well(&machine, "management is free");
    connections_tracked(&machine);
    states_are_those_of_node_exporter(&machine);
    rights_are_told(&machine);
    watchdog_restarts(&machine);
    drop(held);
}

fn all_samplers_work(page: &str) {
    let failed: Vec<&str> =
        page.lines().filter(|line| line.starts_with("vpn_exporter_sampler_success") && line.ends_with(" 0")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    for sampler in SERVICES {
        assert!(page.contains(&format!("sampler=\"{sampler}\"}} 1")), "{sampler}: {page}");
    }
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    let cpus = std::thread::available_parallelism().unwrap().get();
    // A certificate and a second instance of OpenVPN come on top.
    assert!(series <= 122 + 13 + 9 * cpus.saturating_sub(2), "{series} series");
    // The client's names and addresses.
    for secret in ["laptop", "10.77.0.2", "10.8.0.", "user@vpn"] {
        assert!(!page.contains(secret), "{secret}");
    }
}

fn numbers_are_right(machine: &Machine, before: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - value(before, "vpn_wireguard_latest_handshake_timestamp_seconds{device=\"wg0\"}");
    assert!((-1.0..=180.0).contains(&age), "the handshake is {age} s old");
    let age = now - value(before, "vpn_openvpn_status_timestamp_seconds{instance=\"server\"}");
    assert!((-1.0..=10.0).contains(&age), "the status is {age} s old");
    assert!(value(before, "vpn_openvpn_routes{instance=\"server\"}") >= 1.0);
    let expiry = value(before, "vpn_certificate_expiry_timestamp_seconds{file=\"/etc/openvpn/server.crt\"}");
    assert!((expiry - now - 86_400.0 * 30.0).abs() < 86_400.0, "expires in {} s", expiry - now);

    // A megabyte through each proxy comes out as a megabyte on the page.
    const BYTES: usize = 1_000_000;
    machine.in_client_net(|| {
        drop(fetch_by_http_proxy(format!("{SERVER}:3128").parse().unwrap(), BYTES));
        fetch_by_socks("127.0.0.1:1080".parse().unwrap(), BYTES).unwrap();
    });
    for (service, instance) in [("sq", "squid"), ("vr", "x-ui")] {
        let series = format!("vpn_service_transmit_bytes_total{{service=\"{service}\",instance=\"{instance}\"}}");
        let grown = machine::wait_for(&series, || {
            let grown = value(&machine.page().ok()?, &series) - value(before, &series);
            (grown >= BYTES as f64).then_some(grown)
        });
        assert!(grown < BYTES as f64 * 1.5, "{series} grew by {grown}");
    }
    let after = machine.page().unwrap();
    for (service, instance) in [("wg", "wg0"), ("ov", "server")] {
        for direction in ["receive", "transmit"] {
            let series =
                format!("vpn_service_{direction}_bytes_total{{service=\"{service}\",instance=\"{instance}\"}}");
            assert!(value(&after, &series) >= value(before, &series) && value(before, &series) > 0.0, "{series}");
        }
    }
    assert!(value(&after, "vpn_squid_client_requests_total{instance=\"squid\"}") > 0.0);
    assert!(value(&after, "vpn_squid_max_fds{instance=\"squid\"}") > 10.0);
}

fn stopped(machine: &Machine) {
    machine.server(&["systemctl", "stop", "openvpn@server"]);
    let rungs = [health("ov", 0), health("wg", 5), health("sq", 5), health("vr", 5)];
    let gone = [
        "vpn_service_active{service=\"ov\",unit=\"openvpn@server.service\"} 0",
        "vpn_service_listening{service=\"ov\",transport=\"udp\",port=\"1194\"} 0",
        "vpn_sessions{service=\"ov\",instance=\"server\"} 0",
    ];
    machine.wait_for_lines("openvpn stopped", &lines(&rungs, &gone), || traffic(machine));
    machine.start("openvpn@server");
}

/// The panel lives on without its core: systemd sees nothing.
fn core_dead(machine: &Machine) {
    machine.server(&["bash", "-c", "kill -9 $(cat /run/v2ray.pid)"]);
    let rungs = [health("vr", 1), health("wg", 5), health("ov", 5), health("sq", 5)];
    let told = [
        "vpn_service_active{service=\"vr\",unit=\"x-ui.service\"} 1",
        "vpn_service_listening{service=\"vr\",transport=\"tcp\",port=\"10086\"} 0",
    ];
    machine.wait_for_lines("the core is dead", &lines(&rungs, &told), || traffic(machine));
    machine.server(&["systemctl", "restart", "x-ui"]);
}

/// It accepts connections and answers none: the page comes in time, and without Squid.
fn squid_hangs(machine: &Machine) {
    machine.server(&["systemctl", "kill", "--signal=STOP", "squid"]);
    let rungs = [health("sq", 3), health("wg", 5), health("ov", 5), health("vr", 5)];
    let told =
        ["vpn_exporter_sampler_success{sampler=\"squid\"} 0", "vpn_exporter_sampler_success{sampler=\"xray\"} 1"];
    // Not through Squid.
    let others = || {
        machine.in_client_net(|| {
            for inside in ["10.9.0.1:9", "10.8.0.1:9"] {
                let _ = TcpStream::connect_timeout(&inside.parse().unwrap(), Duration::from_millis(300));
            }
            let _ = fetch_by_socks("127.0.0.1:1080".parse().unwrap(), 5000);
        });
    };
    machine.wait_for_lines("squid hangs", &lines(&rungs, &told), others);
    let started = Instant::now();
    machine.page().unwrap();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    machine.server(&["systemctl", "kill", "--signal=CONT", "squid"]);
}

fn status_stale(machine: &Machine) {
    machine.server(&["systemctl", "kill", "--signal=STOP", "openvpn@server"]);
    let rungs = [health("ov", 3), health("wg", 5), health("sq", 5), health("vr", 5)];
    let page = machine.wait_for_lines("the status is stale", &lines(&rungs, &[]), || traffic(machine));
    let sessions = "vpn_sessions{service=\"ov\",instance=\"server\"}";
    assert!(!page.contains(sessions), "nobody knows who is connected: {page}");
    machine.server(&["systemctl", "kill", "--signal=CONT", "openvpn@server"]);
}

/// The panel has written another port, and the core was not restarted.
fn port_not_bound(machine: &Machine) {
    let config = machine.files.path().join("xray.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("10086", "10087")).unwrap();
    let rungs = [health("vr", 2), health("wg", 5), health("ov", 5), health("sq", 5)];
    let told = ["vpn_service_listening{service=\"vr\",transport=\"tcp\",port=\"10087\"} 0"];
    machine.wait_for_lines("the port is not bound", &lines(&rungs, &told), || traffic(machine));
    std::fs::write(&config, text).unwrap();
}

/// Everything runs and nothing comes through.
fn cable_pulled(machine: &Machine) {
    machine.server(&["ip", "link", "set", "eth0", "down"]);
    let rungs = ["wg", "ov", "sq", "vr"].map(|service| health(service, 4));
    machine.wait_for_lines("the cable is pulled", &lines(&rungs, &[]), || {});
    machine.server(&["ip", "link", "set", "eth0", "up"]);
    machine.server(&["ip", "route", "replace", "default", "via", CLIENT]);
}

/// OpenVPN's management serves one at a time: with somebody else there it never answers.
fn management_busy(machine: &Machine) {
    let held = machine.in_server_net(|| {
        let mut stream = TcpStream::connect("127.0.0.1:7505").unwrap();
        // Once it asks for the password, we are the one.
        std::io::Read::read_exact(&mut stream, &mut [0; 15]).unwrap();
        stream
    });
    let told = [
        "vpn_service_health{service=\"ov\",unit=\"openvpn-server@office.service\"} 3",
        "vpn_exporter_sampler_success{sampler=\"openvpn\"} 0",
    ];
    let rungs = [health("ov", 5), health("wg", 5)];
    machine.wait_for_lines("the management is busy", &lines(&rungs, &told), || traffic(machine));
    let started = Instant::now();
    machine.page().unwrap();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    drop(held);
}

/// Debian's node_exporter on the same bus: the states that we show are its own.
fn states_are_those_of_node_exporter(machine: &Machine) {
    let unit = "node-exporter-for-comparison";
    let command = ["systemd-run", "--quiet", "--unit", unit, "prometheus-node-exporter", "--collector.systemd"];
    machine.server(&[&command[..], &["--web.listen-address=127.0.0.1:9100"]].concat());
    let theirs = machine::wait_for("node_exporter's unit states", || {
        machine.page_of("127.0.0.1:9100").ok().filter(|page| page.contains("node_systemd_unit_state{"))
    });
    let ours = machine.page().unwrap();
    let shown: Vec<&str> = ours.lines().filter(|line| line.starts_with("node_systemd_unit_state{")).collect();
    assert!(shown.len() >= 5, "{shown:?}");
    for line in shown {
        assert!(theirs.lines().any(|other| other == line), "node_exporter has no {line}");
    }
    machine.server(&["systemctl", "stop", unit]);
}

/// The table of this host's own connections, and the kernel's limit. A table that is really full would be
/// the whole machine's.
fn connections_tracked(machine: &Machine) {
    let page = machine.page().unwrap();
    let limit: f64 =
        std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").unwrap().trim().parse().unwrap();
    assert_eq!(value(&page, "node_nf_conntrack_entries_limit"), limit);
    assert!(value(&page, "node_nf_conntrack_entries") <= limit);
}

/// `check` as somebody without any right says what is missing, and what mends it.
fn rights_are_told(machine: &Machine) {
    let nobody =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/local/bin/mect-exporter", "check"];
    let said = machine.on_server(&nobody);
    for part in [
        "without CAP_NET_ADMIN",
        "FAILED  wireguard: cannot ask /run/wireguard/wg0.sock: Permission denied",
        "CAP_DAC_OVERRIDE for one in user space",
        "FAILED  openvpn: cannot read /run/openvpn/server.status: Permission denied",
        "CAP_DAC_READ_SEARCH",
        "ok      squid",
        "vr  x-ui.service: rung 4",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let root = machine.on_server(&["/usr/local/bin/mect-exporter", "check"]);
    assert!(!root.contains("FAILED") && root.contains("udp/51820 bound"), "{root}");
}

fn watchdog_restarts(machine: &Machine) {
    let pid = || machine.server(&["systemctl", "show", "-P", "MainPID", "mect-exporter"]);
    let before = pid();
    machine.server(&["systemctl", "kill", "--signal=STOP", "mect-exporter"]);
    machine::wait_for("another exporter", || {
        let now = pid();
        (now != before && now.trim() != "0").then_some(())
    });
    machine.wait_for_lines("it answers again", &[&health("ov", 4)], || {});
}
