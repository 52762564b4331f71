//! Pages as the exporters of others print them, each with what it means.

use std::time::Instant;

use mect_fleet::{FailureReason, HostId, Reading, Service, Timestamp};

use super::super::{Gather, gathered};
use super::{MAX_COUNT, MEANINGS};
use crate::parse;

/// When the pages were made: 2026-11-24 12:00:00 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);

fn gather(page: &str) -> Gather {
    let limits = parse::Limits { samples: 100_000, ..parse::Limits::default() };
    let page = parse::text(page.as_bytes(), &limits).unwrap();
    gathered(&page, || NOW).unwrap_or_else(|failure| panic!("{failure}"))
}

fn read(gather: Gather) -> Reading {
    gather.finish(Instant::now(), None, None).0
}

/// Units with whether they are active, and the sessions.
#[track_caller]
fn assert_reads(page: &str, units: &[(&str, &str, bool)], sessions: Option<u32>) {
    let reading = read(gather(page));
    let told: Vec<_> = reading.services.iter().map(|unit| (unit.service.code(), &*unit.unit, unit.active)).collect();
    assert_eq!((told.as_slice(), reading.sessions), (units, sessions));
    assert_eq!((reading.cpu, reading.ram, reading.net, reading.load()), (None, None, None, None));
}

#[test]
fn names_are_in_order_and_of_known_beginnings() {
    assert!(MEANINGS.is_sorted_by_key(|(name, ..)| name));
    assert!(MEANINGS.iter().all(|(name, ..)| super::PREFIXES.iter().any(|prefix| name.starts_with(prefix))));
}

#[test]
fn wireguard_by_mindflavor() {
    let (wg0, wg1, wg2) = (("wg", "wg0", true), ("wg", "wg1", true), ("wg", "wg2", true));
    assert_reads(include_str!("../../../tests/foreign/mindflavor.txt"), &[wg0, wg1, wg2], Some(3));
    // Split networks, remote addresses, no number of peers.
    assert_reads(include_str!("../../../tests/foreign/mindflavor-old.txt"), &[wg0], Some(2));
    // It declares its metrics, and there is no interface: WireGuard is down.
    let without = include_str!("../../../tests/foreign/mindflavor-without-interface.txt");
    assert_reads(without, &[("wg", "wireguard", false)], Some(0));
}

#[test]
fn wireguard_by_mdlayher() {
    let (wg0, wg1) = (("wg", "wg0", true), ("wg", "wg1", true));
    assert_reads(include_str!("../../../tests/foreign/mdlayher.txt"), &[wg0, wg1], Some(3));
    // Peers without their device; one that never shook hands did so before the year 1.
    assert_reads(include_str!("../../../tests/foreign/mdlayher-old.txt"), &[wg0], Some(2));
}

#[test]
fn openvpn_by_kumina_and_natrontech() {
    assert_reads(
        include_str!("../../../tests/foreign/kumina.txt"),
        &[("ov", "/run/openvpn/server.status", true)],
        Some(3),
    );
    let (tcp, udp) = ("/run/openvpn/tcp.status", "/run/openvpn/udp.status");
    let natrontech = include_str!("../../../tests/foreign/natrontech.txt");
    assert_reads(natrontech, &[("ov", tcp, true), ("ov", udp, false)], Some(2));
    // The exporter reads a file that nobody writes any more: who is in it was connected once.
    let stale = include_str!("../../../tests/foreign/natrontech-stale.txt");
    assert_reads(stale, &[("ov", tcp, true), ("ov", udp, false)], Some(1));
}

#[test]
fn squid_by_boynux() {
    assert_reads(include_str!("../../../tests/foreign/squid.txt"), &[("sq", "squid", true)], None);
    assert_reads(include_str!("../../../tests/foreign/squid-down.txt"), &[("sq", "squid", false)], None);
}

#[test]
fn xray_by_compassvpn() {
    assert_reads(include_str!("../../../tests/foreign/xray.txt"), &[("vr", "xray", true)], Some(23));
    assert_reads(include_str!("../../../tests/foreign/xray-down.txt"), &[("vr", "xray", false)], None);
}

#[test]
fn pages_of_one_host_are_one_reading() {
    let mut all = gather("node_memory_MemTotal_bytes 1000\nnode_memory_MemAvailable_bytes 250\n");
    for page in [
        include_str!("../../../tests/foreign/mindflavor.txt"),
        include_str!("../../../tests/foreign/natrontech.txt"),
        include_str!("../../../tests/foreign/squid.txt"),
        include_str!("../../../tests/foreign/xray.txt"),
    ] {
        all.join(gather(page));
    }
    let reading = read(all);
    let kinds: Vec<_> = reading.by_service().collect();
    assert_eq!(kinds, Service::ALL.map(|service| (service, true)));
    assert_eq!((reading.ram, reading.sessions), (Some(0.75), Some(3 + 2 + 23)));
}

#[test]
fn sessions_of_several_exporters_for_one_service_add() {
    let mut all = gather(include_str!("../../../tests/foreign/kumina.txt"));
    all.join(gather(include_str!("../../../tests/foreign/natrontech.txt")));
    assert_eq!(read(all).sessions, Some(5));
}

