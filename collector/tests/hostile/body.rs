//! Bodies that do not come, do not end, or are too long.

use std::io::Write;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, LATE, answer, fails, reads};
use crate::page::{self, HEAD};

pub(crate) fn cases() -> Vec<Case> {
    let page = page::good(0);
    let cut = format!("{HEAD}content-length: {}\r\n\r\n{page}", page.len() + 1);
    let cut_again = cut.clone();
    vec![
        fails("drips_its_page", Reason::TotalTimeout, LATE, |peer| {
            peer.socket.write_all(format!("{HEAD}connection: close\r\n\r\n").as_bytes())?;
            peer.drip("", "node_load1 1\n")
        }),
        fails("stops_within_its_page", Reason::TotalTimeout, LATE, move |peer| {
            peer.socket.write_all(cut.as_bytes())?;
            peer.hold()
        }),
        fails("never_begins_its_page", Reason::TotalTimeout, LATE, |peer| {
            peer.socket.write_all(format!("{HEAD}content-length: 100\r\n\r\n").as_bytes())?;
            peer.hold()
        }),
        fails("breaks_off_one_byte_before_the_end", Reason::Truncated, "bytes", answer(cut_again)),
        fails("resets_within_its_page", Reason::Truncated, "after", |peer| {
            peer.socket.write_all(format!("{HEAD}content-length: 100\r\n\r\nnode_load1 1\n").as_bytes())?;
            // Else the reset may overtake the head.
            std::thread::sleep(std::time::Duration::from_millis(100));
            peer.reset()
        }),
        fails("never_ends", Reason::TooLarge, "", |peer| {
            peer.socket.write_all(format!("{HEAD}connection: close\r\n\r\n").as_bytes())?;
            peer.flood(b"node_load1 1\n")
        }),
        fails("never_ends_its_chunks", Reason::TooLarge, "", |peer| {
            peer.socket.write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes())?;
            peer.flood(format!("2000\r\n{}\r\n", "#".repeat(0x2000)).as_bytes())
        }),
        fails("announces_ten_gigabytes", Reason::TooLarge, "10000000000 bytes", |peer| {
            peer.socket.write_all(format!("{HEAD}content-length: 10000000000\r\n\r\n").as_bytes())?;
            peer.flood(b"node_load1 1\n")
        }),
        fails("announces_a_chunk_of_exabytes", Reason::TooLarge, "", |peer| {
            peer.socket
                .write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n7ffffffffffffff0\r\n").as_bytes())?;
            peer.flood(b"node_load1 1\n")
        }),
        fails("is_one_byte_too_long", Reason::TooLarge, "524289 bytes, allowed are 524288", {
            let padding = format!("#{}\n", "x".repeat(512 * 1024 - page.len() - 1));
            answer(page::of(&(page + &padding)))
        }),
        fails("sends_nothing", Reason::NoMetrics, "0 samples", answer(page::of(""))),
        reads("is_as_long_as_allowed", |peer| {
            let page = page::good(peer.turn);
            // No line is longer than allowed, either.
            let mut padding = format!("#{}\n", "x".repeat(1022)).repeat(512);
            padding.truncate(512 * 1024 - page.len() - 1);
            peer.socket.write_all(page::of(&format!("{page}{padding}\n")).as_bytes())
        }),
        reads("ends_its_page_by_hanging_up", |peer| {
            peer.socket.write_all(format!("{HEAD}\r\n{}", page::good(peer.turn)).as_bytes())
        }),
    ]
}
