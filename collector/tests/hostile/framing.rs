//! Where an answer ends: lengths, chunks, and lies about both.

use std::io::Write;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, LATE, answer, fails, reads};
use crate::page::{self, HEAD};

const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n";

pub(crate) fn cases() -> Vec<Case> {
    let page = page::good(0);
    let (length, chunk) = (page.len(), format!("{:x}\r\n{page}\r\n0\r\n\r\n", page.len()));
    // Each of these answers means a good page to somebody, and something else to somebody else.
    let lies = [
        ("has_a_length_and_chunks", format!("content-length: {length}\r\n{CHUNKED}{chunk}")),
        ("has_two_lengths", format!("content-length: {length}\r\ncontent-length: 5\r\n\r\n{page}")),
        ("has_a_list_of_lengths", format!("content-length: {length}, 5\r\n\r\n{page}")),
        ("has_a_negative_length", format!("content-length: -{length}\r\n\r\n{page}")),
        ("has_a_signed_length", format!("content-length: +{length}\r\n\r\n{page}")),
        ("has_a_length_of_letters", format!("content-length: many\r\n\r\n{page}")),
        ("has_a_length_beyond_64_bits", format!("content-length: 99999999999999999999999\r\n\r\n{page}")),
        ("has_gzip_under_its_chunks", format!("transfer-encoding: gzip, chunked\r\n\r\n{chunk}")),
        ("has_a_transfer_coding_of_its_own", format!("transfer-encoding: identity\r\n\r\n{page}")),
        ("says_chunked_twice", format!("transfer-encoding: chunked\r\n{CHUNKED}{chunk}")),
        ("has_chunks_that_are_not_last", format!("transfer-encoding: chunked, identity\r\n\r\n{chunk}")),
        ("has_a_chunk_of_no_number", format!("{CHUNKED}zz\r\n{page}\r\n0\r\n\r\n")),
        ("has_a_chunk_of_negative_size", format!("{CHUNKED}-5\r\n{page}\r\n0\r\n\r\n")),
        ("has_a_chunk_beyond_64_bits", format!("{CHUNKED}fffffffffffffffff\r\n{page}\r\n0\r\n\r\n")),
        ("has_a_chunk_longer_than_it_says", format!("{CHUNKED}5\r\n{page}\r\n0\r\n\r\n")),
        ("has_an_endless_chunk_extension", format!("{CHUNKED}5;{}\r\n", "x".repeat(20_000))),
        ("has_many_trailers", format!("{CHUNKED}{}{}", chunk.trim_end(), trailers(300))),
        ("has_long_trailers", format!("{CHUNKED}{}\r\nx: {}\r\n\r\n", chunk.trim_end(), "y".repeat(20_000))),
    ];
    let mut cases: Vec<_> = lies
        .into_iter()
        .map(|(name, rest)| fails(name, Reason::Framing, "", answer(format!("{HEAD}{rest}"))))
        .collect();
    cases.extend([
        fails("has_chunks_in_http_1_0", Reason::Framing, "", {
            answer(format!("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n{CHUNKED}{chunk}"))
        }),
        fails("drips_trailers", Reason::TotalTimeout, LATE, move |peer| {
            peer.socket.write_all(format!("{HEAD}{CHUNKED}0\r\n").as_bytes())?;
            peer.drip("", "x: y\r\n")
        }),
        fails("drips_the_size_of_a_chunk", Reason::TotalTimeout, LATE, |peer| {
            peer.socket.write_all(format!("{HEAD}{CHUNKED}").as_bytes())?;
            peer.drip("", "0")
        }),
        fails("ends_without_its_last_chunk", Reason::Truncated, "after", {
            answer(format!("{HEAD}{CHUNKED}{}", chunk.trim_end_matches("0\r\n\r\n")))
        }),
        fails("ends_inside_of_a_chunk", Reason::Truncated, "after", answer(format!("{HEAD}{CHUNKED}fff\r\n{page}"))),
        reads("sends_every_byte_as_a_chunk", |peer| {
            let page = page::good(peer.turn);
            let chunks: String = page.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
            peer.socket.write_all(format!("{HEAD}{CHUNKED}{chunks}0\r\n\r\n").as_bytes())
        }),
        reads("has_a_few_trailers_and_extensions", |peer| {
            let page = page::good(peer.turn);
            let chunk = format!("{:X};a=b;c\r\n{page}\r\n00\r\nx: y\r\n\r\n", page.len());
            peer.socket.write_all(format!("{HEAD}{CHUNKED}{chunk}").as_bytes())
        }),
        reads("says_the_same_length_twice", |peer| {
            let page = page::good(peer.turn);
            let length = page.len();
            let answer = format!("{HEAD}content-length: {length}\r\ncontent-length: {length}\r\n\r\n{page}");
            peer.socket.write_all(answer.as_bytes())
        }),
        reads("sends_a_second_answer_behind_the_first", |peer| {
            // Taken for the answer to the next question it would bring a load of 100 %.
            let false_page = "node_memory_MemTotal_bytes 1000\nnode_memory_MemAvailable_bytes 0\nvpn_sessions 9999\n";
            peer.socket.write_all((page::of(&page::good(peer.turn)) + &page::of(false_page)).as_bytes())?;
            peer.hold()
        }),
        reads("breaks_its_lines_without_carriage_return", |peer| {
            peer.socket.write_all(page::of(&page::good(peer.turn)).replace("\r\n", "\n").as_bytes())
        }),
    ]);
    cases
}

fn trailers(count: usize) -> String {
    (0..count).map(|number| format!("\r\nx{number}: y")).collect::<String>() + "\r\n\r\n"
}
