//! What stands before the page: status line and header fields.

use std::io::Write;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, LATE, answer, fails, reads};
use crate::page::{self, HEAD};

/// An answer with that status.
fn status(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nno\n").into_bytes()
}

/// A redirect to there.
fn redirect(code: &str, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {code} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    let page = page::good(0);
    let good_but = |line: &str| format!("{HEAD}{line}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let mut cases = vec![
        fails("speaks_ssh", Reason::Proto, "", answer("SSH-2.0-OpenSSH_9.2\r\n")),
        fails("speaks_nothing_known", Reason::Proto, "", answer(b"\x00\xff\x13\x37 garbage\r\n\r\n")),
        fails(
            "speaks_http_2",
            Reason::Proto,
            "",
            answer(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
        ),
        fails("speaks_a_newer_http", Reason::Proto, "", answer(format!("HTTP/3.1 200 OK\r\n\r\n{page}"))),
        fails("says_only_the_page", Reason::Proto, "", answer(&*page)),
        fails("has_a_status_of_two_digits", Reason::Proto, "", answer("HTTP/1.1 20 OK\r\n\r\n")),
        fails("has_a_status_of_letters", Reason::Proto, "", answer("HTTP/1.1 two OK\r\n\r\n")),
        fails("has_a_nul_in_its_head", Reason::Proto, "", answer(good_but("x: a\0b"))),
        fails("has_a_field_name_with_blanks", Reason::Proto, "", answer(good_but("x y: z"))),
        fails("has_a_field_without_colon", Reason::Proto, "", answer(good_but("xyz"))),
        fails("breaks_off_in_its_head", Reason::Truncated, "", answer("HTTP/1.1 200 OK\r\ncontent-ty")),
        fails("drips_its_head", Reason::HeadTimeout, LATE, |peer| peer.drip(HEAD, "x: y\r\n")),
        fails("drips_interim_answers", Reason::HeadTimeout, LATE, |peer| {
            peer.drip("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n")
        }),
        fails("floods_interim_answers", Reason::TooLarge, "", |peer| {
            peer.flood(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        }),
        fails("has_an_endless_head", Reason::Framing, "", |peer| {
            peer.socket.write_all(HEAD.as_bytes())?;
            peer.flood(b"x: y\r\n")
        }),
        fails("has_an_endless_field", Reason::Framing, "", |peer| {
            peer.socket.write_all(HEAD.as_bytes())?;
            peer.flood(b"yyyyyyyy")
        }),
        fails("has_a_hundred_fields", Reason::Framing, "", answer(good_but("x: y\r\n".repeat(100).trim_end()))),
        fails("redirects_to_metadata", Reason::Redirect, "HTTP 302", {
            answer(redirect("302", "http://169.254.169.254/latest/meta-data/"))
        }),
        fails("redirects_to_a_file", Reason::Redirect, "HTTP 301", answer(redirect("301", "file:///etc/passwd"))),
        fails("redirects_to_itself", Reason::Redirect, "HTTP 308", answer(redirect("308", "/metrics"))),
        fails("redirects_to_a_good_page", Reason::Redirect, "HTTP 307", |peer| {
            let trap = peer.around.trap.get().unwrap();
            peer.socket.write_all(&redirect("307", &format!("http://{trap}/metrics")))
        }),
        reads("sets_a_cookie_and_wants_none", |peer| {
            if peer.request.contains("cookie") {
                return peer.socket.write_all(&status("500 A cookie came back"));
            }
            let page = page::good(peer.turn);
            peer.socket.write_all(&page::with("set-cookie: id=1; Path=/\r\n", page.as_bytes()))
        }),
        reads("answers_only_who_asks_as_told", |peer| {
            // The request keeps what it promises: formats with q-values, gzip alone, our own name.
            let wants =
                ["openmetrics-text;version=1.0.0;q=0.8", "accept-encoding: gzip\r\n", "user-agent: mect-collector/"];
            let is_so = wants.iter().all(|wanted| peer.request.contains(wanted));
            let answer = if is_so { page::of(&page::good(peer.turn)).into_bytes() } else { status("406 Not so") };
            peer.socket.write_all(&answer)
        }),
    ];
    for (name, line, reason, detail) in [
        ("switches_protocols", "101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade", Reason::Status, "101"),
        ("has_no_content", "204 No Content", Reason::Status, "HTTP 204"),
        ("has_part_of_the_content", "206 Partial Content", Reason::Status, "HTTP 206"),
        ("says_that_nothing_changed", "304 Not Modified", Reason::Status, "HTTP 304"),
        ("has_no_page", "404 Not Found", Reason::Status, "HTTP 404"),
        ("wants_a_proxy_to_sign_in", "407 Proxy Authentication Required", Reason::Status, "HTTP 407"),
        ("has_too_many_requests", "429 Too Many Requests\r\nretry-after: 1000000", Reason::Status, "HTTP 429"),
        ("has_an_error", "500 Internal Server Error", Reason::Status, "HTTP 500"),
        ("has_a_status_of_its_own", "999 Whatever", Reason::Status, "HTTP 999"),
        ("wants_a_password", "401 Unauthorized\r\nwww-authenticate: Basic", Reason::Auth, "HTTP 401"),
        ("forbids", "403 Forbidden", Reason::Auth, "HTTP 403"),
    ] {
        cases.push(fails(name, reason, detail, answer(status(line))));
    }
    cases
}
