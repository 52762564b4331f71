//! Hosts out of the ordinary, as fixture trees: many CPUs, kernels that lack things, many devices, no IPv4; and
//! services that answer nonsense or nothing.

use std::fmt::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_exporter::collect::{BUDGET, Collected, Collector, Setup};
use mect_exporter::config::{Endpoint, Options, PerPeer, Rule, Service, UnitMap, Uplink};
use mect_exporter::root::Root;

use crate::fake_bus::{Answer, FakeBus, UNIT_LIST, reply, string, unit_list};
use crate::vpn_host::copy;

fn host() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/root"), dir.path());
    dir
}

async fn collect(root: &Path, bus: &Path, services: UnitMap) -> Collected {
    let mut collector = Collector::new(Setup {
        root: Root::new(root),
        bus: Ok(bus.to_owned()),
        services,
        uplink: Uplink::default(),
        certificates: Vec::new(),
        per_peer: PerPeer::Off,
        data_window: Duration::from_secs(300),
    });
    collector.collect(BUDGET).await
}

/// The page of a host without units; nothing may fail but systemd, which is not there.
async fn page(root: &Path) -> String {
    let collected = collect(root, Path::new("/nonexistent/bus"), UnitMap::built_in()).await;
    for outcome in collected.outcomes {
        assert!(outcome.sampler == "systemd" || outcome.error.is_none(), "{outcome:?}");
    }
    collected.page.text().to_owned()
}

fn count(page: &str, prefix: &str) -> usize {
    page.lines().filter(|line| line.starts_with(prefix)).count()
}

#[tokio::test]
async fn a_hundred_and_twenty_eight_cpus_fit_on_a_page() {
    let host = host();
    let (mut stat, mut softnet) = (String::from("cpu  1 2 3 4\n"), String::new());
    for cpu in 0..128 {
        let _ = writeln!(stat, "cpu{cpu} 15100 10 6020 1200050 500 0 200 15 0 0");
        let _ = writeln!(softnet, "000610f0 0000000{} 00000000", cpu % 10);
    }
    stat += &format!("intr {}\nctxt 5\nbtime 1795400000\n", "0 ".repeat(20_000));
    std::fs::write(host.path().join("proc/stat"), stat).unwrap();
    std::fs::write(host.path().join("proc/net/softnet_stat"), softnet).unwrap();
    let page = page(host.path()).await;
    assert_eq!(count(&page, "node_cpu_seconds_total{"), 128 * 8);
    assert_eq!(count(&page, "node_softnet_dropped_total{"), 128);
    // What the collector takes at most.
    assert!(count(&page, "") < 2000 && page.len() < 512 * 1024);
}

#[tokio::test]
async fn a_kernel_without_pressure_and_connection_tracking_lacks_only_those() {
    let host = host();
    std::fs::remove_dir_all(host.path().join("proc/pressure")).unwrap();
    std::fs::remove_dir_all(host.path().join("proc/sys/net/netfilter")).unwrap();
    let page = page(host.path()).await;
    assert!(!page.contains("node_pressure_") && !page.contains("node_nf_conntrack_"));
    assert!(page.contains("node_sockstat_TCP_inuse 9\n"));
}

#[tokio::test]
async fn a_full_table_of_connections_is_seen() {
    let host = host();
    std::fs::write(host.path().join("proc/sys/net/netfilter/nf_conntrack_count"), "262144\n").unwrap();
    let page = page(host.path()).await;
    for line in ["node_nf_conntrack_entries 262144\n", "node_nf_conntrack_entries_limit 262144\n"] {
        assert!(page.contains(line), "{line}");
    }
}

#[tokio::test]
async fn two_hundred_veth_devices_do_not_show() {
    let host = host();
    let file = host.path().join("proc/net/dev");
    let mut devices = std::fs::read_to_string(&file).unwrap();
    for number in 0..200 {
        let _ = writeln!(devices, "veth{number:08x}: {}", "1 ".repeat(16));
        std::fs::create_dir_all(host.path().join(format!("sys/class/net/veth{number:08x}"))).unwrap();
    }
    std::fs::write(&file, devices).unwrap();
    let page = page(host.path()).await;
    assert!(!page.contains("veth"));
    assert_eq!(count(&page, "node_network_receive_bytes_total{"), 3);
}

#[tokio::test]
async fn a_link_without_speed_counts_as_a_gigabit() {
    let host = host();
    std::fs::write(host.path().join("sys/class/net/eth0/speed"), "-1\n").unwrap();
    let page = page(host.path()).await;
    assert!(!page.contains("node_network_speed_bytes"));
    let capacity = "vpn_uplink_capacity_bytes_per_second{device=\"eth0\",source=\"default\"} 125000000\n";
    assert!(page.contains(capacity), "{page}");
}

#[tokio::test]
async fn a_host_with_ipv6_alone_has_an_uplink() {
    let host = host();
    for gone in ["route", "tcp", "udp"] {
        std::fs::remove_file(host.path().join("proc/net").join(gone)).unwrap();
    }
    let zero = "0".repeat(32);
    let route =
        format!("{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n");
    std::fs::write(host.path().join("proc/net/ipv6_route"), route).unwrap();
    assert!(page(host.path()).await.contains("vpn_uplink_info{device=\"eth0\"} 1\n"));
}

/// A bus with one active unit.
fn bus(unit: &'static str) -> FakeBus {
    FakeBus::start(move |request| {
        let units = unit_list(&[(unit, "loaded", "active")]);
        Answer::Bytes(match request.member.as_str() {
            "Get" => reply(request.serial, "v", &[&[1, b's', 0, 0][..], &string("/x")].concat()),
            _ => reply(request.serial, UNIT_LIST, &units),
        })
    })
}

