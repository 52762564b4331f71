//! `GET /federate`: what is selected, how it is written, and when it is refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use common::collected::Collected;
use common::{Answer, Site, authorized, registration, settings};
use flate2::read::GzDecoder;
use http::{StatusCode, header};
use mect_fleet::store::Registration;
use mect_fleet::{
    EndpointReading, Failure, FailureReason, Outcome, Place, Reading, Server, Service, ServiceReading, Timestamp,
};
use mect_web::Settings;

/// Two servers: one in Germany that is well, and one in the Netherlands whose latest scrape failed.
struct Two {
    site: Site,
    servers: Vec<Server>,
    token: String,
    /// How often somebody went through a page.
    visits: Arc<AtomicUsize>,
    /// Of the good one's latest scrape, in milliseconds.
    at: i64,
}

fn reading() -> Outcome {
    let unit =
        ServiceReading { service: Service::WireGuard, unit: "wg-quick@wg0.service".into(), active: true, rung: None };
    Outcome::Up(Reading {
        cpu: Some(0.25),
        ram: Some(0.1),
        sessions: Some(7),
        services: Box::new([unit]),
        ..Reading::default()
    })
}

async fn two(settings: Settings) -> Two {
    let site = Site::with(settings).await;
    let dutch = Registration {
        place: Place { country_code: "NL".into(), ..Place::default() },
        ..registration("192.0.2.2", "nl\"1")
    };
    let servers = site.register(vec![registration("192.0.2.1", "de1"), dutch]).await;
    let start = Timestamp::now() - Duration::from_secs(150);
    site.scrape(&servers[0], start, vec![reading(), reading()]).await;
    let refused = Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""));
    site.scrape(&servers[1], start, vec![reading(), refused]).await;
    let at = start + Duration::from_secs(120);
    let page = "node_load1 0.5\nvpn_sessions service=wg instance=wg0 7\nup 0\nnode_load1 0.75";
    let failure = Failure::new(FailureReason::ConnRefused, "");
    let collected = Collected::of(&servers).with(&servers[0], at, Ok(page)).with(&servers[1], at, Err(failure));
    let visits = Arc::clone(&collected.visits);
    let site = site.collecting(collected.collecting());
    let token = site.token("viewer").await;
    Two { site, servers, token, visits, at: at.as_millis() }
}

impl Two {
    async fn ask(&self, selectors: &[&str]) -> Answer {
        self.site.get_as(&self.token, &path(selectors)).await
    }

    async fn lines(&self, selector: &str) -> Vec<String> {
        let answer = self.ask(&[selector]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.text().lines().map(str::to_owned).collect()
    }
}

fn path(selectors: &[&str]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<_> = selectors.iter().map(|selector| format!("match%5B%5D={}", encode(selector))).collect();
    format!("/federate?{}", pairs.join("&"))
}

/// The series of a line, without value and time.
fn series(line: &str) -> &str {
    line.rsplitn(3, ' ').last().unwrap()
}

#[tokio::test]
async fn what_a_scrape_told_has_its_time() {
    let two = two(settings()).await;
    let (first, second, at) = (two.servers[0].id, two.servers[1].id, two.at);
    let german = format!("country_code=\"DE\",instance=\"192.0.2.1:9776\",job=\"vpn\",server_id=\"{first}\"");
    let dutch = format!("country_code=\"NL\",instance=\"192.0.2.2:9776\",job=\"vpn\",server_id=\"{second}\"");
    assert_eq!(
        two.lines("up").await,
        ["# TYPE up gauge", &format!("up{{{german}}} 1 {at}"), &format!("up{{{dutch}}} 0 {at}")]
    );
    assert_eq!(
        two.lines("{__name__=~\"scrape_.*\"}").await,
        [
            "# TYPE scrape_duration_seconds gauge",
            &format!("scrape_duration_seconds{{{german}}} 0.012 {at}"),
            &format!("scrape_duration_seconds{{{dutch}}} 0.012 {at}"),
            "# TYPE scrape_samples_scraped gauge",
            &format!("scrape_samples_scraped{{{german}}} 4 {at}"),
            &format!("scrape_samples_scraped{{{dutch}}} 0 {at}"),
        ]
    );
    assert_eq!(
        two.lines("{__name__=~\"vpn_server_(load|headroom|resource)_ratio\",country_code=\"DE\"}").await,
        [
            "# TYPE vpn_server_headroom_ratio gauge",
            &format!("vpn_server_headroom_ratio{{{german}}} 0.75 {at}"),
            "# TYPE vpn_server_load_ratio gauge",
            &format!("vpn_server_load_ratio{{{german}}} 0.25 {at}"),
            "# TYPE vpn_server_resource_ratio gauge",
            &format!("vpn_server_resource_ratio{{resource=\"cpu\",{german}}} 0.25 {at}"),
            &format!("vpn_server_resource_ratio{{resource=\"ram\",{german}}} 0.1 {at}"),
        ]
    );
}

#[tokio::test]
async fn servers_tell_for_themselves_under_their_own_labels() {
    let two = two(settings()).await;
    let at = two.at;
    let german =
        format!("country_code=\"DE\",instance=\"192.0.2.1:9776\",job=\"vpn\",server_id=\"{}\"", two.servers[0].id);
    let answer =
        two.ask(&["node_load1", "{__name__=\"vpn_sessions\",exported_instance=~\"wg.*\"}", "node_load1"]).await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        answer.text(),
        format!(
            "# TYPE node_load1 untyped\nnode_load1{{{german}}} 0.5 {at}\n# TYPE vpn_sessions untyped\n\
             vpn_sessions{{service=\"wg\",exported_instance=\"wg0\",{german}}} 7 {at}\n"
        )
    );
    // The page's own `up` is not ours.
    assert_eq!(two.lines("up{country_code=\"DE\"}").await.len(), 2);
    assert_eq!(two.lines("node_load1{country_code=\"NL\"}").await, [""; 0]);
    assert_eq!(two.lines(&format!("node_load1{{server_id=\"{}\"}}", two.servers[0].id)).await.len(), 2);
}

