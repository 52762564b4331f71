//! Numbers that cannot be, or that counters should not do. None of them is an error of the page; none may lead to a
//! negative rate, or to a load beyond 100 %.

use std::io::Write;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, answer, fails, reads};
use crate::page;

/// A host whose page is made anew for each scrape.
fn serves(name: &'static str, page: impl Fn(u64) -> String + Send + Sync + 'static) -> Case {
    reads(name, move |peer| peer.socket.write_all(page::of(&page(peer.turn)).as_bytes()))
}

/// Processor time and traffic with these values.
fn counters(idle: &str, busy: &str, bytes: &str) -> String {
    let cpu = |mode: &str, value: &str| format!("node_cpu_seconds_total{{cpu=\"0\",mode=\"{mode}\"}} {value}\n");
    let net = |way: &str| format!("node_network_{way}_bytes_total{{device=\"eth0\"}} {bytes}\n");
    [cpu("idle", idle), cpu("user", busy), net("receive"), net("transmit"), page::memory().to_owned()].concat()
}

fn memory(total: &str, available: &str) -> String {
    format!("node_memory_MemTotal_bytes {total}\nnode_memory_MemAvailable_bytes {available}\n")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        serves("starts_its_counters_anew_each_time", |turn| page::good(1000 - turn.min(900))),
        serves("starts_its_counters_anew_every_other_time", |turn| page::good(if turn % 2 == 0 { 500 } else { turn })),
        serves("has_negative_counters", |turn| {
            let down = format!("-{}", 1000 * turn);
            counters(&down, &down, &down)
        }),
        serves("has_idle_time_that_falls", |turn| {
            counters(&(5_000 - turn.min(4_000)).to_string(), &(100 * turn).to_string(), "1")
        }),
        serves("has_idle_time_that_outruns_all_time", |turn| {
            counters(&(1000 * turn).to_string(), &format!("-{}", 900 * turn), "1")
        }),
        serves("counts_to_infinity", |turn| {
            if turn % 2 == 0 { counters("1", "1", "1") } else { counters("+Inf", "+Inf", "+Inf") }
        }),
        serves("counts_to_minus_infinity", |turn| {
            if turn % 2 == 0 { counters("1", "1", "1") } else { counters("-Inf", "-Inf", "-Inf") }
        }),
        serves("counts_to_no_number", |turn| {
            if turn % 2 == 0 { counters("1", "1", "1") } else { counters("NaN", "NaN", "NaN") }
        }),
        serves(
            "is_infinitely_busy",
            |turn| if turn == 0 { counters("1", "1", "1") } else { counters("2", "+Inf", "1") },
        ),
        serves("counts_beyond_all_wires", |turn| {
            let bytes = [1.0, 1e18, 1e200, 1e308][(turn % 4) as usize];
            counters("1", "1", &format!("{bytes:e}"))
        }),
        serves("overflows_when_added", |turn| {
            if turn % 2 == 0 { counters("1", "1", "1") } else { counters("1e308", "1.7e308", "1.7e308") }
        }),
        serves("has_an_uplink_of_no_capacity", |turn| {
            let capacity = ["0", "-1", "NaN", "+Inf", "5e-324"][(turn % 5) as usize];
            let uplink = "vpn_uplink_capacity_bytes_per_second{device=\"eth0\",source=\"x\"}";
            format!("{}{uplink} {capacity}\nnode_network_speed_bytes{{device=\"eth0\"}} {capacity}\n", page::good(turn))
        }),
        serves("changes_its_uplink_each_time", |turn| {
            let (eth0, eth1) = if turn % 2 == 0 { (1, 1_000_000_000) } else { (2_000_000_000u64, 1) };
            let bytes =
                |device: &str, bytes: u64| format!("node_network_receive_bytes_total{{device=\"{device}\"}} {bytes}\n");
            [page::cpu(turn), page::memory().to_owned(), bytes("eth0", eth0), bytes("eth1", eth1)].concat()
        }),
        serves("says_every_series_twice", |turn| page::good(turn) + &page::good(turn * 3)),
        serves("has_numbers_of_sixty_thousand_digits", |turn| {
            page::good(turn) + &format!("node_load1 {}.{}\n", "9".repeat(300), "9".repeat(60_000))
        }),
    ];
    for (name, page) in [
        ("has_more_memory_available_than_there_is", memory("1000", "5000")),
        ("has_negative_memory", memory("1000", "-5000")),
        ("has_no_memory_at_all", memory("0", "0")),
        ("has_infinite_memory", memory("+Inf", "+Inf")),
        ("has_memory_of_no_number", memory("NaN", "NaN")),
        ("has_negative_sessions", "vpn_sessions -5\n".to_owned()),
        ("has_more_sessions_than_people", "vpn_sessions 1e300\n".to_owned()),
        ("has_sessions_of_no_number", "vpn_sessions NaN\n".to_owned()),
        ("has_a_rung_beyond_the_ladder", {
            let service = "{service=\"wg\",unit=\"wg-quick@wg0.service\"}";
            format!("vpn_service_active{service} 1e308\nvpn_service_health{service} 1e308\n")
        }),
    ] {
        cases.push(serves(name, move |turn| page::cpu(turn) + &page));
    }
    for (name, value) in [
        ("has_a_number_beyond_64_bits", "1e999"),
        ("has_a_hexadecimal_number", "0x1p4"),
        ("has_a_number_with_commas", "1,000"),
        ("has_a_signed_nan", "-NaN"),
    ] {
        cases.push(fails(name, Reason::Parse, "line 1", answer(page::of(&format!("vpn_sessions {value}\n")))));
    }
    cases
}