fn rule(unit: &str, service: Service, options: Options) -> UnitMap {
    UnitMap::from_operator(vec![Rule { unit: unit.to_owned(), service, options: Arc::new(options) }])
}

/// The error of one sampler.
fn error(collected: &Collected, sampler: &str) -> String {
    let outcome = collected.outcomes.iter().find(|outcome| outcome.sampler == sampler);
    outcome.and_then(|outcome| outcome.error.as_ref()).map_or_else(String::new, ToString::to_string)
}

/// Each accepts connections and says nothing; together they cost one budget.
#[tokio::test]
async fn control_sockets_that_never_answer_cost_their_budget_only() {
    let host = host();
    let socket = host.path().join("silent.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let names: [&'static str; 3] = ["openvpn@a.service", "openvpn@b.service", "squid.service"];
    let bus = FakeBus::start(move |request| {
        let units: Vec<(&str, &str, &str)> = names.iter().map(|name| (*name, "loaded", "active")).collect();
        Answer::Bytes(match request.member.as_str() {
            "Get" => reply(request.serial, "v", &[&[1, b's', 0, 0][..], &string("/x")].concat()),
            _ => reply(request.serial, UNIT_LIST, &unit_list(&units)),
        })
    });
    let asked = |unit: &str, service, control: &Path| {
        let options = Options { control: Some(Endpoint::Unix(control.to_owned())), ..Options::default() };
        Rule { unit: unit.to_owned(), service, options: Arc::new(options) }
    };
    // OpenVPN's lies below the root.
    let services = UnitMap::from_operator(vec![
        asked("openvpn@*.service", Service::Ov, Path::new("/silent.sock")),
        asked("squid.service", Service::Sq, &socket),
    ]);
    let started = Instant::now();
    let collected = collect(host.path(), &bus.socket(), services).await;
    let elapsed = started.elapsed();
    assert!((BUDGET..BUDGET * 3).contains(&elapsed), "{elapsed:?}");
    assert!(error(&collected, "openvpn").contains("does not answer within 500 ms"), "{}", error(&collected, "openvpn"));
    assert!(error(&collected, "squid").contains("does not answer within 250 ms"), "{}", error(&collected, "squid"));
    let page = collected.page.text();
    assert!(page.contains("vpn_service_health{service=\"sq\",unit=\"squid.service\"} 3\n"), "{page}");
    assert!(page.contains("node_load1 "));
}

#[tokio::test]
async fn malformed_status_files_are_told_and_cost_only_openvpn() {
    let host = host();
    let file = host.path().join("run/openvpn/server.status");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    for (content, says) in [
        (&b""[..], "no end"),
        (b"\xff\xfe\0\0", "no status of OpenVPN"),
        (b"TITLE,x\nCLIENT_LIST,a\nEND\n", "line 2"),
        (b"OpenVPN CLIENT LIST\nUpdated,x\n", "no end"),
    ] {
        std::fs::write(&file, content).unwrap();
        let bus = bus("openvpn@server.service");
        let services = rule("openvpn@*.service", Service::Ov, Options::default());
        let collected = collect(host.path(), &bus.socket(), services).await;
        let told = error(&collected, "openvpn");
        assert!(told.contains("server.status") && told.contains(says), "{says}: {told}");
        let page = collected.page.text();
        assert!(page.contains("vpn_service_receive_bytes_total{service=\"ov\",instance=\"server\"} "), "{page}");
        assert!(page.contains("vpn_service_health{service=\"ov\",unit=\"openvpn@server.service\"} 3\n"), "{page}");
    }
}

/// A unit's name is text of others: it stays inside its label, and leads to no other file.
#[tokio::test]
async fn odd_unit_names_lead_nowhere() {
    let host = host();
    for unit in [
        "wg-quick@...service",
        "wg-quick@\\x2e\\x2e\\x2fx.service",
        "wg-quick@a:b.service",
        "wg-quick@.service",
        "wg-quick@a-name-that-is-much-too-long-for-a-device.service",
    ] {
        let bus = bus(unit);
        let services = rule("wg-quick@*.service", Service::Wg, Options::default());
        let collected = collect(host.path(), &bus.socket(), services).await;
        let shown = format!("unit=\"{}\"}}", unit.replace('\\', "\\\\"));
        assert!(collected.page.text().contains(&shown), "{shown}");
        assert!(!collected.page.text().contains("vpn_service_receive_bytes_total"), "{unit}");
    }
}

/// Two instances with one name stay two, each with its own files.
#[tokio::test]
async fn instances_with_one_name_stay_apart() {
    let host = host();
    let status = include_str!("../fixtures/openvpn/status-2");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for file in ["run/openvpn/a.status", "run/openvpn-server/status-a.log"] {
        let file = host.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, status.replace("1795400011", &now.to_string())).unwrap();
    }
    let bus = FakeBus::start(|request| {
        let units = [("openvpn@a.service", "loaded", "active"), ("openvpn-server@a.service", "loaded", "active")];
        Answer::Bytes(match request.member.as_str() {
            "Get" => reply(request.serial, "v", &[&[1, b's', 0, 0][..], &string("/x")].concat()),
            _ => reply(request.serial, UNIT_LIST, &unit_list(&units)),
        })
    });
    let services = rule("openvpn*.service", Service::Ov, Options::default());
    let collected = collect(host.path(), &bus.socket(), services).await;
    assert_eq!(error(&collected, "openvpn"), "");
    // Both would take the only tunnel for theirs.
    assert!(!collected.page.text().contains("vpn_service_receive_bytes_total"), "{}", collected.page.text());
    let page = collected.page.text();
    for instance in ["openvpn@a.service", "a"] {
        assert!(page.contains(&format!("vpn_sessions{{service=\"ov\",instance=\"{instance}\"}} 3\n")), "{page}");
    }
}
