//! The fleet page in use.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::browser::Browser;
use crate::scene::Scene;
use crate::support::collector::PASSWORD;
use crate::support::{eventually, exporter, free_port};

/// Proof that the page was not loaded anew: a property that only this window has.
const MARK: &str = "window.mark = 'the same page'";

#[track_caller]
fn is_the_same_page(browser: &Browser) {
    assert_eq!(browser.script("return window.mark"), "the same page");
}

#[track_caller]
fn server(scene: &Scene, id: &str) -> Value {
    scene.collector.get(&format!("/api/v1/servers/{id}")).json()
}

/// The id of the first row.
fn first_row(browser: &Browser) -> String {
    browser.attribute("tbody tr", "id")
}

#[test]
fn filters_make_an_address_to_share() {
    let scene = Scene::simulated(40);
    let browser = scene.browser("admin");
    browser.counts("tbody tr", 40);
    browser.choose("#country", "DE");
    eventually("the country in the address", || browser.path().contains("country=DE").then_some(()));
    assert_eq!(browser.path(), "/?country=DE", "nothing else is in it");
    browser.click("thead th.server a");
    browser.arrives("/?country=DE&sort=name");
    browser.attribute_is("thead th.server", "aria-sort", "ascending");
    browser.click("thead th.server a");
    browser.arrives("/?country=DE&sort=-name");
    browser.click("#density");
    browser.arrives("/?country=DE&sort=-name&density=compact");
    let (path, names) = (browser.path(), browser.texts("tbody .name"));
    assert!(!names.is_empty() && names.len() < 40, "{names:?}");
    assert!(names.is_sorted_by(|a, b| a >= b), "{names:?}");
    // Whoever gets the address sees the same, after signing in.
    let other = Browser::new(&scene.collector);
    other.visit(&path);
    other.fill("#username", "readonly");
    other.fill("#password", PASSWORD);
    other.click(".primary");
    other.arrives(&path);
    assert_eq!(other.texts("tbody .name"), names);
    assert_eq!(other.count("table.compact"), 1);
    // From the map, and by keyboard.
    other.visit("/");
    other.script("document.querySelector('#map a[href=\"/?country=DE\"]').focus()");
    other.press("#map a[href=\"/?country=DE\"]", "\u{E007}");
    other.arrives("/?country=DE");
    other.press("body", "/");
    assert_eq!(other.script("return document.activeElement.id"), "q");
    other.press("#q", "no such place\u{E007}");
    other.shows("#results", "No server matches");
}

#[test]
fn a_flag_turns_at_once_and_can_be_turned_back() {
    let scene = Scene::simulated(5);
    let browser = scene.browser("admin");
    browser.script(MARK);
    let id = first_row(&browser);
    let button = format!("#{id}-gaming");
    let was = browser.attribute(&button, "aria-pressed") == "true";
    browser.click(&button);
    browser.attribute_is(&button, "aria-pressed", &(!was).to_string());
    let named = if was { "Gaming off" } else { "Gaming on" };
    browser.shows(".toast", named);
    assert_eq!(server(&scene, &id)["gaming"], !was);
    browser.click(".toast button");
    browser.attribute_is(&button, "aria-pressed", &was.to_string());
    eventually("it to be turned back", || (server(&scene, &id)["gaming"] == was).then_some(()));
    is_the_same_page(&browser);
    // What others turn is seen without a reload.
    let patch = serde_json::json!({ "gaming": !was });
    assert_eq!(scene.collector.patch(&format!("/api/v1/servers/{id}"), &patch).status, 200);
    browser.attribute_is(&button, "aria-pressed", &(!was).to_string());
    is_the_same_page(&browser);
    // The stream has it look more often than every 15 s, and not all the time.
    let looks = "return performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'fetch' \
                 && one.name === location.href).map((one) => one.startTime)";
    let looks = eventually("three looks", || {
        let times = browser.script(looks);
        let times: Vec<f64> = times.as_array()?.iter().filter_map(Value::as_f64).collect();
        (times.len() >= 3).then_some(times)
    });
    let passed = looks[2] - looks[0];
    assert!((2_000.0..25_000.0).contains(&passed), "{looks:?}");
}

#[test]
fn a_page_that_hears_nothing_looks_by_itself() {
    let scene = Scene::simulated(5);
    let browser = scene.browser("admin");
    browser.expect("net::ERR_BLOCKED_BY_CLIENT");
    browser.block("*/api/v1/stream");
    browser.reload();
    browser.script(MARK);
    let id = first_row(&browser);
    let is_paid = server(&scene, &id)["paid"] == true;
    let patch = serde_json::json!({ "paid": !is_paid });
    assert_eq!(scene.collector.patch(&format!("/api/v1/servers/{id}"), &patch).status, 200);
    browser.attribute_is(&format!("#{id}-paid"), "aria-pressed", &(!is_paid).to_string());
    assert_eq!(browser.text("#lost"), "", "the monitor answers");
    is_the_same_page(&browser);
}

