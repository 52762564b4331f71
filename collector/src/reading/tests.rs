//! Pages of our exporter and of a plain node_exporter, read twice.

use super::*;
use crate::parse;

fn gather(page: &str) -> Gather {
    let mut gather = Gather::default();
    let page = parse::text(page.as_bytes(), &parse::Limits::default()).unwrap();
    page.samples().iter().for_each(|sample| gather.take(sample));
    gather
}

/// Reads two pages that lie `seconds` apart.
fn read_twice(first: &str, second: &str, seconds: f64) -> Reading {
    let start = Instant::now();
    let (_, counters) = gather(first).finish(start, None, None);
    gather(second).finish(start + Duration::from_secs_f64(seconds), Some(&counters), None).0
}

#[track_caller]
fn assert_near(value: Option<f32>, expected: f32) {
    assert!(value.is_some_and(|value| (value - expected).abs() < 1e-6), "{value:?} is not {expected}");
}

fn page(idle: f64, busy: f64, received: f64, sent: f64) -> String {
    format!(
        "node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} {idle}\n\
         node_cpu_seconds_total{{cpu=\"0\",mode=\"user\"}} {busy}\n\
         node_memory_MemTotal_bytes 1000\n\
         node_memory_MemAvailable_bytes 250\n\
         node_network_receive_bytes_total{{device=\"eth0\"}} {received}\n\
         node_network_transmit_bytes_total{{device=\"eth0\"}} {sent}\n"
    )
}

#[test]
fn rates_need_two_pages() {
    let (reading, _) = gather(&page(10.0, 5.0, 1e6, 2e6)).finish(Instant::now(), None, None);
    assert_near(reading.ram, 0.75);
    assert_eq!((reading.cpu, reading.net, reading.load()), (None, None, None));

    let reading = read_twice(&page(10.0, 5.0, 1e6, 2e6), &page(16.0, 7.0, 1e6 + 1.25e9, 2e6 + 2.5e8), 100.0);
    assert_near(reading.cpu, 0.25);
    assert_eq!(reading.receive_bytes_per_second, Some(1.25e7));
    assert_eq!(reading.transmit_bytes_per_second, Some(2.5e6));
    assert_near(reading.net, 0.1);
    assert_near(reading.load(), 0.75);
}

#[test]
fn a_counter_that_fell_gives_no_rate() {
    let reading = read_twice(&page(1000.0, 500.0, 5e9, 5e9), &page(16.0, 7.0, 1e6, 2e6), 100.0);
    assert_eq!((reading.cpu, reading.net, reading.receive_bytes_per_second), (None, None, None));
    assert_near(reading.ram, 0.75);
}

#[test]
fn a_counter_that_did_not_count_gives_no_rate() {
    let before = page(1000.0, 500.0, 5e9, 5e9);
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX] {
        let reading = read_twice(&before, &page(value, value, value, value), 100.0);
        assert_eq!((reading.cpu, reading.net, reading.receive_bytes_per_second), (None, None, None), "{value}");
    }
    let reading = read_twice(&before, &page(1001.0, 501.0, 5e9 + 1e18, 5e9), 100.0);
    assert_eq!((reading.net, reading.receive_bytes_per_second), (None, None), "10^16 bytes a second");
    assert_near(reading.cpu, 0.5);
}

#[test]
fn a_page_from_the_exporters_cache_gives_no_rate() {
    let same = page(10.0, 5.0, 1e6, 2e6);
    let reading = read_twice(&same, &same, 100.0);
    assert_eq!((reading.cpu, reading.net), (None, None), "no processor time passed");
    assert_eq!(read_twice(&same, &page(11.0, 5.0, 1e6, 2e6), 0.1).cpu, None, "too close");
}

/// An exporter that caches for a second, asked more often than that; then for minutes the same page.
#[test]
fn a_page_out_of_the_cache_has_the_rates_of_the_one_before_for_a_moment() {
    let start = Instant::now();
    let pages = [(0.0, 10.0), (0.51, 10.0), (1.0, 10.5), (1.2, 10.6), (1.5, 11.0), (2.01, 11.0), (9.0, 11.0)];
    let (mut kept, mut read) = (None, Vec::new());
    for (at, idle) in pages {
        let at = start + Duration::from_secs_f64(at);
        let (reading, counters) = gather(&page(idle, idle, idle * 1e6, 0.0)).finish(at, kept.as_ref(), None);
        kept = Some(counters);
        read.push((reading.cpu.is_some(), reading.receive_bytes_per_second.map(f64::round)));
    }
    let (none, first, second) = ((false, None), (true, Some(5e5)), (true, Some(1e6)));
    assert_eq!(read, [none, none, first, first, second, second, none]);
}

#[test]
fn the_named_uplink_wins_then_the_busiest_physical_one() {
    let device = |name: &str, bytes: f64| {
        format!(
            "node_network_receive_bytes_total{{device=\"{name}\"}} {bytes}\n\
             node_network_transmit_bytes_total{{device=\"{name}\"}} {bytes}\n"
        )
    };
    let devices = [("lo", 9e9), ("wg0", 5e9), ("eth0", 1e9), ("eth1", 2e9)];
    let plain: String = devices.iter().map(|(name, bytes)| device(name, *bytes)).collect();
    let uplink = |page: &str| gather(page).devices.uplink().unwrap();
    assert_eq!(&*uplink(&plain).device, "eth1");
    assert_eq!(&*uplink(&format!("{plain}vpn_uplink_info{{device=\"eth0\"}} 1\n")).device, "eth0");
    assert_eq!(&*uplink(&device("lo", 1.0)).device, "lo");
}

