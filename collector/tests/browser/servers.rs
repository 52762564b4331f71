//! One server and new ones: added, seen to arrive, scraped at once, edited, drained, imported.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::browser::Browser;
use crate::scene::Scene;
use crate::support::collector::PASSWORD;
use crate::support::{Program, exporter, free_port};

/// No regular scrape but the first ones comes while a test runs.
const SLOW: &str = "[scrape]\ninterval_seconds = 600\nrecheck_seconds = 0.5\n";

/// A real exporter, and where it is.
fn host(last: u8) -> (Program, String) {
    let ip = Ipv4Addr::new(127, 0, 0, last);
    let port = free_port(ip);
    (exporter(ip, port, |_| {}), format!("{ip}:{port}"))
}

/// Adds a server by its form; gives the path of its page.
fn add(browser: &Browser, address: &str, hostname: &str) -> String {
    browser.visit("/servers/add");
    browser.fill("#address", address);
    browser.fill("#hostname", hostname);
    browser.click("form[action=\"/servers/add\"] .primary");
    browser.shows("h1", hostname);
    browser.path().split('?').next().unwrap().to_owned()
}

#[test]
fn a_server_is_added_seen_to_arrive_scraped_at_once_and_edited() {
    let (_host, address) = host(74);
    let scene = Scene::of_config(SLOW);
    let browser = scene.browser("admin");
    browser.click(".menu a[href=\"/servers/add\"]");
    browser.arrives("/servers/add");
    let path = add(&browser, &address, "by-hand");
    // Nobody loads the page again.
    browser.shows("#state .sentence", "Active since ");
    browser.shows("#charts .key", "%");
    browser.shows("#events li", "active");

    browser.script("const graph = document.querySelector('svg.graph'), box = graph.getBoundingClientRect();
        graph.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.right, clientY: box.top + 9 }))");
    browser.shows(".chart-tip", "UTC");

    browser.click("#scrape");
    browser.arrives(&format!("{path}/exposition"));
    browser.shows(".exposition pre", "node_load1");
    browser.fill("#q", "NODE_load1");
    browser.press("#q", "\u{E007}");
    // Of `node_load1` and `node_load15` help, type and value.
    browser.shows(".exposition .hint", "6 of ");
    assert!(!browser.text(".exposition pre").contains("node_memory"));

    browser.visit(&path);
    browser.click(&format!("a[href=\"{path}/edit\"]"));
    browser.fill("#tags", "Bad!");
    browser.fill("#city", "Offenbach");
    browser.expect("422 (Unprocessable Entity)");
    browser.click(".primary");
    browser.shows("#tags-problem", "not a tag");
    browser.fill("#tags", "eu");
    browser.click(".primary");
    browser.arrives(&path);
    browser.shows("[role=status]", "Saved");
    browser.shows(".tag-list", "eu");
    browser.shows("#facts", "Offenbach");
}

#[test]
fn what_is_typed_stays_while_the_page_refreshes_itself() {
    let (_host, address) = host(75);
    let scene = Scene::of_config(SLOW);
    let browser = scene.browser("admin");
    let path = add(&browser, &address, "draining");
    browser.shows("#state .sentence", "Active since ");
    browser.click(".wants summary");
    browser.script("document.getElementById('drain_until').value = '2099-05-01T12:00'");
    let moved = scene.collector.patch(&format!("/api/v1{path}"), &json!({"city": "Mainz", "hostname": "renamed"}));
    assert_eq!(moved.status, 200, "{moved:?}");
    browser.shows("#state h1", "renamed");
    browser.shows("#facts", "Mainz");
    let kept = browser.script("return document.getElementById('drain_until').value");
    assert_eq!(kept, json!("2099-05-01T12:00"));
    browser.click(".wants button[value=drain]");
    browser.shows("#state .remarks", "until 1 May 2099, ");
    browser.click("#undrain");
    browser.arrives(&path);
    browser.counts("#state .remarks", 0);
}

#[test]
fn a_list_is_shown_before_it_is_added_and_all_of_it_works_without_scripts() {
    let scene = Scene::of_config(SLOW);
    let browser = Browser::without_scripts(&scene.collector);
    browser.sign_in("admin", PASSWORD);
    browser.arrives("/");
    browser.visit("/servers/add");
    browser.fill("#list", "address,hostname\n127.0.0.76:9,one\nnonsense,two\n");
    browser.click("form[action=\"/servers/import/preview\"] button");
    browser.shows(".preview", "needs a port");
    browser.click(".primary");
    browser.arrives("/servers/add?done=imported");
    assert_eq!(scene.collector.all_servers().len(), 1);
    let id = scene.collector.all_servers()[0]["server_id"].as_str().unwrap().to_owned();
    browser.visit(&format!("/servers/{id}"));
    browser.click("#listed");
    browser.shows("#state .remarks", "not listed to clients");
    browser.click(".danger summary");
    browser.click(".danger button");
    browser.arrives("/");
    browser.shows("h2", "No servers yet");
}

#[test]
fn who_may_only_look_finds_nothing_to_press() {
    let scene = Scene::of_config(SLOW);
    let new = json!({"target": {"address": "127.0.0.77:9"}, "hostname": "looked-at"});
    let id = scene.collector.post("/api/v1/servers", &new).json()["id"].as_str().unwrap().to_owned();
    let browser = scene.browser("readonly");
    browser.visit(&format!("/servers/{id}"));
    browser.shows("h1", "looked-at");
    assert_eq!(browser.texts("main button, main input"), Vec::<String>::new());
    assert!(!browser.texts(".menu a").contains(&"Add servers".to_owned()));
}
