//! Adding servers by the pages: one, a list, and those that announced themselves.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, registration};
use http::{StatusCode, header};
use mect_fleet::store::Registration;
use mect_fleet::{ScrapeTarget, Server};

const HOSTILE: &str = r#""><img src=x onerror=alert(1)>"#;

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn by_ip(site: &Site, ip: &str) -> Option<Server> {
    site.fleet.view().by_ip(ip).map(|view| (*view.server).clone())
}

fn waiting(ip: &str, hostname: &str) -> Registration {
    let endpoint = format!("{ip}:9776").parse().unwrap();
    let target = Some(ScrapeTarget::at(endpoint));
    Registration { target, awaits_approval: true, ..registration(ip, hostname) }
}

#[tokio::test]
async fn a_server_is_added_and_its_page_waits_for_the_first_scrape() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    let page = site.visit(&cookie, "/servers/add").await.text();
    assert!(page.contains("apt-get install ./mect-exporter") && page.contains("/etc/mect/exporter.env"));
    assert!(page.contains("never into a command’s arguments") && page.contains("openssl rand -hex 32"));
    assert!(page.contains("<a href=\"/servers/add\" aria-current=\"page\">"), "{page}");
    let form = "address=192.0.2.10:9776&hostname=de-fra-1&country_code=de&city=Frankfurt&tags=eu+fast";
    let answer = site.submit(&cookie, "/servers/add", form).await;
    let server = by_ip(&site, "192.0.2.10").unwrap();
    let target = format!("/servers/{}?done=added", server.id);
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, target.as_str()));
    assert_eq!(
        (server.hostname.as_str(), server.place.country.as_str(), server.tags.len()),
        ("de-fra-1", "Germany", 2)
    );
    assert!(!server.target.unwrap().insecure_credentials);
    let page = site.visit(&cookie, &target).await.text();
    assert!(page.contains("The server is added.") && page.contains("Waiting for the first scrape."), "{page}");

    // The very same once more is the same server; another one at its address is not.
    let answer = site.submit(&cookie, "/servers/add", form).await;
    assert!(answer.header(header::LOCATION).ends_with("?done=known"));
    let answer = site.submit(&cookie, "/servers/add", "address=192.0.2.10:9777&hostname=other").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let page = answer.text();
    assert!(page.contains("id=\"address-problem\"") && page.contains("value=\"other\""), "{page}");
}

#[tokio::test]
async fn mistakes_stand_beside_their_fields() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    for (form, field, problem) in [
        ("address=", "address", "needs host:port"),
        ("address=ftp://a:1", "address", "only http:// and https://"),
        ("address=169.254.169.254:80", "address", "must be the address of one host"),
        ("address=127.0.0.1:9776", "address", "a loopback address is scraped only if `inside_networks`"),
        ("address=a:1&country_code=XX", "country_code", "not a country"),
        ("address=a:1&tags=B%21", "tags", "not a tag"),
    ] {
        let answer = site.submit(&cookie, "/servers/add", form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        let page = answer.text();
        assert!(
            page.contains(&format!("<p id=\"{field}-problem\" class=\"field-problem\">{problem}")),
            "{form}: {page}"
        );
    }
    let form = format!("address=nonsense&hostname={}", escape(HOSTILE));
    let page = site.submit(&cookie, "/servers/add", &form).await.text();
    assert!(page.contains("&#34;&#62;&#60;img src=x") && !page.contains("<img src=x"));
    assert!(site.fleet.view().servers().is_empty());
}

