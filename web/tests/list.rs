//! The list for clients: what can be asked of it, how it is kept and signed, and where one client is sent.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use axum::body::Body;
use common::{Answer, PASSWORD, Site, authorized, plus, registration, settings};
use http::{HeaderName, StatusCode, header};
use mect_fleet::store::{Record, Registration, story};
use mect_fleet::{FlagsPatch, Outcome, Place, Reading, Server, Service, ServiceReading, Standing, Timestamp};
use mect_web::{ListKey, Secret};
use serde_json::{Value, json};

fn at_place(ip: &str, hostname: &str, code: &str, country: &str, city: &str) -> Registration {
    let place = Place { country_code: code.into(), country: country.into(), city: city.into(), ..Place::default() };
    Registration { place, ..registration(ip, hostname) }
}

fn up(cpu: f32, services: &[(Service, bool)]) -> Outcome {
    let unit = |(service, active): &(Service, bool)| ServiceReading {
        service: *service,
        unit: format!("{service}.service").into(),
        active: *active,
        rung: None,
    };
    let services = services.iter().map(unit).collect();
    Outcome::Up(Reading { cpu: Some(cpu), ram: Some(0.0), services, ..Reading::default() })
}

const WG: &[(Service, bool)] = &[(Service::WireGuard, true)];
const WG_AND_OV: &[(Service, bool)] = &[(Service::WireGuard, true), (Service::OpenVpn, true)];

/// One scrape of each server at `at`, shown at once as published then.
fn show(site: &Site, servers: &[Server], at: Timestamp, outcomes: Vec<Outcome>) {
    let batch: Vec<Record> = servers
        .iter()
        .zip(outcomes)
        .map(|(server, outcome)| story::observe(&mut Standing::default(), server.id, at, outcome))
        .collect();
    site.fleet.apply(&batch);
    site.fleet.publish(at);
}

/// fra and ber in Germany, zrh in Switzerland, tyo in Japan, and a dead one; ber is for games, zrh is busiest.
async fn site() -> Site {
    site_with(settings()).await
}

async fn site_with(settings: mect_web::Settings) -> Site {
    let site = Site::with(settings).await;
    let mut ber = at_place("192.0.2.2", "ber", "DE", "Germany", "Berlin");
    ber.flags = FlagsPatch { gaming: Some(true), ..FlagsPatch::default() };
    ber.tags = ["10g", "eu"].map(|tag| tag.parse().unwrap()).into();
    let servers = vec![
        at_place("192.0.2.1", "fra", "DE", "Germany", "Frankfurt"),
        ber,
        at_place("192.0.2.3", "zrh", "CH", "Switzerland", "Zürich"),
        at_place("192.0.2.4", "tyo", "JP", "Japan", "Tokyo"),
        at_place("192.0.2.5", "dead", "JP", "Japan", "Osaka"),
    ];
    let servers = site.register(servers).await;
    let dead = vec![up(0.0, WG), story::failed(), story::failed(), story::failed()];
    site.scrape(&servers[4], Timestamp::from_secs(1_600_000_000), dead).await;
    let outcomes = vec![
        up(0.123_456, WG),
        up(0.3, WG_AND_OV),
        up(0.7, &[(Service::WireGuard, true), (Service::OpenVpn, false)]),
        up(0.5, WG_AND_OV),
    ];
    show(&site, &servers, Timestamp::from_secs(1_600_000_100), outcomes);
    site
}

fn hosts(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json().as_array().unwrap().iter().map(|one| one["hostname"].as_str().unwrap().to_owned()).collect()
}