#[tokio::test]
async fn what_is_judged_and_wanted_is_told() {
    let two = two(settings()).await;
    let lines = two.lines("{__name__=~\"vpn_server_.*\"}").await;
    let value = |start: &str| {
        let found: Vec<_> = lines.iter().filter(|line| series(line).starts_with(start)).collect();
        assert_eq!(found.len(), 1, "{start}: {lines:#?}");
        found[0].rsplit(' ').nth(1).unwrap().to_owned()
    };
    let german = "country_code=\"DE\"";
    for (start, expected) in [
        ("vpn_server_info{city=\"Frankfurt\",country=\"Germany\",hostname=\"de1\",region=\"Hesse\",", "1"),
        ("vpn_server_info{country=\"Netherlands\",hostname=\"nl\\\"1\",country_code=\"NL\",", "1"),
        (&format!("vpn_server_state{{state=\"active\",{german}"), "1"),
        (&format!("vpn_server_state{{state=\"down\",{german}"), "0"),
        (&format!("vpn_server_intent{{intent=\"enabled\",{german}"), "1"),
        (&format!("vpn_server_intent{{intent=\"draining\",{german}"), "0"),
        (&format!("vpn_server_intent{{intent=\"approved\",{german}"), "1"),
        (&format!("vpn_server_monitored{{{german}"), "1"),
        (&format!("vpn_server_score{{{german}"), "0.25"),
        (&format!("vpn_server_sessions{{{german}"), "7"),
        (&format!("vpn_server_service_active{{service=\"wg\",{german}"), "1"),
        (&format!("vpn_server_uptime_ratio{{window=\"24h\",{german}"), "1"),
        (&format!("vpn_server_listed{{{german}"), "1"),
        (&format!("vpn_server_unverified{{{german}"), "0"),
    ] {
        assert_eq!(value(start), expected, "{start}");
    }
    // Every series once, names in order, and one TYPE line before each name.
    let mut seen = std::collections::HashSet::new();
    let (types, samples): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("# TYPE "));
    assert!(samples.iter().all(|line| seen.insert(series(line).to_owned())), "{lines:#?}");
    assert!(types.is_sorted() && types.windows(2).all(|pair| pair[0] != pair[1]), "{types:#?}");
}

