//! Clocks that lie: what a host believes of the time must not matter.

use std::io::Write;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, answer, fails, reads};
use crate::page;

/// A good page with another line.
fn with(line: &'static str) -> impl Fn(u64) -> String + Send + Sync {
    move |turn| page::good(turn) + line + "\n"
}

/// A host with that line in its head, and more to its good page.
fn serves(name: &'static str, head: &'static str, page: impl Fn(u64) -> String + Send + Sync + 'static) -> Case {
    reads(name, move |peer| peer.socket.write_all(&page::with(head, page(peer.turn).as_bytes())))
}

/// A good page, each of its samples of that time.
fn stamped(at: &'static str) -> impl Fn(u64) -> String + Send + Sync {
    move |turn| page::good(turn).lines().map(|line| format!("{line} {at}\n")).collect()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        serves("lives_in_1970", "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", page::good),
        serves("lives_in_9999", "date: Fri, 31 Dec 9999 23:59:59 GMT\r\nage: 99999999999\r\n", page::good),
        serves("does_not_know_the_date", "date: tomorrow\r\n", page::good),
        serves("says_two_dates", "date: Thu, 01 Jan 1970 00:00:00 GMT\r\ndate: never\r\n", page::good),
        serves("is_cached_for_ever", "cache-control: max-age=31536000, immutable\r\netag: \"x\"\r\n", page::good),
        serves("has_booted_tomorrow", "", with("node_boot_time_seconds 9e15")),
        serves("has_a_clock_before_all_time", "", with("node_time_seconds -1e300")),
        serves("has_a_clock_that_is_no_number", "", with("node_time_seconds NaN")),
        serves("has_samples_of_the_far_future", "", stamped("9223372036854775807")),
        serves("has_samples_of_the_far_past", "", stamped("-9223372036854775808")),
        serves("has_a_handshake_in_the_future", "", {
            with("vpn_wireguard_latest_handshake_timestamp_seconds{instance=\"wg0\"} 1e18")
        }),
        serves("says_always_the_same", "", |_| page::good(7)),
        fails("has_samples_of_no_time", Reason::Parse, "line 1", answer(page::of("vpn_sessions 7 yesterday\n"))),
        fails("has_samples_beyond_all_time", Reason::Parse, "line 1", {
            answer(page::of("vpn_sessions 7 9223372036854775808\n"))
        }),
    ]
}