#[test]
fn a_real_exporter_goes_down_and_comes_back_before_the_eyes() {
    let (ours, steady) = (Ipv4Addr::new(127, 0, 0, 31), Ipv4Addr::new(127, 0, 0, 32));
    let (our_port, steady_port) = (free_port(ours), free_port(steady));
    let mut ours_runs = exporter(ours, our_port, |_| {});
    let _steady_runs = exporter(steady, steady_port, |_| {});
    let scene = Scene::of_config(&format!(
        "[scrape]\ninterval_seconds = 2\ntimeout_seconds = 1\nrecheck_seconds = 0.2\n\
         [[targets]]\naddress = \"{ours}:{our_port}\"\nhostname = \"ours\"\n\
         [[targets]]\naddress = \"{steady}:{steady_port}\"\nhostname = \"steady\"\n"
    ));
    let browser = scene.browser("admin");
    browser.counts("tbody tr.active", 2);
    browser.script(MARK);
    let id = scene.collector.server_when("ours", &ours.to_string(), |_| true)["server_id"].as_str().unwrap().to_owned();
    // Somebody types, has ticked a row, and has scrolled.
    browser.size(1440, 500);
    browser.press("#q", "half a wo");
    browser.script(&format!("document.querySelector('#{id} td.pick input').checked = true; scrollTo(0, 250)"));
    let scrolled = browser.script("return scrollY");
    ours_runs.kill();
    browser.shows(&format!("#{id} .word"), "down");
    browser.shows(&format!("#{id} .trouble"), "connection refused");
    browser.shows("#card-down .value", "1");
    browser.shows("#changes", "ours is down");
    let _back = exporter(ours, our_port, |_| {});
    browser.shows(&format!("#{id} .word"), "active");
    browser.shows("#card-down .value", "0");
    is_the_same_page(&browser);
    assert_eq!(browser.script("return document.activeElement.id"), "q");
    assert_eq!(browser.script("return document.activeElement.value"), "half a wo");
    assert_eq!(browser.script(&format!("return document.querySelector('#{id} td.pick input').checked")), true);
    assert_eq!(browser.script("return scrollY"), scrolled);
}

#[test]
fn many_servers_are_changed_at_once() {
    let scene = Scene::simulated(8);
    let browser = scene.browser("admin");
    assert!(browser.text("#bulk").is_empty(), "without a choice there is nothing to do");
    browser.click("#all");
    browser.shows("#chosen", "8 chosen");
    browser.click("tbody tr:nth-child(1) td.pick input");
    browser.click("tbody tr:nth-child(2) td.pick input");
    browser.shows("#chosen", "6 chosen");
    let left_out = browser.attribute("tbody tr:nth-child(1)", "id");
    browser.choose("#action", "tag");
    browser.fill("#bulk-tag", "fast-lane");
    browser.click("#bulk .primary");
    browser.shows("h1", "Add the tag fast-lane?");
    browser.shows("p", "6 servers chosen. 6 servers would change.");
    assert_eq!(scene.collector.get("/api/v1/servers?tag=fast-lane").json()["items"].as_array().unwrap().len(), 0);
    browser.click(".sheet .primary");
    browser.shows(".done", "The servers were changed.");
    browser.arrives("/");
    browser.counts(".tags", 6);
    assert!(server(&scene, &left_out)["tags"].as_array().unwrap().is_empty());
    // All that a filter finds, of which nothing differs any more.
    browser.choose("#tag", "fast-lane");
    browser.arrives("/?tag=fast-lane");
    browser.click("tbody td.pick input");
    browser.choose("#scope", "found");
    browser.choose("#action", "tag");
    browser.fill("#bulk-tag", "fast-lane");
    browser.click("#bulk .primary");
    browser.shows("p", "6 servers chosen. None of them would change");
    // A mistake is told.
    browser.expect("422 (Unprocessable");
    browser.visit("/");
    browser.click("#all");
    browser.choose("#action", "tag");
    browser.fill("#bulk-tag", "No Tag");
    browser.click("#bulk .primary");
    browser.shows("#tag-problem", "not a tag");
    browser.fill("#tag", "slow-lane");
    browser.click(".sheet .primary");
    browser.shows("h1", "Add the tag slow-lane?");
}