#[tokio::test]
async fn the_fleet_comes_in_sums() {
    let two = two(settings()).await;
    let lines = two.lines("{__name__=~\"vpn_(fleet|country)_.*\"}").await;
    let has = |text: &str| assert!(lines.iter().any(|line| line.starts_with(text)), "{text} in {lines:#?}");
    has("vpn_fleet_servers{state=\"active\",instance=\"\",job=\"vpn\"} 2 ");
    has("vpn_country_servers{state=\"active\",country_code=\"DE\",instance=\"\",job=\"vpn\"} 1 ");
    has("vpn_country_servers{state=\"down\",country_code=\"NL\",instance=\"\",job=\"vpn\"} 0 ");
    has("vpn_fleet_sessions{instance=\"\",job=\"vpn\"} 14 ");
    has("vpn_fleet_load_ratio{instance=\"\",job=\"vpn\"} 0.25 ");
    has("vpn_fleet_service_servers{service=\"wg\",instance=\"\",job=\"vpn\"} 2 ");
    // The sums of a whole world stay below 5,000 series.
    let of_one = lines.iter().filter(|line| line.starts_with("vpn_country") && line.contains("\"DE\"")).count();
    assert!(of_one * 250 + 20 < 5_000, "{of_one} series for each country");
}

/// Of 50,000 servers that would take seconds.
#[tokio::test]
async fn no_page_is_unpacked_for_what_only_we_tell() {
    let two = two(settings()).await;
    let visits = || two.visits.load(Ordering::Relaxed);
    two.ask(&["{__name__=~\"vpn_fleet_.*|vpn_country_.*\"}", "up", "vpn_server_load_ratio{country_code=\"DE\"}"]).await;
    assert_eq!(visits(), 0);
    let answer = two.ask(&["vpn_fleet_servers", "{__name__=~\"node_.*|up\"}"]).await;
    assert!(visits() > 0 && answer.text().contains("\nnode_load1"), "{}", answer.text());
}

#[tokio::test]
async fn labels_are_added_where_they_are_missing() {
    let mut settings = settings();
    settings.federation.job = "fleet".to_owned();
    let external = [("datacentre", "a\"1"), ("country_code", "XX"), ("service", "none")];
    settings.federation.external_labels = external.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let two = two(settings).await;
    let lines = two.lines("{__name__=~\"up|vpn_sessions|vpn_fleet_sessions\",job=\"fleet\"}").await;
    assert!(lines.iter().filter(|line| !line.starts_with('#')).all(|line| line.contains("datacentre=\"a\\\"1\"")));
    let with = |start: &str, label: &str| lines.iter().filter(|l| l.starts_with(start) && l.contains(label)).count();
    assert_eq!((with("up", "country_code=\"DE\""), with("up", "service=\"none\"")), (1, 2));
    assert_eq!((with("vpn_sessions", "service=\"wg\""), with("vpn_sessions", "service=\"none\"")), (1, 0));
    assert_eq!(with("vpn_fleet_sessions", "country_code=\"XX\""), 1);
}

#[tokio::test]
async fn a_wrong_question_is_refused_with_its_place() {
    let two = two(settings()).await;
    let bad = two.ask(&["up", "up{job=\"x}"]).await;
    bad.is_problem(400, "match[] number 2, `up{job=\\\"x}`, character 11: expected a closing quote");
    let none = two.site.get_as(&two.token, "/federate").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    assert!(none.text().contains("match[] is missing"), "{}", none.text());
    let unknown = two.site.get_as(&two.token, &(path(&["up"]) + "&matches=x")).await;
    unknown.is_problem(422, "unknown parameter `matches`");
}

#[tokio::test]
async fn too_many_series_are_refused_and_counted() {
    let mut settings = settings();
    settings.federation.max_series = 3;
    let two = two(settings).await;
    assert_eq!(two.ask(&["up"]).await.status, StatusCode::OK);
    let refused = two.ask(&["vpn_server_state"]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("match[] selects 8 series") && detail.contains("at most 3"), "{detail}");
    let all = two.ask(&["{job=\"vpn\"}"]).await.text();
    assert!(all.contains("selects at least "), "{all}");
}

#[tokio::test]
async fn it_comes_packed_for_who_takes_that() {
    let two = two(settings()).await;
    let selector = "{__name__=~\"up|node_.*\"}";
    let plain = two.ask(&[selector]).await;
    assert_eq!((plain.header(header::CONTENT_ENCODING), plain.header(header::VARY)), ("", "accept-encoding"));
    let request = authorized("GET", &path(&[selector]), &two.token).header(header::ACCEPT_ENCODING, "gzip");
    let packed = two.site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip");
    let mut text = String::new();
    GzDecoder::new(&*packed.body).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
}

