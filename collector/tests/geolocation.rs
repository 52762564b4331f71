//! Servers are located by their addresses, from databases on disk; labels and edits by hand go before.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use mect_testkit::mmdb::{self, Database};
use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::eventually;

const V4: &str = "127.0.0.81";
const LABELLED: &str = "127.0.0.82";
const V6: &str = "2001:db8::81";
const UNROUTABLE: &str = "127.0.0.83";

/// Nobody need answer at these addresses: where they are is known all the same.
fn config() -> String {
    format!(
        "[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n\
         [geolocation]\ndatabases = [\"missing.mmdb\", \"city.mmdb\"]\n\
         [[targets]]\naddress = \"{V4}:1\"\n\
         [[targets]]\naddress = \"{LABELLED}:1\"\ncountry_code = \"SE\"\n\
         [[targets]]\naddress = \"[{V6}]:1\"\n\
         [[targets]]\naddress = \"{UNROUTABLE}:1\"\n"
    )
}

fn database(city: &str) -> Vec<u8> {
    Database::new("GeoLite2-City", true)
        .with("127.0.0.80/31", &mmdb::city("DE", "Germany", "Hesse", city, (50.11, 8.68)))
        .with("127.0.0.82/32", &mmdb::city("DE", "Germany", "Hesse", city, (50.11, 8.68)))
        .with("2001:db8::/32", &mmdb::city("FI", "Finland", "Uusimaa", "Helsinki", (60.17, 24.94)))
        .bytes()
}

#[track_caller]
fn server_when(collector: &Collector, what: &str, ip: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v1/servers?text={ip}");
    eventually(what, || {
        let page = collector.get(&path).json();
        page["items"].get(0).filter(|server| is_so(server)).cloned()
    })
}

#[test]
fn a_server_stands_where_hand_labels_or_a_database_say() {
    let home = Home::new(&config());
    let file = home.path().join("city.mmdb");
    std::fs::write(&file, database("Frankfurt am Main")).unwrap();
    let collector = home.start();
    let located = server_when(&collector, "an IPv4 address to be located", V4, |server| server["city"] != "");
    assert_eq!((&located["country_code"], &located["country"]), (&json!("DE"), &json!("Germany")));
    assert_eq!(located["coordinates"], json!({"lat": 50.11, "lon": 8.68}));
    assert_eq!(located["origins"]["city"], "database");
    server_when(&collector, "an IPv6 address to be located", V6, |server| server["city"] == "Helsinki");
    let labelled = server_when(&collector, "a labelled server", LABELLED, |_| true);
    assert_eq!((&labelled["country"], &labelled["city"]), (&json!("Sweden"), &json!("")), "another country's city");
    assert_eq!(labelled["origins"]["country"], "labels");
    let nowhere = server_when(&collector, "an address that no database knows", UNROUTABLE, |_| true);
    assert_eq!((&nowhere["country"], &nowhere["coordinates"]), (&json!(""), &json!(null)));

    let about = collector.get("/about").body;
    assert!(about.contains("missing.mmdb cannot be read") && about.contains("GeoLite2-City, made"), "{about}");

    let path = format!("/api/v1/servers/{}", located["id"].as_str().unwrap());
    let edited = collector.patch(&path, &json!({"city": "Offenbach"})).json();
    assert_eq!((&edited["city"], &edited["origins"]["city"]), (&json!("Offenbach"), &json!("hand")));

    // Another week, another database: the edit stays, and what it is taken back to is new.
    std::fs::write(&file, database("Wiesbaden")).unwrap();
    eventually("the database to be read again", || {
        (home.log().matches("geolocation database read").count() == 2).then_some(())
    });
    assert_eq!(server_when(&collector, "the edited one", V4, |_| true)["city"], "Offenbach");
    eventually("the new place behind the edit", || {
        let server = collector.patch(&path, &json!({"city": null})).json();
        (server["city"] == "Wiesbaden").then_some(())
    });

    // A bad download is told and changes nothing, also at the next start.
    std::fs::write(&file, "<html>404</html>").unwrap();
    eventually("the damage to be told", || home.log().contains("is damaged, or no MaxMind database").then_some(()));
    assert!(home.log().contains("missing.mmdb"), "the missing one was told too");
    collector.stop();
    let collector = home.start();
    let kept = server_when(&collector, "the located one after a restart", V4, |_| true);
    assert_eq!((&kept["city"], &kept["origins"]["city"]), (&json!("Wiesbaden"), &json!("database")));
}