#[test]
fn capacity_is_configured_else_of_the_link_else_one_gigabit() {
    let plain = page(1.0, 1.0, 1.0, 1.0);
    let capacity = |page: String| gather(&page).devices.uplink().unwrap().capacity;
    let link = "node_network_speed_bytes{device=\"eth0\"}";
    assert_eq!(capacity(plain.clone()), DEFAULT_CAPACITY);
    assert_eq!(capacity(format!("{plain}{link} 1.25e9\n")), 1.25e9);
    assert_eq!(capacity(format!("{plain}{link} -125000\n")), DEFAULT_CAPACITY, "an unknown link speed");
    let configured = "vpn_uplink_capacity_bytes_per_second{device=\"eth0\",source=\"configured\"} 5e7";
    assert_eq!(capacity(format!("{plain}{link} 1.25e9\n{configured}\n")), 5e7);
}

#[test]
fn services_and_sessions_are_read_and_unknown_services_left_out() {
    let page = "vpn_service_active{service=\"wg\",unit=\"wg-quick@wg0.service\"} 1\n\
                vpn_service_active{service=\"sq\",unit=\"squid.service\"} 0\n\
                vpn_service_active{service=\"ssh\",unit=\"ssh.service\"} 0\n\
                vpn_sessions{service=\"wg\",instance=\"wg0\"} 3\n\
                vpn_sessions{service=\"ov\",instance=\"server\"} 4\n";
    let (reading, _) = gather(page).finish(Instant::now(), None, None);
    let services: Vec<_> = reading.services.iter().map(|service| (service.service, service.active)).collect();
    assert_eq!(services, [(Service::WireGuard, true), (Service::Squid, false)]);
    assert_eq!(reading.sessions, Some(7));
    assert!(reading.is_impaired(3));
}

#[test]
fn old_kernels_tell_no_available_memory() {
    let page = "node_memory_MemTotal_bytes 1000\nnode_memory_MemFree_bytes 100\n\
                node_memory_Buffers_bytes 50\nnode_memory_Cached_bytes 350\n";
    assert_near(gather(page).finish(Instant::now(), None, None).0.ram, 0.5);
}

#[test]
fn a_host_that_lies_gives_values_in_range() {
    let liar = "node_memory_MemTotal_bytes 100\nnode_memory_MemAvailable_bytes 500\n\
                node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} NaN\nvpn_sessions{service=\"wg\"} -5\n";
    let reading = read_twice(liar, liar, 10.0);
    assert_near(reading.ram, 0.0);
    assert_eq!((reading.cpu, reading.sessions), (None, Some(0)));
    let full = "node_memory_MemTotal_bytes NaN\nnode_memory_MemAvailable_bytes Inf\n";
    assert_eq!(gather(full).finish(Instant::now(), None, None).0.ram, None);
}

#[test]
fn what_the_operator_says_of_the_uplink_goes_before_the_page() {
    let start = Instant::now();
    let (_, counters) = gather(&page(10.0, 5.0, 0.0, 0.0)).finish(start, None, Some(2_000_000));
    let later = start + Duration::from_secs(10);
    let (reading, _) = gather(&page(20.0, 10.0, 1e6, 2e6)).finish(later, Some(&counters), Some(2_000_000));
    assert_near(reading.net, 0.1);
}

#[test]
fn a_unit_whose_process_is_gone_is_not_active() {
    let page = "vpn_service_active{service=\"vr\",unit=\"x-ui.service\"} 1\n\
                vpn_service_health{service=\"vr\",unit=\"x-ui.service\"} 1\n\
                vpn_service_active{service=\"sq\",unit=\"squid.service\"} 1\n\
                vpn_service_health{service=\"sq\",unit=\"squid.service\"} 4\n\
                vpn_service_active{service=\"ov\",unit=\"openvpn@server.service\"} 1\n";
    let (reading, _) = gather(page).finish(Instant::now(), None, None);
    let active: Vec<_> = reading.services.iter().map(|unit| (unit.service.code(), unit.active)).collect();
    assert_eq!(active, [("vr", false), ("sq", true), ("ov", true)]);
    assert!(reading.is_impaired(3));
}

#[test]
fn rungs_are_read_in_whichever_order_the_page_has_them() {
    let page = "vpn_service_health{service=\"wg\",unit=\"wg-quick@wg0.service\"} 5\n\
                vpn_service_health{service=\"vr\",unit=\"x-ui.service\"} NaN\n\
                vpn_service_active{service=\"wg\",unit=\"wg-quick@wg0.service\"} 1\n\
                vpn_service_active{service=\"vr\",unit=\"x-ui.service\"} 1\n\
                vpn_service_active{service=\"sq\",unit=\"squid.service\"} 0\n\
                vpn_service_health{service=\"sq\",unit=\"squid.service\"} -1\n";
    let (reading, _) = gather(page).finish(Instant::now(), None, None);
    let rungs: Vec<_> = reading.services.iter().map(|unit| (unit.service.code(), unit.rung, unit.active)).collect();
    assert_eq!(rungs, [("wg", Some(5), true), ("vr", None, true), ("sq", Some(0), false)]);
}

#[test]
fn units_that_could_not_be_asked_for_are_unknown() {
    let read = |page: &str| gather(page).finish(Instant::now(), None, None).0;
    let failed = "node_load1 1\nvpn_exporter_sampler_success{sampler=\"systemd\"} 0\n";
    assert!(read(failed).services_unknown);
    assert!(!read(&failed.replace("} 0", "} 1")).services_unknown);
    assert!(!read(&failed.replace("systemd", "cpu")).services_unknown);
}
