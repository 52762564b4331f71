//! Pages that are none, or too much of one.

use std::io::Write;

use mect_fleet::FailureReason as Reason;

use crate::case::{Case, answer, fails, reads};
use crate::encoding::gzip;
use crate::page;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An answer with that content type, if there is one.
fn typed(content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{content_type}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A text page, packed: it is small on the wire whatever it holds.
fn packed(page: &str) -> Vec<u8> {
    page::with("content-encoding: gzip\r\n", &gzip(page.as_bytes()))
}

/// The same of another type.
fn packed_as(content_type: &str, page: &str) -> Vec<u8> {
    let body = gzip(page.as_bytes());
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

pub(crate) fn cases() -> Vec<Case> {
    let good = page::good(0);
    let html = "<!doctype html><title>Welcome to nginx!</title>\n";
    let of_type = |content_type: &str, body: &str| answer(typed(&format!("content-type: {content_type}\r\n"), body));
    let text = |page: &str| answer(page::of(page));
    let open = |page: &str| of_type(OPEN_METRICS, page);
    let labels: String = (0..1_000_000).map(|number| format!("l{number:x}=\"\",")).collect();
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let mut cases = vec![
        fails("is_html", Reason::ContentType, "content type text/html", of_type("text/html", html)),
        fails("is_html_that_is_taken_for_text", Reason::Parse, "line 1", answer(typed("", html)))
            .with("fallback_format = \"text\"\n"),
        fails("says_no_type", Reason::ContentType, "no content type", answer(typed("", &good))),
        fails("is_json", Reason::ContentType, "application/json", of_type("application/json", "{\"up\": 1}\n")),
        fails("is_protobuf", Reason::ContentType, "protobuf", {
            of_type("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "x")
        }),
        fails(
            "says_two_types",
            Reason::ContentType,
            "several",
            of_type("text/plain\r\ncontent-type: text/html", &good),
        ),
        fails("says_a_type_that_is_none", Reason::ContentType, "", of_type("plain text, please", &good)),
        fails("hides_the_end_of_its_type", Reason::ContentType, "\\u{202e}", {
            of_type("text/html; x=\"\u{202e}\"", html)
        }),
        fails(
            "has_an_error_message_for_a_page",
            Reason::Parse,
            "line 1",
            text("Fatal error: out of memory in x.php\n"),
        ),
        fails("has_one_bad_line_at_the_end", Reason::Parse, "line 9", text(&format!("{good}node_load1 one\n"))),
        fails("ends_within_a_number", Reason::Truncated, "", text(good.trim_end())),
        fails("ends_without_its_eof", Reason::Truncated, "", open("# TYPE vpn_sessions gauge\nvpn_sessions 7\n")),
        fails("goes_on_behind_its_eof", Reason::Parse, "", open("# TYPE vpn_sessions gauge\n# EOF\nvpn_sessions 7\n")),
        fails("is_text_and_says_openmetrics", Reason::Parse, "", open("# a comment\nvpn_sessions 7\n# EOF\n")),
        fails("tells_of_something_else", Reason::NoMetrics, "1 samples", text("go_goroutines 8\n")),
        fails("says_a_label_twice", Reason::Parse, "", text("vpn_sessions{a=\"1\",a=\"2\"} 7\n")),
        fails("leaves_a_quote_open", Reason::Parse, "", text("vpn_sessions{a=\"1} 7\n")),
        fails("breaks_its_lines_as_windows_does", Reason::Parse, "", text(&good.replace('\n', "\r\n"))),
        fails("begins_with_a_byte_order_mark", Reason::Parse, "", text(&format!("\u{feff}{good}"))),
        fails("has_a_nul_in_a_name", Reason::Parse, "", text("vpn\0sessions 7\n")),
        fails("is_in_another_charset", Reason::Utf8, "", {
            answer(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=latin1\r\ncontent-length: 9\r\n\r\n#HELP \xe9\n\n".to_vec())
        }),
        fails("is_not_utf_8", Reason::Utf8, "", answer(page::with("", b"vpn_sessions{a=\"\xff\"} 7\n"))),
        fails("is_utf_16", Reason::Utf8, "", answer(page::with("", b"\xff\xfev\0p\0n\0_\0s\0 \x007\0\n\0"))),
        fails(
            "has_an_overlong_character",
            Reason::Utf8,
            "",
            answer(page::with("", b"vpn_sessions{a=\"\xc0\x80\"} 7\n")),
        ),
        fails("has_100_labels", Reason::Limit, "", text(&format!("vpn_sessions{{{}}} 7\n", &labels[..800]))),
        // Ten megabytes of labels do not fit; what fits is one line of two megabytes.
        fails("has_a_million_labels", Reason::TooLarge, "", answer(packed(&format!("vpn_sessions{{{labels}}} 7\n")))),
        fails("has_a_hundred_thousand_labels", Reason::Limit, "line 1", {
            answer(packed(&format!("vpn_sessions{{{}}} 7\n", &labels[..1_000_000])))
        }),
        fails("has_a_label_of_a_megabyte", Reason::Limit, "line 1", {
            answer(packed(&format!("vpn_sessions{{a=\"{}\"}} 7\n", "x".repeat(1_000_000))))
        }),
        fails("has_a_hundred_thousand_samples", Reason::Limit, "line 2001", {
            answer(packed(&lines(100_000, &|_| "vpn_sessions 7\n".to_owned())))
        }),
        fails("has_fifty_thousand_families", Reason::Limit, "line 2001", {
            answer(packed(&lines(50_000, &|number| format!("# TYPE x{number} gauge\n"))))
        }),
        fails("has_ten_thousand_exemplars", Reason::Limit, "", {
            let many = lines(10_000, &|number| format!("x_total{{a=\"{number}\"}} 1 # {{b=\"c\"}} 1\n"));
            of_type(OPEN_METRICS, &format!("# TYPE x counter\n{many}# EOF\n"))
        }),
    ];
    // Each takes as many comparisons as it has pairs of lines, for who compares them all; and decodes as often.
    let escapes = "\\\\".repeat(500);
    let states = lines(1_900, &|number| format!("x{{x=\"{escapes}{number}\"}} 0\n"));
    let digits = "1".repeat(1_000);
    let quantiles = lines(1_900, &|number| format!("x{{quantile=\"0.{digits}{number:04}\"}} 0\n"));
    let names: String = (0..60).map(|number| format!("\"{escapes}{number}\"=\"\",")).collect();
    let named = |line: usize| format!("{{\"x\",{names}y=\"{line}\"}} 0\n");
    cases.extend([
        fails("has_states_that_take_long_to_compare", Reason::NoMetrics, "1900 samples", {
            answer(packed_as(OPEN_METRICS, &format!("# TYPE x stateset\n{states}# EOF\n")))
        }),
        fails("has_quantiles_that_take_long_to_compare", Reason::NoMetrics, "1900 samples", {
            answer(packed_as(OPEN_METRICS, &format!("# TYPE x summary\n{quantiles}# EOF\n")))
        }),
        fails("has_names_that_take_long_to_compare", Reason::NoMetrics, "30 samples", {
            answer(packed(&lines(30, &named)))
        }),
        fails("has_names_that_take_long_to_compare_in_openmetrics", Reason::NoMetrics, "30 samples", {
            answer(packed_as(OPEN_METRICS, &format!("{}# EOF\n", lines(30, &named))))
        }),
    ]);
    cases.extend([
        fails("is_another_host", Reason::Identity, "known is 7a5160781fbe4e8394769e45f7cb3131", |peer| {
            let page = page::good(peer.turn).replace(page::HOST, "b0187391cf7943a4a4b3e89f602416e5");
            peer.socket.write_all(page::of(&page).as_bytes())
        }),
        fails("is_another_host_half_of_the_page", Reason::Identity, "known is", |peer| {
            let other = page::host("b0187391cf7943a4a4b3e89f602416e5");
            peer.socket.write_all(page::of(&(page::good(peer.turn) + &other)).as_bytes())
        }),
        reads("has_an_identity_that_is_none", |peer| {
            let page = page::good(peer.turn).replace(page::HOST, "../../etc/machine-id");
            peer.socket.write_all(page::of(&page).as_bytes())
        }),
        reads("says_no_type_where_the_operator_does", |peer| {
            peer.socket.write_all(&typed("content-type: text/html\r\n", &page::good(peer.turn)))
        })
        .with("fallback_format = \"text\"\n"),
        reads("has_markup_and_nul_in_its_labels", |peer| {
            let unit = "vpn_service_active{service=\"wg\",unit=\"<script>\0\\n\u{202e}\u{1b}[2J</script>\"} 1\n";
            peer.socket.write_all(page::of(&(page::good(peer.turn) + unit)).as_bytes())
        }),
        reads("has_a_thousand_services_and_devices", |peer| {
            let mut page = page::good(peer.turn);
            for number in 0..900 {
                page += &format!("vpn_service_active{{service=\"wg\",unit=\"wg{number}\"}} 1\n");
                page += &format!("node_network_receive_bytes_total{{device=\"veth{number}\"}} 1e15\n");
            }
            peer.socket.write_all(page::of(&page).as_bytes())
        }),
        reads("has_half_a_megabyte_of_blanks", |peer| {
            let blanks = format!("{}\n", " ".repeat(60_000)).repeat(8);
            peer.socket.write_all(page::of(&(page::good(peer.turn) + &blanks)).as_bytes())
        }),
    ]);
    cases
}