/// In whichever order the pages come: of WireGuard ours tells, of OpenVPN only theirs.
#[test]
fn our_own_page_goes_before_theirs_for_the_same_service() {
    let ours = "vpn_service_active{service=\"wg\",unit=\"wg-quick@wg0.service\"} 1\nvpn_sessions{service=\"wg\"} 7\n";
    let theirs =
        [include_str!("../../../tests/foreign/mindflavor.txt"), include_str!("../../../tests/foreign/kumina.txt")];
    let (mut first, mut last) = (gather(ours), gather(theirs[0]));
    theirs.iter().for_each(|page| first.join(gather(page)));
    last.join(gather(theirs[1]));
    last.join(gather(ours));
    for reading in [read(first), read(last)] {
        let units: Vec<_> = reading.services.iter().map(|unit| &*unit.unit).collect();
        assert_eq!(units, ["wg-quick@wg0.service", "/run/openvpn/server.status"]);
        assert_eq!(reading.sessions, Some(7 + 3));
    }
}

#[test]
fn the_host_itself_is_counted_once_and_by_the_first_page_that_tells() {
    let page = |total: u32, id: &str| {
        format!(
            "node_memory_MemTotal_bytes {total}\nnode_memory_MemAvailable_bytes 100\n\
             node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} {total}\n{id}"
        )
    };
    let id = "0a".repeat(16);
    let mut all = gather(&page(1000, ""));
    let build = format!("vpn_exporter_build_info{{host_id=\"{id}\"}} 1\n");
    all.join(gather(&page(200, &build)));
    assert!(all.has_counters());
    let reading = read(all);
    assert_eq!((reading.ram, reading.host), (Some(0.9), id.parse::<HostId>().ok()));
}

/// The endpoint that counts is silent for one scrape: no rate since the host started, and none lost for long.
#[test]
fn a_scrape_without_counters_leaves_those_of_before() {
    let page = |idle: f64| {
        format!(
            "node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} {idle}\n\
             node_cpu_seconds_total{{cpu=\"0\",mode=\"user\"}} {idle}\n"
        )
    };
    let (start, second) = (Instant::now(), std::time::Duration::from_secs(10));
    let (_, counters) = gather(&page(1e6)).finish(start, None, None);
    let foreign = include_str!("../../../tests/foreign/xray.txt");
    let (reading, counters) = gather(foreign).finish(start + second, Some(&counters), None);
    assert_eq!(reading.cpu, None);
    let (reading, _) = gather(&page(1e6 + 5.0)).finish(start + 2 * second, Some(&counters), None);
    assert_eq!(reading.cpu, Some(0.5));
    // The first scrape of all was without.
    let (_, counters) = gather(foreign).finish(start, None, None);
    let (reading, _) = gather(&page(1e6)).finish(start + second, Some(&counters), None);
    assert_eq!(reading.cpu, None, "not the mean since the host started");
}

#[test]
fn numbers_that_count_nobody_are_left_aside() {
    for value in ["NaN", "-1", "-Inf", "+Inf", "1e300", &format!("{}", MAX_COUNT * 2.0)] {
        let xray = format!("xray_up 1\nxray_unique_users {value}\n");
        assert_reads(&xray, &[("vr", "xray", true)], None);
        let openvpn = format!(
            "openvpn_up{{status_path=\"a\"}} 1\nopenvpn_server_connected_clients{{status_path=\"a\"}} {value}\n\
             openvpn_server_connected_clients{{status_path=\"b\"}} 4\n"
        );
        assert_reads(&openvpn, &[("ov", "a", true)], Some(4));
        let wireguard = format!("wireguard_latest_handshake_seconds{{interface=\"wg0\",public_key=\"x\"}} {value}\n");
        assert_reads(&wireguard, &[("wg", "wg0", true)], Some(0));
        for up in ["squid_up{host=\"x\"}", "xray_up", "openvpn_up{status_path=\"a\"}"] {
            assert!(!read(gather(&format!("{up} {value}\n"))).services[0].active, "{up} {value}");
        }
    }
}

#[test]
fn ten_thousand_peers_are_counted() {
    let peer = |n: u32| {
        let (at, key) = (NOW.as_secs() - i64::from(n % 360), format!("{n:044}"));
        format!("wireguard_latest_handshake_seconds{{interface=\"wg0\",public_key=\"{key}\",allowed_ips=\"\"}} {at}\n")
    };
    let page: String = (0..10_000).map(peer).collect();
    let recent = (0..10_000).filter(|n| n % 360 <= 180).count() as u32;
    assert_reads(&page, &[("wg", "wg0", true)], Some(recent));
}

#[test]
fn a_page_of_another_program_still_says_nothing_of_a_host() {
    for page in
        ["go_goroutines 9\n", "wireguard_other 1\nsquid_client_http_requests_total 5\n", "openvpn_upper 1\n", ""]
    {
        let page = parse::text(page.as_bytes(), &parse::Limits::default()).unwrap();
        let failure = gathered(&page, || NOW).err();
        assert_eq!(failure.map(|failure| failure.reason), Some(FailureReason::NoMetrics));
    }
}
