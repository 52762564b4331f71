//! Getting a connection, and losing it before anything was said.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, LATE, Place, fails, reads};
use crate::page;

pub(crate) fn cases() -> Vec<Case> {
    let nobody = |name, url, reason, detail| fails(name, reason, detail, |_| Ok(())).at(Place::At(url));
    vec![
        nobody("nobody_listens", "http://127.78.0.1:9", Reason::ConnRefused, ""),
        // The world around has these networks.
        nobody("packets_vanish", "http://198.51.100.7:9776", Reason::ConnTimeout, LATE),
        nobody("a_router_knows_no_way", "http://192.0.2.7:9776", Reason::NoRoute, ""),
        nobody("we_know_no_way", "http://203.0.113.7:9776", Reason::Local, ""),
        nobody("we_are_forbidden_to", "http://203.0.113.135:9776", Reason::Local, ""),
        fails("takes_no_more_connections", Reason::ConnTimeout, LATE, |_| Ok(())).at(Place::Full),
        fails("resets_at_once", Reason::Reset, "", |peer| peer.reset()).greets(),
        fails("closes_at_once", Reason::Reset, "", |_| Ok(())).greets(),
        fails("closes_when_asked", Reason::Reset, "", |_| Ok(())),
        fails("resets_when_asked", Reason::Reset, "", |peer| peer.reset()),
        fails("closes_its_half_and_waits", Reason::Reset, "", |peer| {
            peer.socket.shutdown(Shutdown::Write)?;
            peer.hold()
        }),
        fails("takes_the_question_and_is_silent", Reason::HeadTimeout, LATE, |peer| peer.hold()),
        fails("never_reads_the_question", Reason::HeadTimeout, LATE, |peer| {
            // Longer than the collector waits. To close a socket with unread bytes resets it.
            std::thread::sleep(Duration::from_secs(5));
            peer.socket.shutdown(Shutdown::Write)
        })
        .greets(),
        reads("promises_to_stay_and_leaves", |peer| {
            peer.socket.write_all(page::of(&page::good(peer.turn)).as_bytes())?;
            peer.reset()
        }),
        reads("talks_on_when_nobody_asked", |peer| {
            peer.socket.write_all(page::of(&page::good(peer.turn)).as_bytes())?;
            std::thread::sleep(Duration::from_millis(100));
            // The connection may have been given up already.
            let _ = peer.socket.write_all(page::of(&page::good(peer.turn)).as_bytes());
            peer.hold()
        }),
    ]
}