async fn with_header(site: &Site, token: &str, path: &str, name: HeaderName, value: &str) -> Answer {
    site.send(authorized("GET", path, token).header(name, value).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_list_is_filtered_sorted_and_cut() {
    let site = site().await;
    let token = site.token("viewer").await;
    let found = async |query: &str| hosts(&site.get_as(&token, &format!("/servers?{query}")).await);
    assert_eq!(found("").await, ["fra", "ber", "tyo", "zrh"], "best first; a lost service comes last");
    assert_eq!(found("country=de").await, ["fra", "ber"]);
    assert_eq!(found("country=Germany,jp").await, ["fra", "ber", "tyo"]);
    assert_eq!(found("city=Z%C3%BCrich").await, ["zrh"]);
    assert_eq!(found("city=Z%C3%9CRICH").await, ["zrh"]);
    assert_eq!(found("service=ov").await, ["ber", "tyo"], "where it is active");
    assert_eq!(found("service=ov,wg&country=CH").await, ["zrh"]);
    assert_eq!(found("gaming=true").await, ["ber"]);
    assert_eq!(found("gaming=no&country=DE").await, ["fra"]);
    assert_eq!(found("tag=asia,eu").await, ["ber"]);
    assert_eq!(found("tag=asia").await, [""; 0]);
    assert_eq!(found("sort=hostname").await, ["ber", "fra", "tyo", "zrh"]);
    assert_eq!(found("sort=-load&limit=2").await, ["zrh", "tyo"]);
    assert_eq!(found("sort=country").await, ["fra", "ber", "tyo", "zrh"], "equals stay best first");
    assert_eq!(found("sort=-country&limit=1").await, ["zrh"]);
    assert_eq!(found("all_servers=true&country=JP").await, ["dead", "tyo"], "by name");
    assert_eq!(found("all_servers=true&sort=load").await.last().unwrap(), "dead", "unknown comes last");
    assert_eq!(found("all_servers=true&sort=-score").await.last().unwrap(), "dead");
    assert_eq!(found("country=XX").await, [""; 0]);
    assert_eq!(found("colour=red&country=CH").await, ["zrh"], "what means nothing is left alone");
    let cut = site.get_as(&token, "/servers?fields=load,ip&limit=1").await;
    assert_eq!(cut.text(), r#"[{"ip":"192.0.2.1","load":{"cpu":12.35,"net":null,"ram":0.0}}]"#);
}

#[tokio::test]
async fn every_field_can_be_chosen() {
    let site = site().await;
    let token = site.token("viewer").await;
    let whole = site.get_as(&token, "/servers?limit=1").await.json();
    let names: Vec<_> = whole[0].as_object().unwrap().keys().cloned().collect();
    let chosen = site.get_as(&token, &format!("/servers?limit=1&fields={}", names.join(","))).await;
    assert_eq!(chosen.json(), whole, "{}", chosen.text());
}

#[tokio::test]
async fn wrong_questions_are_told_what_is_wrong() {
    let site = site().await;
    let token = site.token("viewer").await;
    for (path, detail) in [
        ("/servers?limit=-1", "limit: `-1` is not allowed; give a whole number from 1 to 1000000"),
        ("/servers?limit=0", "limit: `0` is not allowed; give a whole number from 1 to 1000000"),
        ("/servers?limit=1&limit=2", "limit: given more than once"),
        ("/servers?service=ssh", "service: `ssh` is not allowed; give wg, ov, sq or vr"),
        ("/servers?tag=a%20b", "tag: `a b` is not allowed; give words of a-z, 0-9, `.`, `_`, `:` and `-`"),
        ("/servers?paid=maybe", "paid: `maybe` is not allowed; give true or false"),
        ("/servers?all_servers=2", "all_servers: `2` is not allowed; give true or false"),
        (
            "/servers?sort=%00",
            "sort: `\\0` is not allowed; give score, load, hostname, country or city, or one of them after a `-`",
        ),
        ("/api/v1/loads?by=name", "by: `name` is not allowed; give id or ip"),
        ("/api/v1/loads?page=1", "unknown parameter `page`"),
        ("/api/v1/recommendations?lat=NaN&lon=0", "lat: `NaN` is not allowed; give degrees from -90 to 90"),
        ("/api/v1/recommendations?lat=0&lon=inf", "lon: `inf` is not allowed; give degrees from -180 to 180"),
        ("/api/v1/recommendations?lat=1", "lon: missing; give lat and lon, or neither"),
        ("/api/v1/recommendations?lon=1", "lat: missing; give lat and lon, or neither"),
        ("/api/v1/recommendations?limit=101", "limit: `101` is not allowed; give a whole number from 1 to 100"),
        ("/api/v1/recommendations?limt=1", "unknown parameter `limt`"),
        ("/api/v1/recommendations?service=wg&service=ov", "service: given more than once"),
    ] {
        site.get_as(&token, path).await.is_problem(422, detail);
    }
    let fields = site.get_as(&token, "/servers?fields=ip,password").await;
    assert_eq!(fields.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(fields.json()["detail"].as_str().unwrap().starts_with("fields: `password` is not allowed; give some of"));
    for path in ["/servers", "/api/v1/loads", "/api/v1/recommendations"] {
        let long = site.get_as(&token, &format!("{path}?city={}", "x".repeat(10_000))).await;
        long.is_problem(414, "The query is longer than 4096 bytes");
        let odd = site.get_as(&token, &format!("{path}?city=%ff%00%e2%80%ae&exclude={}", ",".repeat(500))).await;
        assert!(!odd.status.is_server_error(), "{path}: {}", odd.text());
    }
    let many = vec!["1"; 101].join(",");
    let list = site.get_as(&token, &format!("/api/v1/recommendations?exclude={many}")).await;
    list.is_problem(422, "exclude: more than 100 values");
}

#[tokio::test]
async fn answers_are_packed_tagged_and_dated() {
    let site = site().await;
    let token = site.token("viewer").await;
    for path in ["/servers", "/servers?country=DE", "/api/v1/loads"] {
        let plain = site.get_as(&token, path).await;
        assert_eq!(plain.header(header::CACHE_CONTROL), "private, no-cache");
        assert_eq!(plain.header(header::VARY), "authorization, cookie, accept-encoding");
        assert_eq!(plain.header(header::LAST_MODIFIED), "Sun, 13 Sep 2020 12:28:20 GMT");
        let mut tags = HashSet::from([plain.header(header::ETAG).to_owned()]);
        for coding in ["gzip", "br"] {
            let packed = with_header(&site, &token, path, header::ACCEPT_ENCODING, coding).await;
            assert_eq!(packed.header(header::CONTENT_ENCODING), coding);
            let mut unpacked = Vec::new();
            match coding {
                "gzip" => _ = flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap(),
                _ => brotli::BrotliDecompress(&mut &*packed.body, &mut unpacked).unwrap(),
            }
            assert_eq!(unpacked, plain.body);
            tags.insert(packed.header(header::ETAG).to_owned());
        }
        assert_eq!(tags.len(), 3, "another form, another strong tag: {tags:?}");
        assert!(tags.iter().all(|tag| tag.starts_with('"')));

        for (name, value) in [
            (header::IF_NONE_MATCH, plain.header(header::ETAG)),
            (header::IF_MODIFIED_SINCE, plain.header(header::LAST_MODIFIED)),
        ] {
            let again = with_header(&site, &token, path, name, value).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
            assert_eq!(again.header(header::ETAG), plain.header(header::ETAG));
            assert!(again.headers.contains_key("x-data-age-seconds"));
        }
        let older = "Sun, 13 Sep 2020 12:28:19 GMT";
        let changed = with_header(&site, &token, path, header::IF_MODIFIED_SINCE, older).await;
        assert_eq!(changed.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_change_elsewhere_leaves_the_tag_alone() {
    let site = site().await;
    let token = site.token("viewer").await;
    let before = site.get_as(&token, "/servers").await;
    let version = site.fleet.view().version();
    let dead = Server::clone(&site.fleet.view().by_ip("192.0.2.5").unwrap().server);
    show(&site, &[dead], Timestamp::from_secs(1_600_000_105), vec![story::failed()]);
    assert!(site.fleet.view().version() > version);
    let after = site.get_as(&token, "/servers").await;
    assert_eq!(after.header(header::ETAG), before.header(header::ETAG));
    assert_eq!(after.header(header::LAST_MODIFIED), before.header(header::LAST_MODIFIED));

    // What may change again within the second has no date yet.
    let first = Server::clone(&site.fleet.view().by_ip("192.0.2.1").unwrap().server);
    show(&site, &[first], Timestamp::now() + Duration::from_secs(60), vec![up(0.2, WG)]);
    let fresh = site.get_as(&token, "/servers").await;
    assert_ne!(fresh.header(header::ETAG), before.header(header::ETAG));
    assert!(!fresh.headers.contains_key(header::LAST_MODIFIED));
}

#[tokio::test]
async fn the_age_of_what_is_shown_is_told() {
    let site = site().await;
    let token = site.token("viewer").await;
    let age = |answer: &Answer| answer.header("x-data-age-seconds").parse::<u64>().unwrap();
    let expected = Timestamp::now().since(Timestamp::from_secs(1_600_000_100)).as_secs();
    let old = site.get_as(&token, "/servers").await;
    assert!((expected..expected + 60).contains(&age(&old)), "{}", age(&old));
    let recommended = site.get_as(&token, "/api/v1/recommendations").await.json();
    assert!(recommended["data_age_seconds"].as_u64().unwrap() >= expected);

    let server = site.fleet.view().by_ip("192.0.2.1").unwrap().server.clone();
    site.scrape(&server, Timestamp::now() - Duration::from_secs(5), vec![up(0.1, WG)]).await;
    assert!((5..60).contains(&age(&site.get_as(&token, "/servers").await)));

    let empty = Site::new().await;
    let token = empty.token("viewer").await;
    assert!(!empty.get_as(&token, "/servers").await.headers.contains_key("x-data-age-seconds"));
    let recommended = empty.get_as(&token, "/api/v1/recommendations").await.json();
    assert_eq!(recommended, json!({"data_age_seconds": null, "recommendations": []}));
}

#[tokio::test]
async fn loads_are_small_and_by_id_or_address() {
    let site = site().await;
    let token = site.token("viewer").await;
    let by_ip = site.get_as(&token, "/api/v1/loads?by=ip").await.json();
    assert_eq!(by_ip["data_at"], "2020-09-13T12:28:20Z");
    let loads = json!({
        "192.0.2.1": {"load": 12.35, "score": 0.1235}, "192.0.2.2": {"load": 30.0, "score": 0.3},
        "192.0.2.3": {"load": 70.0, "score": 1.7}, "192.0.2.4": {"load": 50.0, "score": 0.5},
    });
    assert_eq!(by_ip["loads"], loads);
    let by_id = site.get_as(&token, "/api/v1/loads").await.json();
    let id = site.fleet.view().by_ip("192.0.2.2").unwrap().server.id.to_string();
    assert_eq!(by_id["loads"][&id], loads["192.0.2.2"]);
    assert_eq!(site.get("/api/v1/loads").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_recommendation_says_why() {
    let site = site().await;
    let token = site.token("viewer").await;
    let ask = async |query: &str| {
        site.get_as(&token, &format!("/api/v1/recommendations?{query}")).await.json()["recommendations"].take()
    };
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["hostname"].as_str().unwrap().to_owned()).collect()
    };
    // In Osaka.
    let near = ask("lat=34.7&lon=135.5&limit=2&service=ov").await;
    assert_eq!(names(&near), ["tyo", "ber"]);
    let mut first = near[0].clone();
    let (km, score) = (first["distance_km"].take().as_f64().unwrap(), first["score"].take().as_f64().unwrap());
    let parts = first["parts"].take();
    assert!((100.0..800.0).contains(&km), "to the middle of Japan: {km}");
    assert!((parts["distance"].as_f64().unwrap() - km / 10_000.0).abs() < 1e-4);
    let sum: f64 = parts.as_object().unwrap().values().map(|part| part.as_f64().unwrap()).sum();
    assert!((sum - score).abs() < 1e-3, "{parts} make {score}");
    assert_eq!([&parts["load"], &parts["degraded"], &parts["slow_start"]], [0.5, 0.0, 0.0]);
    let id = first["server_id"].take();
    assert_eq!(
        first,
        json!({
            "server_id": null, "ip": "192.0.2.4", "hostname": "tyo", "countryCode": "JP", "country": "Japan",
            "city": "Tokyo", "services": [{"name": "wg", "active": true}, {"name": "ov", "active": true}],
            "load": 50.0, "distance_km": null, "band": 0, "score": null, "parts": null,
        })
    );
    assert_eq!(names(&ask(&format!("service=ov&exclude={}", id.as_str().unwrap())).await), ["ber"]);
    assert_eq!(names(&ask("service=ov&exclude=192.0.2.4,192.0.2.99").await), ["ber"]);
    assert_eq!(names(&ask("country=jp,ch").await), ["tyo", "zrh"]);
    assert_eq!(names(&ask("gaming=true").await), ["ber"]);
    assert_eq!(ask("").await[3]["parts"]["degraded"], 1.0);
    assert_eq!(ask("").await[0]["parts"]["distance"], 0.0, "who does not say where it is");
}

#[tokio::test]
async fn clients_are_spread_and_each_keeps_its_order() {
    let site = Site::new().await;
    let servers: Vec<_> = (1..=20).map(|n| registration(&format!("192.0.2.{n}"), &format!("host-{n}"))).collect();
    let servers = site.register(servers).await;
    show(&site, &servers, Timestamp::now(), servers.iter().map(|_| up(0.2, WG)).collect());
    let token = site.token("viewer").await;
    let order = async |query: &str| -> Vec<String> {
        let answer = site.get_as(&token, &format!("/api/v1/recommendations?limit=20&{query}")).await;
        let list = answer.json()["recommendations"].take();
        list.as_array().unwrap().iter().map(|one| one["ip"].as_str().unwrap().to_owned()).collect()
    };
    let mut firsts = HashSet::new();
    for client in 0..200 {
        firsts.insert(order(&format!("seed=client-{client}")).await.remove(0));
    }
    assert_eq!(firsts.len(), 20, "every server is somebody's first");
    let before = order("seed=a").await;
    assert_eq!(order("seed=a").await, before);
    assert_ne!(order("seed=b").await, before);
    let mine = order("").await;
    // New loads, all still in one band: nobody is sent elsewhere.
    let loads = servers.iter().zip(0u8..).map(|(_, n)| up(0.2 + f32::from(n % 2) * 0.001, WG)).collect();
    show(&site, &servers, Timestamp::now(), loads);
    assert_eq!(order("seed=a").await[0], before[0]);
    assert_eq!(order("").await[0], mine[0]);
}

#[tokio::test]
async fn an_open_list_tells_strangers_no_more_than_clients_need() {
    let closed = site().await;
    closed.get("/servers").await.is_problem(401, "Not authenticated");
    let mut settings = settings();
    settings.public_list = true;
    let site = site_with(settings).await;
    let public = site.get("/servers").await;
    assert_eq!(hosts(&public), ["fra", "ber", "tyo", "zrh"]);
    assert_eq!(public.header(header::CACHE_CONTROL), "public, max-age=10");
    let first = &public.json()[0];
    assert_eq!(first["load"], json!({"cpu": 10.0, "ram": 0.0, "net": null}));
    assert_eq!(first["score"], 0.1);
    assert_eq!(first["last_heartbeat"], "2020-09-13T12:28:00Z", "the minute");
    assert_eq!([&first["failure"], &first["first_heartbeat"]], [&Value::Null; 2]);
    let cut = site.get("/servers?country=JP&fields=load").await;
    assert_eq!(cut.json(), json!([{"load": {"cpu": 50.0, "ram": 0.0, "net": null}}]));

    site.get("/servers?all_servers=true").await.is_problem(401, "Not authenticated");
    for path in ["/api/v1/loads", "/api/v1/recommendations", "/users/me"] {
        assert_eq!(site.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    // A void token is told so.
    site.get_as("void", "/servers").await.is_problem(401, "Could not validate credentials");
    let token = site.token("viewer").await;
    let private = site.get_as(&token, "/servers").await;
    assert_eq!(private.json()[0]["load"]["cpu"], 12.35);
    assert_ne!(private.header(header::ETAG), public.header(header::ETAG));
    assert_eq!(hosts(&site.get_as(&token, "/servers?all_servers=true").await).len(), 5);
    let login = site.submit("", "/login", &format!("username=viewer&password={}", plus(PASSWORD))).await;
    let cookie = login.cookie();
    assert_eq!(site.visit(&cookie, "/servers").await.json()[0]["load"]["cpu"], 12.35);
}

/// What OpenSSL says of a signature.
fn verifies(directory: &std::path::Path, public_pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let file = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let verified = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
        .arg(file("key.pem", public_pem.as_bytes()))
        .arg("-in")
        .arg(file("list.json", message))
        .arg("-sigfile")
        .arg(file("list.sig", signature))
        .output()
        .expect("openssl can be run");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(said.contains("Signature Verified") || said.contains("Verification Failure"), "{said}");
    verified.status.success()
}

#[tokio::test]
async fn openssl_verifies_the_list() {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output().expect("openssl can be run");
    let pem = String::from_utf8(made.stdout).unwrap();
    let mut signing = settings();
    signing.list_key = Some(ListKey::from_pem(&Secret::new(pem)).unwrap());
    let site = site_with(signing).await;
    let token = site.token("viewer").await;
    let key = site.get("/servers.pub").await;
    assert_eq!(key.header(header::CONTENT_TYPE), "application/x-pem-file");
    for path in ["/servers", "/servers?all_servers=true", "/servers?country=DE&limit=1"] {
        let list = site.get_as(&token, path).await;
        let detached = site.get_as(&token, &path.replace("/servers", "/servers.sig")).await;
        assert_eq!(detached.header(header::ETAG), list.header(header::ETAG));
        assert!(verifies(directory.path(), &key.text(), &list.body, &detached.body), "{path}");
        let mut forged = list.body.clone();
        forged[3] ^= 1;
        assert!(!verifies(directory.path(), &key.text(), &forged, &detached.body), "{path}");
        let decode = |text: &str| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.decode(text).unwrap()
        };
        assert_eq!(decode(list.header("x-list-signature")), detached.body);
        let packed = with_header(&site, &token, path, header::ACCEPT_ENCODING, "br").await;
        assert_eq!(packed.header("x-list-signature"), list.header("x-list-signature"), "of the unpacked list");
    }
    assert_eq!(site.get("/servers.sig").await.status, StatusCode::UNAUTHORIZED);

    let unsigned = self::site().await;
    unsigned.get("/servers.pub").await.is_problem(404, "The list is not signed");
    unsigned.get_as(&unsigned.token("viewer").await, "/servers.sig").await.is_problem(404, "The list is not signed");
}