#[test]
fn roles_see_what_they_may() {
    let scene = Scene::simulated(5);
    for (user, may) in [("readonly", false), ("admin", true)] {
        let browser = scene.browser(user);
        browser.counts("tbody tr", 5);
        for (css, count) in [("form.toggles", 5), ("td.pick", 5), ("#bulk", 1)] {
            assert_eq!(browser.count(css), if may { count } else { 0 }, "{css} for {user}");
        }
    }
}

#[test]
fn everything_works_without_scripts() {
    let scene = Scene::simulated(6);
    let browser = Browser::without_scripts(&scene.collector);
    browser.sign_in("admin", PASSWORD);
    browser.arrives("/");
    assert_eq!(browser.count("#all"), 0, "scripts run");
    browser.choose("#sort", "name");
    browser.click("#filters button");
    eventually("the order in the address", || browser.path().contains("sort=name").then_some(()));
    let id = first_row(&browser);
    let button = format!("#{id}-streaming");
    let was = browser.attribute(&button, "aria-pressed") == "true";
    let path = browser.path();
    browser.click(&button);
    browser.attribute_is(&button, "aria-pressed", &(!was).to_string());
    assert!(path.contains("sort=name") && browser.path().contains("sort=name"), "{}", browser.path());
    browser.click("tbody tr:nth-child(2) td.pick input");
    browser.choose("#action", "drain");
    browser.click("#bulk .primary");
    browser.shows("p", "1 server chosen. 1 server would change.");
    browser.click(".sheet .primary");
    browser.shows(".done", "The servers were changed.");
    browser.shows(".intent", "draining");
    browser.click("#card-draining");
    browser.counts("tbody tr", 1);
}

#[test]
fn a_dead_collector_leaves_no_green_page() {
    let mut scene = Scene::simulated(5);
    let browser = scene.browser("admin");
    assert!(!browser.attribute("body", "class").contains("old"));
    assert_eq!(browser.text("#lost"), "");
    browser.expect("net::ERR_CONNECTION_REFUSED");
    browser.expect("net::ERR_INCOMPLETE_CHUNKED_ENCODING");
    browser.expect("net::ERR_CONNECTION_RESET");
    scene.collector.program.kill();
    browser.shows("#lost", "No connection to the monitor");
    browser.attribute_is("body", "class", "scripted old");
}

#[test]
fn names_and_buttons_have_room_at_every_width() {
    let scene = Scene::simulated(5);
    let browser = scene.browser("admin");
    for width in [360, 768, 1024, 1280, 1366, 1401, 1440, 1920] {
        browser.size(width, 900);
        let narrowest = browser.script(
            "return Math.min(...[...document.querySelectorAll('.server .name')].map((name) => name.clientWidth \
             || name.getBoundingClientRect().width))",
        );
        assert!(narrowest.as_f64().unwrap() >= 60.0, "a name has {narrowest} px at {width}");
        let cut = browser.script(
            "const box = document.querySelector('#results').getBoundingClientRect(); \
             const right = Math.max(...[...document.querySelectorAll('.flags button')].map((b) => b.getBoundingClientRect().right)); \
             return right - box.right",
        );
        assert!(cut.as_f64().unwrap() <= 0.0, "{cut} px of a button are cut at {width}");
    }
}

#[test]
fn marked_text_hides_no_dead_collector_and_neither_does_another_page() {
    let mut scene = Scene::simulated(5);
    let id = scene.collector.all_servers()[0]["server_id"].as_str().unwrap().to_owned();
    let browser = scene.browser("admin");
    browser.script("getSelection().selectAllChildren(document.querySelector('.server .name'))");
    let others = ["/targets".to_owned(), format!("/servers/{id}")].map(|path| {
        let browser = scene.browser("admin");
        browser.visit(&path);
        browser
    });
    let all = [&browser, &others[0], &others[1]];
    for browser in all {
        browser.expect("net::ERR_CONNECTION_REFUSED");
        browser.expect("net::ERR_INCOMPLETE_CHUNKED_ENCODING");
        browser.expect("net::ERR_CONNECTION_RESET");
    }
    scene.collector.program.kill();
    for browser in all {
        browser.shows("#lost", "No connection to the monitor");
        assert!(browser.attribute("body", "class").contains("old"));
    }
}

#[test]
fn the_table_can_be_printed() {
    let scene = Scene::simulated(5);
    let browser = scene.browser("admin");
    browser.medium("print");
    assert!(browser.text("tbody tr th").contains('.'), "names and addresses");
    for hidden in [".tools", ".map", "td.pick", "td.flags", ".account"] {
        assert_eq!(browser.text(hidden), "", "{hidden}");
    }
    assert_eq!(browser.script("return getComputedStyle(document.querySelector('table')).display"), "table");
}
