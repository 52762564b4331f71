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

#[test]
fn large_pages_share_the_slack_and_leave_the_others_their_room() {
    let pages = Pages::new(true, parse::Limits::default());
    let large = |bytes: usize| packed("a 1\n", Some(vec![0; bytes]));
    pages.put(&up(id(1), 1), Some(large(SLACK_BYTES + SHARE_BYTES).into()));
    pages.put(&up(id(2), 1), Some(large(SHARE_BYTES + 1).into()));
    pages.put(&up(id(3), 1), Some(large(SHARE_BYTES).into()));
    let kept = || [1, 2, 3].map(|number| Told::samples(&*pages, id(number)).is_some());
    assert_eq!(kept(), [true, false, true]);
    pages.forget(id(1));
    pages.put(&up(id(2), 2), Some(large(SHARE_BYTES + 1).into()));
    assert_eq!(kept(), [false, true, true]);
    pages.put(&up(id(2), 3), Some(large(1).into()));
    assert_eq!(pages.kept().slack, 0);
}
