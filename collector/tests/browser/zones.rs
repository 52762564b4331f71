//! Times: those of the reader's own zone, with UTC under the pointer; in UTC without scripts.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::scene::Scene;
use crate::support::collector::PASSWORD;
use crate::support::{eventually, exporter, free_port};

/// Half an hour off every round one, and the same all year.
const ZONE: &str = "Asia/Kolkata";
/// How far it is before UTC, in minutes.
const AHEAD: u32 = 330;
const DAY: u32 = 24 * 60;

/// The first `HH:MM` in a text, in minutes since midnight.
#[track_caller]
fn clock(text: &str) -> u32 {
    let at = text.match_indices(':').map(|(at, _)| at).find(|at| {
        let digits = at.checked_sub(2).and_then(|from| text.get(from..at + 3));
        digits.is_some_and(|digits| digits.bytes().filter(u8::is_ascii_digit).count() == 4)
    });
    let at = at.unwrap_or_else(|| panic!("no time in {text:?}"));
    text[at - 2..at].parse::<u32>().unwrap() * 60 + text[at + 1..at + 3].parse::<u32>().unwrap()
}

/// Asserts that two texts tell the same instant, one here and one in UTC.
#[track_caller]
fn is_the_same(here: &str, utc: &str) {
    assert!(!here.contains("UTC") && utc.contains("UTC"), "{here:?}, {utc:?}");
    assert_eq!(clock(here), (clock(utc) + AHEAD) % DAY, "{here:?} is not {utc:?}");
}

/// What a function body gives for every element that matches, once there is one for which it gives something.
#[track_caller]
fn told(browser: &Browser, css: &str, of: &str) -> Vec<(String, String)> {
    let script = format!("return [...document.querySelectorAll({css:?})].map((it) => {of})");
    let pairs = eventually(css, || {
        let pairs = browser.script(&script);
        pairs.as_array().filter(|pairs| pairs.iter().any(|pair| !pair.is_null())).cloned()
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

#[test]
fn a_servers_page_tells_times_as_the_reader_has_them() {
    let ip = "127.0.0.78".parse().unwrap();
    let port = free_port(ip);
    let _host = exporter(ip, port, |_| {});
    let scene = Scene::of_config("[scrape]\ninterval_seconds = 600\nrecheck_seconds = 0.5\n");
    let new = json!({ "target": { "address": format!("{ip}:{port}") }, "hostname": "here" });
    let id = scene.collector.post("/api/v1/servers", &new).json()["id"].as_str().unwrap().to_owned();
    let path = format!("/servers/{id}");
    let browser = scene.browser("admin");
    browser.zone(ZONE);
    browser.visit(&path);
    browser.shows("#state .sentence", "Active since ");
    browser.shows("#charts .key", "%");

    let sentence = "#state .sentence time";
    let both = "[it.textContent, it.title]";
    let (here, utc) = told(&browser, sentence, both).remove(0);
    is_the_same(&here, &utc);
    for (here, utc) in told(&browser, "#facts time, .numbers time", both) {
        is_the_same(&here, &utc);
    }
    // The axis has ticks where hours are round here.
    let has_round_ticks = || {
        for (here, utc) in told(&browser, ".ticks text", "[it.firstChild.data, it.querySelector('title')?.textContent]")
        {
            is_the_same(&here, &utc);
            assert!(clock(&here).is_multiple_of(6 * 60), "{here}");
        }
    };
    has_round_ticks();
    // The states tell both times.
    let states = "#strip rect[data-from] title";
    for (here, utc) in told(&browser, states, "it.textContent.split('\\n')") {
        is_the_same(&here, &utc);
    }
    browser.script("const graph = document.querySelector('svg.graph'), box = graph.getBoundingClientRect();
        graph.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.right, clientY: box.top + 9 }))");
    browser.shows(".chart-tip", "UTC");
    let tip = browser.text(".chart-tip");
    let (here, utc) = tip.split_once('(').unwrap();
    is_the_same(here, utc);

    // What comes later is told in the same way.
    let moved = scene.collector.patch(&format!("/api/v1{path}"), &json!({ "hostname": "renamed" }));
    assert_eq!(moved.status, 200, "{moved:?}");
    browser.shows("#state h1", "renamed");
    for (here, utc) in told(&browser, sentence, both) {
        is_the_same(&here, &utc);
    }
    has_round_ticks();

    let plain = Browser::without_scripts(&scene.collector);
    plain.zone(ZONE);
    plain.sign_in("admin", PASSWORD);
    plain.arrives("/");
    plain.visit(&path);
    plain.shows(sentence, "UTC");
    assert_eq!(clock(&plain.text(sentence)), clock(&plain.attribute(sentence, "title")));
}

#[test]
fn instants_within_texts_are_the_readers_too() {
    let scene = Scene::of_config("[web]\nstatus_page = true\n");
    let browser = scene.browser("admin");
    browser.zone(ZONE);
    for (path, css) in [("/account", "#main time[data-at=said]"), ("/status", "#main .hint time")] {
        browser.visit(path);
        // In the reader's own way to write a clock, which may have twelve hours.
        let both = "[String(it.textContent === new Date(it.dateTime).toLocaleString()), it.title]";
        for (is_here, utc) in told(&browser, css, both) {
            assert!(is_here == "true" && utc.ends_with(" UTC"), "{is_here}, {utc:?}");
        }
    }
    browser.check();
}