#[tokio::test]
async fn it_is_for_who_signed_in_whatever_else_is_open() {
    let mut settings = settings();
    settings.open_metrics = true;
    let site = Site::with(settings).await;
    for path in ["/federate?match[]=up", "/api/v1/sd/prometheus", "/probe?server=srv-aaaaaaaa"] {
        site.get(path).await.is_problem(401, "Not authenticated");
    }
}

/// Three pages behind one port, of which one is lost: `up` of one must not stand for that of another.
#[tokio::test]
async fn pages_of_one_port_are_told_apart() {
    let site = Site::with(settings()).await;
    let servers = site.register(vec![registration("192.0.2.1", "de1")]).await;
    let at = Timestamp::now() - Duration::from_secs(10);
    let [wireguard, squid] = ["wg", "squid"].map(|name| format!("http://192.0.2.1:9776/{name}/metrics"));
    let endpoint = |url: &str, failure: Option<Failure>| EndpointReading {
        url: url.into(),
        duration_ms: 3,
        samples: u32::from(failure.is_none()),
        failures: u32::from(failure.is_some()),
        failure,
    };
    let lost = Failure::new(FailureReason::ConnRefused, "");
    let endpoints = Box::new([endpoint(&wireguard, None), endpoint(&squid, Some(lost))]);
    let Outcome::Up(reading) = reading() else { unreachable!() };
    site.scrape(&servers[0], at, vec![Outcome::Up(Reading { endpoints, ..reading })]).await;
    let collected = Collected::of(&servers).with(&servers[0], at, Ok("go_goroutines 7"));
    let collected = collected.with_further(&servers[0], &wireguard, at, "go_goroutines 9");
    let site = site.collecting(collected.with_further(&servers[0], &squid, at, "go_goroutines 1").collecting());
    let token = site.token("viewer").await;
    let answer = site.get_as(&token, &path(&["up", "go_goroutines"])).await.text();
    let told = answer.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let instance = line.split("instance=\"").nth(1).unwrap().split('"').next().unwrap();
        let (name, value) = (line.split('{').next().unwrap(), line.rsplit(' ').nth(1).unwrap());
        format!("{name} {instance} {value}")
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    assert_eq!(
        told,
        [
            "go_goroutines 192.0.2.1:9776 7",
            "go_goroutines 192.0.2.1:9776/squid/metrics 1",
            "go_goroutines 192.0.2.1:9776/wg/metrics 9",
            "up 192.0.2.1:9776 1",
            "up 192.0.2.1:9776/squid/metrics 0",
            "up 192.0.2.1:9776/wg/metrics 1",
        ]
    );
    let instances = ["192.0.2.1:9776", "192.0.2.1:9776/wg/metrics", "192.0.2.1:9776/squid/metrics"];
    let targets = site.get_as(&token, "/api/v1/targets").await.json();
    let active = targets["data"]["activeTargets"].as_array().unwrap();
    assert!(
        active.iter().zip(instances).all(|(target, instance)| target["labels"]["instance"] == instance),
        "{targets}"
    );
    let groups = site.get_as(&token, "/api/v1/sd/prometheus").await.json();
    let labels: Vec<_> = groups.as_array().unwrap().iter().map(|group| group["labels"]["instance"].as_str()).collect();
    assert_eq!(labels, [None, Some(instances[1]), Some(instances[2])]);
    assert!(groups.as_array().unwrap().iter().all(|group| group["targets"][0] == instances[0]), "{groups}");
}