#[tokio::test]
async fn a_list_says_what_would_happen_before_anything_does() {
    let site = Site::new().await;
    site.register(vec![registration("192.0.2.1", HOSTILE)]).await;
    let cookie = site.session("admin").await;
    let list = format!(
        "address,hostname,country_code,notes\r\n192.0.2.1:9776,again,DE,\r\n192.0.2.2:9776,new,DE,\"a, b\"\r\n\
         192.0.2.2:1,twice,,\r\nnonsense,\"{}\",,\r\n192.0.2.3:9776,,XX,\r\n192.0.2.4:9776,,,\r\n",
        HOSTILE.replace('"', "\"\"")
    );
    let form = format!("list={}", escape(&list));
    let preview = site.submit(&cookie, "/servers/import/preview", &form).await;
    assert_eq!(preview.status, StatusCode::OK);
    let page = preview.text();
    assert!(page.contains("<b>2</b> to be added, <b>1</b> known already, <b>3</b> refused"), "{page}");
    assert!(page.contains("the list names this address before") && page.contains("not a country of ISO 3166-1"));
    assert!(page.contains("needs a port") && page.contains("left as it is") && page.contains("line 5"));
    assert!(page.contains("Add 2 servers") && !page.contains("<img src=x"));
    assert_eq!(site.fleet.view().servers().len(), 1, "nothing is stored yet");

    let answer = site.submit(&cookie, "/servers/import", &form).await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/servers/add?done=imported"));
    assert!(site.visit(&cookie, "/servers/add?done=imported").await.text().contains("The list is added"));
    let names: Vec<_> = site.fleet.view().servers().iter().map(|view| view.server.ip.clone()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(by_ip(&site, "192.0.2.2").unwrap().notes, "a, b");
    assert_eq!(by_ip(&site, "192.0.2.1").unwrap().hostname, HOSTILE, "who was known stays as it was");
    let audit = site.store.journal.audit(None, 10).await.unwrap();
    assert_eq!(audit.iter().filter(|record| record.entry.action == "server.create").count(), 2);

    let page = site.submit(&cookie, "/servers/import/preview", &form).await.text();
    assert!(page.contains("<b>0</b> to be added, <b>3</b> known already") && !page.contains("Add 0"), "{page}");
}

#[tokio::test]
async fn a_list_of_prometheus_is_taken_and_one_that_is_none_stays_to_be_corrected() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    let json = r#"[{"targets": ["192.0.2.1:9776", "192.0.2.2:9776"], "labels": {"country_code": "DE", "job": "vpn"}}]"#;
    let answer = site.submit(&cookie, "/servers/import", &format!("list={}", escape(json))).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(by_ip(&site, "192.0.2.2").unwrap().place.country, "Germany");
    for path in ["/servers/import/preview", "/servers/import"] {
        let answer = site.submit(&cookie, path, "list=name%0A%3C%2Ftextarea%3E").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        let page = answer.text();
        assert!(page.contains("id=\"list-problem\"") && page.contains("name\n&#60;/textarea&#62;"), "{page}");
    }
    let huge = format!("list={}", "a".repeat(520 * 1024));
    assert_eq!(site.submit(&cookie, "/servers/import/preview", &huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn who_announced_itself_is_let_in_or_forgotten() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    let page = site.visit(&cookie, "/servers/waiting").await.text();
    assert!(page.contains("Nobody waits"));
    assert!(!site.visit(&cookie, "/").await.text().contains("/servers/waiting"));
    let new: Vec<_> = (1..=4).map(|n| waiting(&format!("192.0.2.{n}"), &format!("new-{n}"))).collect();
    let mut servers = site.register(new).await;
    servers.push(site.register(vec![registration("192.0.2.9", "old")]).await.remove(0));
    let ids: Vec<String> = servers.iter().map(|server| server.id.to_string()).collect();
    let page = site.visit(&cookie, "/servers/waiting").await.text();
    assert!(
        page.contains("new-1") && page.contains("http://192.0.2.4:9776/metrics") && !page.contains("old"),
        "{page}"
    );
    for path in ["/", "/servers/add"] {
        let page = site.visit(&cookie, path).await.text();
        assert!(page.contains("<a href=\"/servers/waiting\">4 servers await approval</a>"), "{path}: {page}");
    }

    let none = site.submit(&cookie, "/servers/waiting", "action=approve").await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(none.text().contains("Tick the servers"));
    assert_eq!(
        site.submit(&cookie, "/servers/waiting", "action=eat&id=x").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let form = format!("action=approve&id={}&id={}", ids[0], ids[1]);
    let answer = site.submit(&cookie, "/servers/waiting", &form).await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/servers/waiting"));
    // Of the rejected, those that wait go; who was let in or never waited stays.
    let form = format!("action=reject&id={}&id={}&id={}&id=srv-zzzzzzzz", ids[0], ids[2], ids[4]);
    assert_eq!(site.submit(&cookie, "/servers/waiting", &form).await.status, StatusCode::SEE_OTHER);
    let (view, awaits) =
        (site.fleet.view(), |n: usize| site.fleet.view().by_id(servers[n].id).map(|view| view.server.awaits_approval));
    assert_eq!(
        [awaits(0), awaits(1), awaits(2), awaits(3), awaits(4)],
        [Some(false), Some(false), None, Some(true), Some(false)]
    );
    assert_eq!(view.servers().len(), 4);
    let audit = site.store.journal.audit(None, 20).await.unwrap();
    let count = |action: &str| audit.iter().filter(|record| record.entry.action == action).count();
    assert_eq!((count("server.edit"), count("server.delete")), (2, 1));

    // On its own page there are the same buttons, which lead back there.
    let page = site.visit(&cookie, &format!("/servers/{}", ids[3])).await.text();
    assert!(page.contains("awaits approval") && page.contains("Let it in") && !page.contains("/intent"), "{page}");
    let answer = site.submit(&cookie, "/servers/waiting", &format!("action=approve&alone=true&id={}", ids[3])).await;
    assert_eq!(answer.header(header::LOCATION), format!("/servers/{}?done=approved", ids[3]));
}

#[tokio::test]
async fn who_may_only_look_adds_nothing() {
    let site = Site::new().await;
    let server = site.register(vec![waiting("192.0.2.1", "new")]).await.remove(0);
    let cookie = site.session("viewer").await;
    assert_eq!(site.visit(&cookie, "/servers/add").await.status, StatusCode::FORBIDDEN);
    let page = site.visit(&cookie, "/servers/waiting").await.text();
    assert!(page.contains("new") && !page.contains("checkbox") && !page.contains("Let in"), "{page}");
    assert!(!site.visit(&cookie, "/").await.text().contains("Add servers"));
    assert!(!site.visit(&cookie, &format!("/servers/{}", server.id)).await.text().contains("Let it in"));
    for (path, form) in [
        ("/servers/add", "address=192.0.2.2:9776".to_owned()),
        ("/servers/import", "list=address%0Aa:1".to_owned()),
        ("/servers/import/preview", "list=address%0Aa:1".to_owned()),
        ("/servers/waiting", format!("action=approve&id={}", server.id)),
    ] {
        assert_eq!(site.submit(&cookie, path, &form).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert!(by_ip(&site, "192.0.2.1").unwrap().awaits_approval && site.fleet.view().servers().len() == 1);
}
