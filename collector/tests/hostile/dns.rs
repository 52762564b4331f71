//! Names that lead to nobody, to somebody else, or elsewhere each time.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, Place, fails, reads};
use crate::name_server::Answer;
use crate::page;

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// What the name server says of `name`, the `nth` time that it is asked; the host that has it listens on `own`.
pub(crate) fn answer(name: &str, own: Ipv4Addr, nth: u32) -> Answer {
    let addresses: Vec<IpAddr> = match name.split('.').next().unwrap_or_default() {
        "missing" => return Answer::Missing,
        "failing" => return Answer::Fails,
        "garbled" => return Answer::Garbage,
        "metadata" => vec![METADATA.into()],
        "mapped" => vec![METADATA.to_ipv6_mapped().into()],
        "translated" => vec![Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe, 0xa9fe).into()],
        "nowhere" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        "everybody" => vec![Ipv4Addr::BROADCAST.into(), Ipv4Addr::new(224, 0, 0, 1).into()],
        "among" => vec![METADATA.into(), own.into()],
        // An answer serves for a minute; this test may take longer.
        "flips" if nth % 2 == 1 => vec![METADATA.into(), own.into()],
        "crowd" => (1..=20).map(|last| Ipv4Addr::new(127, 78, 1, last).into()).collect(),
        _ => vec![own.into()],
    };
    Answer::Addresses(addresses)
}

pub(crate) fn cases() -> Vec<Case> {
    let leads_nowhere =
        |name, host: &'static str, detail| fails(name, Reason::Dns, detail, |_| Ok(())).at(Place::At(host));
    let serves = |name, host| {
        reads(name, |peer| peer.socket.write_all(page::of(&page::good(peer.turn)).as_bytes())).at(Place::Named(host))
    };
    vec![
        leads_nowhere("has_a_name_that_is_not_there", "http://missing.hostile.test:9776", ""),
        leads_nowhere("has_a_name_server_that_fails", "http://failing.hostile.test:9776", ""),
        leads_nowhere("has_a_name_server_that_talks_nonsense", "http://garbled.hostile.test:9776", ""),
        leads_nowhere(
            "has_a_name_that_leads_to_metadata",
            "http://metadata.hostile.test:80",
            "no exporter can be there",
        ),
        leads_nowhere("leads_to_metadata_mapped", "http://mapped.hostile.test:80", "no exporter can be there"),
        leads_nowhere("leads_to_metadata_translated", "http://translated.hostile.test:80", "no exporter can be there"),
        leads_nowhere("leads_to_no_address", "http://nowhere.hostile.test:9776", "no exporter can be there"),
        leads_nowhere("leads_to_everybody", "http://everybody.hostile.test:9776", "no exporter can be there"),
        fails("has_a_name_with_twenty_addresses", Reason::ConnRefused, "", |_| Ok(()))
            .at(Place::At("http://crowd.hostile.test:9")),
        serves("has_metadata_among_its_addresses", "among.hostile.test"),
        serves("has_a_name_that_flips_to_metadata", "flips.hostile.test"),
    ]
}