/// Nobody shall be woken for it.
#[tokio::test]
async fn a_server_that_nobody_scrapes_or_let_in_is_told_apart() {
    let site = Site::with(settings()).await;
    let waits = Registration { awaits_approval: true, ..registration("192.0.2.3", "waits") };
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "gone"), waits]).await;
    let token = site.token("viewer").await;
    let lines = async |selector: &str| -> Vec<String> {
        let page = site.get_as(&token, &path(&[selector])).await.text();
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let selector = "{__name__=~\"vpn_server_monitored|vpn_server_intent\",intent=~\"|approved\"}";
    let told = async |server: &Server| {
        let lines = lines(selector).await;
        let of_server = lines.iter().filter(|line| line.contains(&server.id.to_string()));
        of_server.map(|line| line.rsplit(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    site.fleet.set_monitored(&[servers[0].id, servers[2].id].into(), Timestamp::now());
    assert_eq!(told(&servers[0]).await, ["1", "1"], "approved, monitored");
    assert_eq!(told(&servers[1]).await, ["1", "0"]);
    assert_eq!(told(&servers[2]).await, ["0", "1"]);

    // A target that went leaves an old scrape behind, which is nobody's fault.
    site.scrape(&servers[1], Timestamp::now() - Duration::from_secs(86_400), vec![reading()]).await;
    site.fleet.set_interval(Duration::from_secs(120));
    site.fleet.publish(Timestamp::now());
    let stale = lines("vpn_fleet_stale_servers").await;
    assert!(stale.len() == 1 && stale[0].contains("} 0 "), "{stale:?}");
}

/// Four that idle, and one of 10 Gbit/s that does not say so.
#[tokio::test]
async fn a_server_is_full_at_most_in_sums_too() {
    let site = Site::with(settings()).await;
    let servers =
        site.register((1..=5).map(|n| registration(&format!("192.0.2.{n}"), &format!("de{n}"))).collect()).await;
    let now = Timestamp::now() - Duration::from_secs(10);
    for server in &servers {
        let net = if server.ip == "192.0.2.5" { 6.0 } else { 0.1 };
        let reading = Reading { cpu: Some(0.1), ram: Some(0.05), net: Some(net), ..Reading::default() };
        site.scrape(server, now, vec![Outcome::Up(reading)]).await;
    }
    let token = site.token("viewer").await;
    let value = async |selector: &str| -> f64 {
        let page = site.get_as(&token, &path(&[selector])).await.text();
        let values = page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit(' ').nth(1).unwrap());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    };
    let mean = value("vpn_server_load_ratio").await / 5.0;
    for sum in ["vpn_country_load_ratio", "vpn_fleet_load_ratio"] {
        assert!((value(sum).await - mean).abs() < 1e-6 && (mean - 0.28).abs() < 1e-6, "{sum}, {mean}");
    }
}

#[tokio::test]
async fn a_fault_of_our_own_is_not_the_servers() {
    let site = Site::with(settings()).await;
    let servers = site.register(vec![registration("192.0.2.1", "de1")]).await;
    let local = Outcome::Failed(Failure::new(FailureReason::Local, "no descriptor"));
    site.scrape(&servers[0], Timestamp::now() - Duration::from_secs(150), vec![reading(), local]).await;
    let site = site.collecting(Collected::of(&servers).collecting());
    let token = site.token("viewer").await;
    let up = site.get_as(&token, &path(&["up"])).await.text();
    assert!(up.contains("} 1 "), "{up}");
    let targets = site.get_as(&token, "/api/v1/targets").await.json();
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");
    assert!(target["warning"].as_str().unwrap().starts_with("not scraped: "), "{target}");
}

#[tokio::test]
async fn an_agent_that_reports_has_no_samples() {
    let site = Site::with(settings()).await;
    let pushed = Registration { pushed: true, ..registration("192.0.2.1", "de1") };
    let servers = site.register(vec![pushed]).await;
    let silent = Outcome::Failed(Failure::new(FailureReason::Silent, ""));
    site.scrape(&servers[0], Timestamp::now() - Duration::from_secs(150), vec![reading(), silent]).await;
    let token = site.token("viewer").await;
    let told = site.get_as(&token, &path(&["{__name__=~\"up|scrape_.*\"}"])).await.text();
    assert!(told.contains("\nup{") && told.contains("} 0 ") && !told.contains("samples_scraped"), "{told}");
}

#[tokio::test]
async fn what_is_old_is_not_told() {
    let two = two(settings()).await;
    let servers = two.site.register(vec![registration("192.0.2.9", "old")]).await;
    let ids: Vec<_> = two.servers.iter().chain(&servers).map(|server| server.id).collect();
    two.site.fleet.set_monitored(&ids.into_iter().collect(), Timestamp::now());
    two.site.scrape(&servers[0], Timestamp::now() - Duration::from_secs(301), vec![reading()]).await;
    // Servers are looked at anew.
    two.site.fleet.set_interval(Duration::from_secs(120));
    two.site.fleet.publish(Timestamp::now());
    let id = servers[0].id;
    let lines = two.lines(&format!("{{server_id=\"{id}\"}}")).await;
    let names: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let expected = ["info", "intent", "last_success_timestamp_seconds", "monitored"].map(|n| format!("vpn_server_{n}"));
    assert_eq!(names, expected.map(|name| format!("{name} gauge")), "{lines:#?}");
}
