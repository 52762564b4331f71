//! Pages come, are replaced and go; what they say stays.

use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use mect_fleet::{FailureReason, Reading};

use super::*;
use crate::scrape;

fn id(number: usize) -> ServerId {
    format!("srv-{number:08}").parse().unwrap()
}

fn packed(text: &str, gzip: Option<Vec<u8>>) -> Packed {
    let (bytes, now) = (text.as_bytes().to_vec(), Instant::now());
    Packed::of(scrape::Page {
        wire_bytes: bytes.len(),
        bytes,
        format: Format::Text,
        gzip,
        connected_at: now,
        answered_at: now,
        content_type: None,
        date: None,
    })
}

fn up(server: ServerId, seconds: i64) -> Report {
    let outcome = Outcome::Up(Reading::default());
    Report { server, at: Timestamp::from_secs(seconds), duration_ms: 5, samples: 2, outcome }
}

fn failed(server: ServerId, seconds: i64) -> Report {
    let outcome = Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""));
    Report { outcome, samples: 0, ..up(server, seconds) }
}

fn text(pages: &Pages, server: ServerId) -> Option<String> {
    pages.latest(server)?.outcome.ok().map(|page| page.text)
}

/// What it saw.
#[derive(Default)]
struct Seen(Vec<String>);

impl SeriesVisitor for Seen {
    fn begins(&mut self, at: Timestamp) -> bool {
        at.as_secs() > 1
    }

    fn wants(&mut self, name: &str) -> bool {
        name != "b"
    }

