//! `/api/v1/servers`, as scripts use it.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::{Answer, Site, authorized, registration};
use http::{StatusCode, header};
use mect_fleet::store::story;
use mect_fleet::{Outcome, Timestamp};
use serde_json::{Value, json};

const SERVERS: &str = "/api/v1/servers";

struct Script {
    site: Site,
    token: String,
}

impl Script {
    async fn new() -> Self {
        let site = Site::new().await;
        let token = site.token("admin").await;
        Self { site, token }
    }

    async fn get(&self, path: &str) -> Answer {
        self.site.get_as(&self.token, path).await
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.site.json_as(&self.token, method, path, &body.to_string()).await
    }

    async fn create(&self, body: &Value) -> Answer {
        self.call("POST", SERVERS, body).await
    }

    async fn created(&self, body: &Value) -> Value {
        let answer = self.create(body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()
    }

    async fn hostnames(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("{SERVERS}?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        hostnames(&answer.json())
    }
}

fn hostnames(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|server| server["hostname"].as_str().unwrap().to_owned()).collect()
}

fn path(server: &Value) -> String {
    format!("{SERVERS}/{}", server["id"].as_str().unwrap())
}

fn new(n: u8) -> Value {
    json!({"target": {"address": format!("192.0.2.{n}:9776")}, "hostname": format!("host-{n}")})
}

#[tokio::test]
async fn a_server_is_created_shown_changed_and_deleted() {
    let script = Script::new().await;
    let mut body = new(1);
    body.as_object_mut().unwrap().extend(
        json!({
            "country_code": "de", "city": "Frankfurt am Main", "coordinates": {"lat": 50.11, "lon": 8.68},
            "paid": true, "static": true, "tags": ["eu", "10g"], "notes": "rack 7\nask Ada",
            "capacity_bytes_per_second": 125_000_000,
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let answer = script.create(&body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let server = answer.json();
    assert_eq!((answer.header(header::LOCATION), answer.header(header::ETAG)), (path(&server).as_str(), "\"1\""));
    assert_eq!(server["ip"], "192.0.2.1");
    assert_eq!(
        server["target"],
        json!({"address": "http://192.0.2.1:9776/metrics", "insecure_credentials": false, "access": null, "endpoints": []})
    );
    assert_eq!((&server["country_code"], &server["country"]), (&json!("DE"), &json!("Germany")));
    assert_eq!(server["origins"]["city"], "hand");
    assert_eq!(server["tags"], json!(["10g", "eu"]));
    assert_eq!(server["intent"], json!({"enabled": true, "draining": null, "maintenance": null}));
    assert_eq!((&server["health"], &server["monitored"]), (&json!("pending"), &json!(false)));
    assert_eq!(script.get(&path(&server)).await.json(), server);

    let change =
        json!({"hostname": null, "city": "Offenbach", "add_tags": ["new"], "remove_tags": ["eu"], "notes": ""});
    let changed = script.call("PATCH", &path(&server), &change).await;
    assert_eq!((changed.status, changed.header(header::ETAG)), (StatusCode::OK, "\"2\""), "{}", changed.text());
    let changed = changed.json();
    assert_eq!((&changed["hostname"], &changed["city"]), (&json!("192.0.2.1"), &json!("Offenbach")));
    assert_eq!((&changed["tags"], &changed["notes"]), (&json!(["10g", "new"]), &json!("")));
    assert_eq!(changed["country"], "Germany");

    let gone = script.call("DELETE", &path(&server), &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    script.get(&path(&server)).await.is_problem(404, "Server not found");
    script.call("DELETE", &path(&server), &json!({})).await.is_problem(404, "Server not found");
    script.call("PATCH", &path(&server), &json!({"notes": "x"})).await.is_problem(404, "Server not found");
}

#[tokio::test]
async fn the_same_creation_again_answers_the_same_server() {
    let script = Script::new().await;
    let first = script.created(&new(1)).await;
    let again = script.create(&new(1)).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, first.clone()));
    let mut other = new(1);
    other["hostname"] = json!("another");
    script.create(&other).await.is_problem(409, "a server with address 192.0.2.1 exists already");
    script.call("PATCH", &path(&first), &json!({"paid": true})).await;
    assert_eq!(script.create(&new(1)).await.status, StatusCode::CONFLICT, "it is another by now");
    assert_eq!(script.hostnames("").await, ["host-1"]);
}

#[tokio::test]
async fn an_address_belongs_to_one_server() {
    let script = Script::new().await;
    let (one, _) = (script.created(&new(1)).await, script.created(&new(2)).await);
    let taken = script.call("PATCH", &path(&one), &json!({"ip": "192.0.2.2"})).await;
    taken.is_problem(409, "a server with address 192.0.2.2 exists already");
    let moved = script.call("PATCH", &path(&one), &json!({"ip": "2001:DB8:0::1"})).await;
    assert_eq!(moved.json()["ip"], "2001:db8::1");
}

#[tokio::test]
async fn a_change_may_ask_that_nobody_was_faster() {
    let script = Script::new().await;
    let server = script.created(&new(1)).await;
    let send = |tag: &'static str, notes: &'static str| {
        let request = authorized("PATCH", &path(&server), &script.token)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, tag);
        script.site.send(request.body(Body::from(json!({"notes": notes}).to_string())).unwrap())
    };
    assert_eq!(send("\"1\"", "first").await.status, StatusCode::OK);
    send("\"1\"", "late").await.is_problem(412, "The server was changed meanwhile: it has revision 2, not 1");
    assert_eq!(send("*", "any").await.status, StatusCode::OK);
    for malformed in ["2", "W/\"3\"", "\"x\"", ""] {
        assert_eq!(send(malformed, "never").await.status, StatusCode::BAD_REQUEST, "{malformed}");
    }
    assert_eq!(script.get(&path(&server)).await.json()["notes"], "any");
}

#[tokio::test]
async fn intent_is_set_as_a_whole_and_never_touches_health() {
    let script = Script::new().await;
    let servers = script.site.register(vec![registration("192.0.2.1", "de1")]).await;
    script.site.scrape(&servers[0], Timestamp::now(), vec![story::heartbeat(1)]).await;
    let intent = format!("{SERVERS}/{}/intent", servers[0].id);
    let listed = || async { script.get("/servers").await.json().as_array().unwrap().len() };
    assert_eq!(listed().await, 1);

    let until = "2131-05-01T12:00:00Z";
    let drained = script.call("PUT", &intent, &json!({"enabled": true, "draining": {"until": until}})).await.json();
    assert_eq!(drained["intent"]["draining"]["until"], until, "{drained}");
    assert_eq!((&drained["health"], &drained["listed"]), (&json!("active"), &json!(false)));
    assert_eq!(listed().await, 0);
    let since = &drained["intent"]["draining"]["since"];
    let both = json!({"enabled": true, "draining": {}, "maintenance": {"until": until}});
    let both = script.call("PUT", &intent, &both).await.json();
    assert_eq!(both["intent"]["draining"], json!({"since": since, "until": null}), "it goes on");
    assert_eq!(script.hostnames("maintenance=true&draining=true&status=active").await, ["de1"]);
    let disabled = script.call("PUT", &intent, &json!({"enabled": false})).await.json();
    assert_eq!(disabled["intent"], json!({"enabled": false, "draining": null, "maintenance": null}));
    assert_eq!((listed().await, &disabled["health"]), (0, &json!("active")));
    let back = script.call("PUT", &intent, &json!({"enabled": true})).await.json();
    assert_eq!((listed().await, &back["listed"]), (1, &json!(true)));

    for (body, detail) in [
        (json!({"enabled": true, "draining": {"until": "2020-01-01T00:00:00Z"}}), "draining.until: lies in the past"),
        (
            json!({"enabled": true, "maintenance": {"until": "tomorrow"}}),
            "maintenance.until: not an instant: expected RFC 3339, for example 2026-11-24T03:17:19Z",
        ),
    ] {
        script.call("PUT", &intent, &body).await.is_problem(422, detail);
    }
    assert!(script.call("PUT", &intent, &json!({})).await.text().contains("missing field `enabled`"));
}

/// de1 active with 10 %, de2 degraded with 50 %, nl3 and nl4 never scraped.
async fn fleet() -> Script {
    let script = Script::new().await;
    let mut dutch = [registration("192.0.2.3", "nl3"), registration("192.0.2.4", "nl4")];
    for server in &mut dutch {
        (server.place.country_code, server.place.country) = ("NL".into(), "Netherlands".into());
        (server.place.region, server.place.city) = (String::new(), "Den Haag".into());
    }
    let [nl3, nl4] = dutch;
    let servers = vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2"), nl3, nl4];
    let servers = script.site.register(servers).await;
    let reading = |cpu, squid| {
        let Outcome::Up(mut reading) = story::heartbeat(1) else { unreachable!() };
        (reading.cpu, reading.ram, reading.net) = (Some(cpu), Some(0.0), None);
        let mut unit = reading.services[0].clone();
        (unit.service, unit.active) = (mect_fleet::Service::Squid, squid);
        reading.services = Box::new([reading.services[0].clone(), unit]);
        Outcome::Up(reading)
    };
    script.site.scrape(&servers[0], Timestamp::now(), vec![reading(0.1, true)]).await;
    script.site.scrape(&servers[1], Timestamp::now(), vec![reading(0.5, false)]).await;
    let tagged = format!("{SERVERS}/{}", servers[3].id);
    script.call("PATCH", &tagged, &json!({"tags": ["spare", "eu"], "notes": "Swap the DISK", "paid": true})).await;
    script
}

#[tokio::test]
async fn lists_are_filtered() {
    let script = fleet().await;
    for (query, expected) in [
        ("", vec!["de1", "de2", "nl3", "nl4"]),
        ("status=active,degraded", vec!["de1", "de2"]),
        ("status=pending", vec!["nl3", "nl4"]),
        ("country=de", vec!["de1", "de2"]),
        ("country=netherlands,FR", vec!["nl3", "nl4"]),
        ("city=den%20haag&paid=false", vec!["nl3"]),
        ("service=sq", vec!["de1"]),
        ("service=wg", vec!["de1", "de2"]),
        ("tag=eu,spare", vec!["nl4"]),
        ("tag=eu,other", vec![]),
        ("text=disk", vec!["nl4"]),
        ("text=192.0.2.2", vec!["de2"]),
        ("text=spa", vec!["nl4"]),
        ("static=true", vec![]),
        ("enabled=true&awaits_approval=false&pushed=false&draining=false", vec!["de1", "de2", "nl3", "nl4"]),
    ] {
        assert_eq!(script.hostnames(query).await, expected, "{query}");
    }
    for (query, part) in [
        ("status=sleeping", "status: `sleeping` is not allowed; give pending, active, degraded or down"),
        ("service=ssh", "service: `ssh` is not allowed"),
        ("paid=perhaps", "paid: `perhaps` is not allowed"),
        ("colour=red", "unknown parameter `colour`"),
        ("sort=age", "sort: `age` is not allowed"),
        ("limit=501", "limit: `501` is not allowed; give a whole number from 1 to 500"),
        ("cursor=zz", "cursor: not one of this list"),
        ("tag=%7B%22%24gt%22%3A%22%22%7D", "tag: `{\\\"$gt\\\":\\\"\\\"}` is not allowed"),
    ] {
        let answer = script.get(&format!("{SERVERS}?{query}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(part), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn lists_come_in_pages_of_any_order() {
    let script = fleet().await;
    for (sort, expected) in [
        ("hostname", ["de1", "de2", "nl3", "nl4"]),
        ("-hostname", ["nl4", "nl3", "de2", "de1"]),
        ("-load", ["de2", "de1", "nl", "nl"]),
        ("country", ["de", "de", "nl", "nl"]),
        ("-ip", ["nl4", "nl3", "de2", "de1"]),
        ("health", ["nl", "nl", "de1", "de2"]),
    ] {
        let (mut seen, mut query) = (Vec::new(), format!("sort={sort}&limit=1"));
        loop {
            let page = script.get(&format!("{SERVERS}?{query}")).await.json();
            assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
            seen.extend(hostnames(&page));
            let Some(next) = page["next"].as_str() else { break };
            query = format!("sort={sort}&limit=1&cursor={next}");
        }
        assert_eq!(seen.len(), 4, "{sort}: {seen:?}");
        assert!(seen.iter().zip(expected).all(|(seen, start)| seen.starts_with(start)), "{sort}: {seen:?}");
    }
    let page = script.get(&format!("{SERVERS}?limit=1")).await.json();
    let cursor = page["next"].as_str().unwrap();
    let other = script.get(&format!("{SERVERS}?sort=ip&cursor={cursor}")).await;
    other.is_problem(422, "cursor: from a list in another order; keep `sort` as it was");
}

#[tokio::test]
async fn many_are_changed_at_once_after_a_dry_run() {
    let script = fleet().await;
    let bulk = format!("{SERVERS}/bulk");
    let mut edit = json!({
        "filter": {"country": ["DE"]}, "change": {"add_tags": ["moving"], "gaming": true},
        "intent": {"enabled": true, "maintenance": {"until": "2131-05-01T12:00:00Z"}}, "dry_run": true,
    });
    let dry = script.call("POST", &bulk, &edit).await.json();
    assert_eq!((&dry["dry_run"], &dry["matched"], &dry["changed"]), (&json!(true), &json!(2), &json!(2)), "{dry}");
    assert_eq!(dry["ids"].as_array().unwrap().len(), 2);
    assert!(script.hostnames("tag=moving").await.is_empty(), "nothing was changed");
    edit["dry_run"] = json!(false);
    edit["expect"] = json!(3);
    script.call("POST", &bulk, &edit).await.is_problem(409, "2 servers match, not 3; nothing was changed");
    edit["expect"] = json!(2);
    let done = script.call("POST", &bulk, &edit).await.json();
    assert_eq!((&done["matched"], &done["changed"]), (&json!(2), &json!(2)), "{done}");
    assert_eq!(script.hostnames("tag=moving&gaming=true&maintenance=true").await, ["de1", "de2"]);

    for (body, status, detail) in [
        (json!({"filter": {}, "change": {"paid": true}}), 422, "filter: empty; to mean every server say \"all\": true"),
        (json!({"filter": {"paid": true}}), 400, "No fields to update"),
        (
            json!({"filter": {"paid": true}, "change": {"hostname": "x"}}),
            422,
            "change: ip, hostname and target belong to one server; change them one by one",
        ),
    ] {
        script.call("POST", &bulk, &body).await.is_problem(status, detail);
    }
    let all = script.call("POST", &bulk, &json!({"filter": {}, "all": true, "change": {"paid": true}})).await.json();
    assert_eq!((&all["matched"], &all["changed"]), (&json!(4), &json!(3)), "one was paid already");
}

#[tokio::test]
async fn a_configured_server_is_not_deleted() {
    let script = Script::new().await;
    let servers = script.site.register(vec![registration("192.0.2.1", "de1")]).await;
    let answer = script.call("DELETE", &format!("{SERVERS}/{}", servers[0].id), &json!({})).await;
    answer.is_problem(409, "A target in the configuration names this server; take it out there, then delete it");
}

/// What scripts, attackers and slips of the keyboard send: refused with what is wrong, and nothing is kept.
#[tokio::test]
async fn bad_bodies_are_refused_by_name_and_leave_nothing() {
    let script = Script::new().await;
    let server = script.created(&new(1)).await;
    let good = r#""target":{"address":"192.0.2.9:9776"}"#;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let many: Vec<String> = (0..33).map(|n| format!("\"t{n}\"")).collect();
    for (field, value, status) in [
        ("hostname", r#"{"$gt":""}"#, 422),
        ("hostname", r#""a\u0000b""#, 422),
        ("hostname", r#""a\u202eb""#, 422),
        ("hostname", "17", 422),
        ("city", &format!("\"{}\"", "x".repeat(101)), 422),
        ("country_code", r#""XX""#, 422),
        ("country_code", r#"["DE"]"#, 422),
        ("coordinates", r#"{"lat":91,"lon":0}"#, 422),
        ("coordinates", r#"{"lat":1}"#, 422),
        ("coordinates", r#""here""#, 422),
        ("paid", "1", 422),
        ("paid", r#""yes""#, 422),
        ("tags", r#"["Not A Tag"]"#, 422),
        ("tags", r#"{"$ne":null}"#, 422),
        ("tags", &format!("[{}]", many.join(",")), 422),
        ("notes", r#""a\u2066b""#, 422),
        ("capacity_bytes_per_second", "0", 422),
        ("capacity_bytes_per_second", "-1", 422),
        ("capacity_bytes_per_second", "1e400", 400),
        ("capacity_bytes_per_second", "18446744073709551615", 422),
        ("colour", r#""red""#, 422),
        ("ip", r#""not an address!""#, 422),
        ("notes", &deep, 422),
    ] {
        for (method, path, body) in [
            ("POST", SERVERS.to_owned(), format!(r#"{{{good},"{field}":{value}}}"#)),
            ("PATCH", path(&server), format!(r#"{{"{field}":{value}}}"#)),
        ] {
            let answer = script.site.json_as(&script.token, method, &path, &body).await;
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            let body = &body[..body.len().min(90)];
            // A number that JSON cannot hold is a fault of the text, not of the field.
            let fits = answer.status == status || (status == 422 && answer.status == 400);
            assert!(fits, "{method} {body}: {} {detail}", answer.status);
            assert!(detail.contains(field) || status == 400, "{method} {body}: {detail}");
            assert!(!detail.contains('\0') && !detail.contains('\u{202e}') && detail.len() < 400, "{detail}");
        }
    }
    for (address, part) in [
        ("192.0.2.9", "target.address: needs a port"),
        ("ftp://192.0.2.9:1", "target.address: only http://"),
        ("user:secret@192.0.2.9:1", "target.address: must not contain credentials"),
        ("169.254.169.254:80", "target.address: must be the address of one host"),
        ("[::ffff:169.254.169.254]:80", "target.address: must be the address of one host"),
        ("0.0.0.0:80", "target.address: must be the address of one host"),
        ("[ff02::1]:80", "target.address: must be the address of one host"),
        (
            "127.0.0.1:9776",
            "target.address: a loopback address is scraped only if `inside_networks` in [scrape] holds it",
        ),
        ("[::ffff:127.0.0.1]:9776", "target.address: a loopback address"),
        ("[::1]:9776", "target.address: a loopback address"),
    ] {
        let answer = script.create(&json!({"target": {"address": address}})).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(answer.status == 422 && detail.starts_with(part), "{address}: {detail}");
        assert!(!detail.contains("secret"));
    }
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"text\"",
        r#"{"target":1,"target":2}"#,
        r#"{"notes":"a","notes":"b"}"#,
        "{}{}",
        "\u{0}",
    ] {
        for (method, path) in [("POST", SERVERS.to_owned()), ("PATCH", path(&server))] {
            let answer = script.site.json_as(&script.token, method, &path, body).await;
            assert!(answer.status.is_client_error(), "{method} {body}: {}", answer.status);
        }
    }
    let huge = format!(r#"{{"notes":"{}"}}"#, "x".repeat(10_000_000));
    let huge = script.site.json_as(&script.token, "PATCH", &path(&server), &huge).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(script.hostnames("").await, ["host-1"]);
    assert_eq!(script.get(&path(&server)).await.json(), server, "nothing of it was kept");
    for id in ["srv-99999999", "nonsense", "srv-%00%00", "%E2%80%AE"] {
        script.get(&format!("{SERVERS}/{id}")).await.is_problem(404, "Server not found");
    }
    assert_eq!(script.get(&format!("{SERVERS}/%ff")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_may_only_look_changes_nothing() {
    let script = Script::new().await;
    let server = script.created(&new(1)).await;
    let viewer = script.site.token("viewer").await;
    for (method, path) in [
        ("POST", SERVERS.to_owned()),
        ("POST", format!("{SERVERS}/bulk")),
        ("PATCH", path(&server)),
        ("DELETE", path(&server)),
        ("PUT", format!("{}/intent", path(&server))),
    ] {
        let answer = script.site.json_as(&viewer, method, &path, "{}").await;
        answer.is_problem(403, "Not enough permissions");
    }
    assert_eq!(script.site.get_as(&viewer, SERVERS).await.status, StatusCode::OK);
    script.site.get(SERVERS).await.is_problem(401, "Not authenticated");
}
