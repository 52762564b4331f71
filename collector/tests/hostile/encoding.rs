//! Compressed pages, bombs, and what only says that it is compressed.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, FlushCompress};
use mect_fleet::FailureReason as Reason;

use crate::case::{Case, answer, fails, reads};
use crate::page;

const GZIP: &str = "content-encoding: gzip\r\n";
const MIB: usize = 1024 * 1024;
/// What the bombs unpack to.
const BOMB_MIB: usize = 400;

pub(crate) fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}

/// One stream that unpacks to [`BOMB_MIB`]: the same piece again and again.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::Compress::new(Compression::best(), false);
    let mut piece = Vec::with_capacity(64 * 1024);
    encoder.compress_vec(&vec![b'#'; MIB], &mut piece, FlushCompress::Full).unwrap();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&header[..], &piece.repeat(BOMB_MIB), &[3, 0], &[0; 8]].concat()
}

pub(crate) fn cases() -> Vec<Case> {
    let page = page::good(0).into_bytes();
    let packed = gzip(&page);
    let mut cases = Vec::new();
    for (name, coding) in [
        ("is_in_brotli", "content-encoding: br\r\n"),
        ("is_in_zstd", "content-encoding: zstd\r\n"),
        ("is_in_deflate", "content-encoding: deflate\r\n"),
        ("is_in_no_known_coding", "content-encoding: x\r\n"),
        ("is_packed_twice_by_its_own_words", "content-encoding: gzip, gzip\r\n"),
        ("is_packed_twice_in_two_lines", "content-encoding: gzip\r\ncontent-encoding: br\r\n"),
        ("is_plain_and_then_packed", "content-encoding: identity\r\ncontent-encoding: gzip\r\n"),
    ] {
        cases.push(fails(name, Reason::Encoding, "content encoding", answer(page::with(coding, &packed))));
    }
    let mut wrong_sum = packed.clone();
    let sum = packed.len() - 8;
    wrong_sum[sum] ^= 1;
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
    raw.write_all(&page).unwrap();
    for (name, body) in [
        ("says_gzip_and_is_plain", page.clone()),
        ("says_gzip_and_is_empty", Vec::new()),
        ("says_gzip_and_is_raw_deflate", raw.finish().unwrap()),
        ("is_cut_within_its_gzip", packed[..packed.len() - 12].to_vec()),
        ("has_a_wrong_sum", wrong_sum),
        ("has_garbage_behind_its_gzip", [&packed[..], b"garbage"].concat()),
    ] {
        cases.push(fails(name, Reason::Encoding, "broken gzip", answer(page::with(GZIP, &body))));
    }
    let members = gzip(&vec![b'#'; MIB]).repeat(BOMB_MIB);
    let just_over = [page.clone(), format!("#{}\n", "x".repeat(1022)).repeat(2048).into_bytes()].concat();
    cases.extend([
        fails("is_a_bomb", Reason::TooLarge, "over 2097152 bytes", answer(page::with(GZIP, &bomb()))),
        fails("is_a_bomb_of_many_parts", Reason::TooLarge, "over 2097152 bytes", answer(page::with(GZIP, &members))),
        fails("unpacks_to_a_little_too_much", Reason::TooLarge, "over 2097152 bytes", {
            answer(page::with(GZIP, &gzip(&just_over)))
        }),
        fails("is_a_bomb_in_a_page", Reason::Utf8, "", answer(page::with(GZIP, &gzip(&gzip(&members))))),
        fails("is_packed_and_does_not_say_so", Reason::Utf8, "", answer(page::with("", &packed))),
        fails("is_nothing_in_ten_thousand_parts", Reason::NoMetrics, "0 samples", {
            answer(page::with(GZIP, &gzip(b"").repeat(10_000)))
        }),
        reads("is_packed_in_parts", |peer| {
            let page = page::good(peer.turn);
            let (first, second) = page.as_bytes().split_at(100);
            peer.socket.write_all(&page::with("content-encoding: GZip\r\n", &[gzip(first), gzip(second)].concat()))
        }),
    ]);
    cases
}