    fn sample(&mut self, name: &str, labels: &[SeriesLabel<'_>], value: f64, at: Option<Timestamp>) {
        self.0.push(format!("{name} {labels:?} {value} {:?}", at.map(Timestamp::as_millis)));
    }
}

#[test]
fn a_page_stays_until_a_scrape_fails_or_its_target_goes() {
    let pages = Pages::new(true, parse::Limits::default());
    pages.put(&up(id(1), 1), Some(packed("a 1\n", None).into()));
    pages.put(&up(id(1), 2), Some(packed("a 2\n", None).into()));
    assert_eq!(text(&pages, id(1)).unwrap(), "a 2\n");
    assert_eq!(Told::samples(&*pages, id(1)), Some((Timestamp::from_secs(2), 2)));
    pages.put(&failed(id(1), 3), None);
    let latest = pages.latest(id(1)).unwrap();
    assert_eq!((latest.at.as_secs(), latest.outcome.unwrap_err().reason), (3, FailureReason::ConnRefused));
    assert_eq!(Told::samples(&*pages, id(1)), None);
    pages.put(&up(id(2), 1), Some(packed("b 1\n", None).into()));
    pages.forget(id(2));
    assert_eq!(pages.latest(id(2)), None);
    assert_eq!(pages.kept().by_server.len(), 1, "nothing is left of it");
}

#[test]
fn the_page_of_a_further_endpoint_is_given_too() {
    let pages = Pages::new(true, parse::Limits::default());
    let further = Box::new([("http://a:1/".into(), packed("b 1\nc 2\n", None))]);
    pages.put(&up(id(1), 1), Some(PackedPages { further, ..packed("a 1\n", None).into() }));
    let page = ServerPage { samples: 2, is_openmetrics: false, text: "b 1\nc 2\n".into() };
    assert_eq!(pages.further_page(id(1), "http://a:1/"), Some((Timestamp::from_secs(1), page)));
    assert_eq!(pages.further_page(id(1), "http://a:2/"), None);
}

#[test]
fn a_fault_of_our_own_takes_no_page_away() {
    let pages = Pages::new(true, parse::Limits::default());
    pages.put(&up(id(1), 2), Some(packed("a 2\n", None).into()));
    let local = Outcome::Failed(Failure::new(FailureReason::Local, "no descriptor"));
    pages.put(&Report { outcome: local.clone(), samples: 0, ..up(id(1), 3) }, None);
    pages.put(&Report { outcome: local, samples: 0, ..up(id(2), 3) }, None);
    let mut seen = Seen::default();
    Told::visit(&*pages, id(1), &mut seen);
    assert_eq!(seen.0, ["a [] 2 None"]);
    assert_eq!(Told::samples(&*pages, id(1)), Some((Timestamp::from_secs(2), 2)));
    for server in [id(1), id(2)] {
        let latest = pages.latest(server).unwrap();
        assert_eq!((latest.at.as_secs(), latest.outcome.unwrap_err().reason), (3, FailureReason::Local));
    }
    pages.put(&up(id(1), 4), Some(packed("a 4\n", None).into()));
    assert_eq!(text(&pages, id(1)).unwrap(), "a 4\n");
    pages.put(&failed(id(1), 5), None);
    assert_eq!(Told::samples(&*pages, id(1)), None);
}

#[test]
fn a_visitor_sees_what_it_wants() {
    let pages = Pages::new(true, parse::Limits::default());
    let page = "a{x=\"1\\n\"} 1\nb 2\nc 3 1500\n";
    pages.put(&up(id(1), 1), Some(packed(page, None).into()));
    let mut seen = Seen::default();
    Told::visit(&*pages, id(1), &mut seen);
    assert!(seen.0.is_empty(), "{:?}", seen.0);
    pages.put(&up(id(1), 2), Some(packed(page, None).into()));
    Told::visit(&*pages, id(1), &mut seen);
    Told::visit(&*pages, id(2), &mut seen);
    assert_eq!(seen.0, [r#"a [("x", "1\n")] 1 None"#, "c [] 3 Some(1500)"]);
}

#[test]
fn however_a_page_came_it_is_kept_small_and_whole() {
    let page = "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1\n".repeat(200);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(page.as_bytes()).unwrap();
    for came in [packed(&page, None), packed(&page, Some(gzip.finish().unwrap()))] {
        assert_eq!(came.unpack(), page.as_bytes());
        assert!(came.len() * 10 < page.len(), "{}", came.len());
    }
    assert_eq!(packed("", None).unpack(), b"");
}

#[test]
fn where_not_all_are_kept_the_latest_few_are() {
    let pages = Pages::new(false, parse::Limits::default());
    for number in 0..=ASKED_FOR {
        pages.put(&up(id(number), 10 + number as i64), Some(packed("a 1\n", None).into()));
    }
    assert_eq!(pages.latest(id(0)), None);
    assert!((1..=ASKED_FOR).all(|number| text(&pages, id(number)).is_some()));
    let mut seen = Seen::default();
    Told::visit(&*pages, id(1), &mut seen);
    assert!(seen.0.is_empty(), "they are for who asked alone");
}

fn large(bytes: usize) -> PackedPages {
    packed("a 1\n", Some(vec![0; bytes])).into()
}

#[test]
fn large_pages_share_the_slack_and_leave_the_others_their_room() {
    let pages = Pages::new(true, parse::Limits::default());
    pages.put(&up(id(1), 1), Some(large(SLACK_BYTES + SHARE_BYTES)));
    pages.put(&up(id(2), 1), Some(large(SHARE_BYTES + 1)));
    pages.put(&up(id(3), 1), Some(large(SHARE_BYTES)));
    let kept = || [1, 2, 3].map(|number| Told::samples(&*pages, id(number)).is_some());
    assert_eq!((kept(), pages.not_kept()), ([true, false, true], 1));
    pages.forget(id(1));
    pages.put(&up(id(2), 2), Some(large(SHARE_BYTES + 1)));
    assert_eq!((kept(), pages.not_kept()), ([false, true, true], 0));
    pages.put(&up(id(2), 3), Some(large(1)));
    assert_eq!(pages.kept().bytes, SHARE_BYTES + 1);
    pages.forget(id(2));
    pages.forget(id(3));
    let kept = pages.kept();
    assert_eq!((kept.bytes, kept.capacity()), (0, SLACK_BYTES));
}

#[test]
fn shares_that_small_pages_leave_are_for_large_ones() {
    const SERVERS: usize = 1000;
    let pages = Pages::new(true, parse::Limits::default());
    // Of ten servers one has a page of ten shares and the others hardly any: all together they take what is theirs.
    let round = |seconds: i64| {
        for number in 0..SERVERS {
            let bytes = if number % 10 == 0 { 10 * SHARE_BYTES - 9 } else { 1 };
            pages.put(&up(id(number), seconds), Some(large(bytes)));
        }
    };
    round(1);
    round(2);
    assert_eq!(pages.not_kept(), 0);
    assert!(pages.kept().bytes > SLACK_BYTES + SERVERS / 10 * SHARE_BYTES, "more than the slack and their own shares");
    // Now the others take their shares, which they always get. Large ones give way as they come.
    for number in (0..SERVERS).filter(|number| number % 10 != 0) {
        pages.put(&up(id(number), 3), Some(large(SHARE_BYTES)));
    }
    assert_eq!(pages.not_kept(), 0);
    for number in (0..SERVERS).step_by(10) {
        pages.put(&up(id(number), 3), Some(large(10 * SHARE_BYTES - 9)));
    }
    let kept = pages.kept();
    assert!(kept.bytes <= kept.capacity() && kept.without.len() > 10, "{} {}", kept.bytes, kept.without.len());
    assert!(kept.bytes + 10 * SHARE_BYTES > kept.capacity(), "and no more of them than must");
}
