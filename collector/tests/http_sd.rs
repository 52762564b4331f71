//! Lists of targets by HTTP, from servers of several makes: the collector follows them, and whatever goes wrong there
//! leaves the fleet as it was.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use serde_json::json;
use support::collector::{Collector, Home};
use support::list_server::{ListServer, Reply};
use support::page_server::PageServer;
use support::pki::Authority;
use support::{Program, eventually};

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 102, last)
}

/// A target with a good page.
fn page_server(last: u8) -> PageServer {
    PageServer::start(address(last))
}

/// A server that nobody scrapes is pending.
fn is_scraped(collector: &Collector, ip: Ipv4Addr) -> bool {
    let server = collector.all_servers().into_iter().find(|server| server["ip"] == ip.to_string());
    server.is_some_and(|server| server["health"] != "pending")
}

/// Python's web server, which nobody here wrote, with the files of a directory; its URL.
fn file_server(directory: &std::path::Path) -> (Program, String) {
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = Program::start("python3", "apt-get install python3", &mut command);
    let mut output = std::io::BufReader::new(program.child.stdout.take().unwrap());
    let (rest, _) = support::read_until(&mut output, "Serving HTTP on 127.0.0.1 port ");
    let port = rest.split(' ').next().unwrap().to_owned();
    (program, format!("http://127.0.0.1:{port}"))
}

#[test]
fn a_list_adds_and_removes_targets_and_leaves_the_others_alone() {
    let (kept, gone, new) = (page_server(1), page_server(2), page_server(3));
    let site = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        // As a whole: the server must not read half of it.
        std::fs::write(site.path().join("draft"), text).unwrap();
        std::fs::rename(site.path().join("draft"), site.path().join(file)).unwrap();
    };
    let groups = |servers: &[&PageServer]| {
        let targets: Vec<_> = servers.iter().map(|server| server.authority()).collect();
        json!([{"targets": targets, "labels": {"country_code": "de", "paid": "true"}}]).to_string()
    };
    write("targets.json", &groups(&[&kept, &gone]));
    let (_files, url) = file_server(site.path());
    // Long enough that a busy machine loses no connection.
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 5\n[[http_sd]]\nurl = \"{url}/targets.json\"\nrefresh_seconds = 0.5\n"
    ));
    let collector = home.start();
    for server in [&kept, &gone] {
        let found = collector.server_when("a listed server", &server.ip(), |found| found["health"] == "active");
        assert_eq!((&found["countryCode"], &found["paid"]), (&"DE".into(), &true.into()));
    }
    write("targets.json", &groups(&[&kept, &new]));
    collector.server_when("the new one", &new.ip(), |server| server["health"] == "active");
    eventually("the removed one to be left alone", || (!is_scraped(&collector, gone.address())).then_some(()));

    // A second loop would need a connection of its own, and a new loop too.
    let before = kept.requests();
    eventually("the kept one to be scraped on", || (kept.requests() > before + 1).then_some(()));
    assert_eq!(kept.connections(), 1, "it goes on over its one connection");

    // Python gives other files another type, and what is not there 404.
    std::fs::remove_file(site.path().join("targets.json")).unwrap();
    let about = || collector.get("/about").body;
    let told =
        eventually("the problem to be told", || Some(about()).filter(|page| page.contains("Target list not used")));
    assert!(told.contains("/targets.json: unexpected answer (HTTP 404)"), "{told}");
    assert!(collector.get("/targets").body.contains("A target list cannot be used"));
    let failures = || metric(&collector, "mect_discovery_failures_total{source=\"http_sd\"}");
    let counted = failures();
    eventually("each bad answer to be counted", || (failures() > counted).then_some(()));
    let before = kept.requests();
    eventually("the kept one to be scraped on", || (kept.requests() > before).then_some(()));
    write("targets.json", "[]");
    eventually("it to be good again", || (!about().contains("Target list not used")).then_some(()));
    eventually("nothing to be scraped any more", || {
        (![&kept, &new].iter().any(|server| is_scraped(&collector, server.address()))).then_some(())
    });
}

fn metric(collector: &Collector, name: &str) -> f64 {
    let page = collector.get("/metrics").body;
    let value = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {page}"));
    value.trim().parse().unwrap()
}

#[test]
fn a_start_goes_on_without_a_list_and_later_with_its_copy() {
    let (listed, fixed) = (page_server(11), page_server(12));
    let list = ListServer::start_at(0, None);
    list.reply(Reply { status: 503, ..Reply::text("") });
    let port = list.port();
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 1\n[[targets]]\naddress = \"{}\"\n\
         [[http_sd]]\nurl = \"http://127.0.0.1:{port}/x?token=of-the-query\"\nrefresh_seconds = 0.5\n",
        fixed.authority()
    ));
    let first = home.start();
    first.server_when("the target of the configuration", &fixed.ip(), |server| server["health"] == "active");
    assert!(
        first.get("/about").body.contains("Target list not used: http://127.0.0.1"),
        "{}",
        first.get("/about").body
    );
    assert!(home.log().contains("going on without its targets"), "{}", home.log());

    // It comes back by itself.
    list.reply(Reply::json(&json!([{"targets": [listed.authority()]}])));
    first.server_when("the listed one", &listed.ip(), |server| server["health"] == "active");
    drop(list);
    first.stop();

    let again = home.start();
    let before = listed.requests();
    eventually("the target of the copy to be scraped", || (listed.requests() > before).then_some(()));
    again.server_when("it to stay", &listed.ip(), |server| server["health"] == "active");
    assert!(again.get("/about").body.contains("connection refused"), "{}", again.get("/about").body);
    assert!(
        !home.log().contains("of-the-query") && !again.get("/about").body.contains("of-the-query"),
        "a query may be a secret"
    );
}

/// The network takes what is sent and says nothing: the start waits for a while, and only for a while.
#[test]
fn a_list_that_hangs_keeps_no_start_waiting() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let lists = format!("[[http_sd]]\nurl = \"{url}\"\nrefresh_seconds = 1\n").repeat(3);
    let home = Home::new(&lists);
    let collector = home.start();
    assert!(collector.get("/about").body.contains("in time (after 1 s)"), "{}", collector.get("/about").body);
}

#[test]
fn a_list_behind_tls_is_shown_the_credentials_of_its_access() {
    let target = page_server(21);
    let home = Home::new("");
    let dir = home.path();
    let pki = Authority(dir);
    pki.root("ca");
    pki.issue("cmdb", "ca", "DNS:cmdb.internal", 30);
    std::fs::write(dir.join("token"), "the-token-of-the-list\n").unwrap();
    let list = ListServer::start_at(0, Some((&dir.join("cmdb.pem"), &dir.join("cmdb.key"))));
    list.ask_for("Bearer the-token-of-the-list");
    list.reply(Reply::json(&json!([{"targets": [target.authority()]}])));
    home.configure(&format!(
        "[scrape]\ninterval_seconds = 1\n\
         [[access]]\nname = \"cmdb\"\nca = \"ca.pem\"\nserver_name = \"cmdb.internal\"\nbearer_file = \"token\"\n\
         [[http_sd]]\nurl = \"https://127.0.0.1:{0}/\"\nrefresh_seconds = 0.5\naccess = \"cmdb\"\n\
         [[http_sd]]\nurl = \"https://127.0.0.1:{0}/strange\"\nrefresh_seconds = 0.5\n",
        list.port()
    ));
    let collector = home.start();
    collector.server_when("the listed one", &target.ip(), |server| server["health"] == "active");
    let about = || collector.get("/about").body;
    assert!(
        about().contains("/strange: TLS handshake failed"),
        "nobody vouches for it without the access: {}",
        about()
    );

    // The files of an access are read again when they change.
    std::fs::write(dir.join("token"), "another\n").unwrap();
    eventually("the refusal to be told", || about().contains("our credentials are refused (HTTP 401)").then_some(()));
    assert!(is_scraped(&collector, target.address()), "the last good list stays in force");
    assert!(!home.log().contains("the-token-of-the-list"));

    let doctor = home.command("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("target lists") && said.contains("our credentials are refused"), "{said}");
    std::fs::write(dir.join("token"), "the-token-of-the-list\n").unwrap();
    let doctor = home.command("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains(&format!("https://127.0.0.1:{}/ names 1 targets", list.port())), "{said}");
}

/// Every kind of bad answer of a running list: the fleet stays as it was, and each is told.
#[test]
fn whatever_a_list_answers_the_last_good_one_stays() {
    let (target, elsewhere) = (page_server(31), page_server(32));
    let list = ListServer::start_at(0, None);
    let good = Reply::json(&json!([{"targets": [target.authority()]}]));
    let other = json!([{"targets": [elsewhere.authority()]}]).to_string();
    list.reply(good.clone());
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 5\n[[http_sd]]\nurl = \"http://127.0.0.1:{}/\"\nrefresh_seconds = 0.3\n",
        list.port()
    ));
    let collector = home.start();
    collector.server_when("the listed one", &target.ip(), |server| server["health"] == "active");
    let is_told = |part: &str| {
        eventually(part, || collector.get("/about").body.contains(part).then_some(()));
        assert!(is_scraped(&collector, target.address()), "{part}");
        assert_eq!((collector.all_servers().len(), elsewhere.connections()), (1, 0), "{part}");
    };
    list.reply(Reply { content_type: "text/html", ..Reply::text(&other) });
    is_told("does not say that it is application/json");
    list.reply(Reply { status: 500, ..Reply::text(&other) });
    is_told("unexpected answer (HTTP 500)");
    list.reply(Reply { status: 302, location: Some(format!("http://127.0.0.1:{}/", list.port())), ..Reply::text("") });
    is_told("redirects are not followed");
    list.reply(Reply::text(&other[..other.len() - 4]));
    is_told("no list of target groups");
    list.reply(Reply::json(&json!([{"targets": ["169.254.169.254:80"]}])));
    is_told("no exporter can be there");
    list.reply(good);
    eventually("it to be good again", || {
        (!collector.get("/about").body.contains("Target list not used")).then_some(())
    });
}

#[test]
fn the_first_source_of_a_server_names_its_main_endpoint() {
    let list = ListServer::start_at(0, None);
    // Each source says another port: the configuration 1, the file 2, the lists 3 and 4, an operator 5. Each names what the
    // one before names, and one server more.
    let group = |port: u16, hosts: std::ops::RangeInclusive<u8>| {
        let targets: Vec<_> = hosts.map(|last| format!("{}:{port}", address(last))).collect();
        json!([{"targets": targets}])
    };
    list.reply(Reply::json(&group(3, 42..=44)));
    let second = ListServer::start_at(0, None);
    second.reply(Reply::json(&group(4, 41..=44)));
    let home = Home::new("");
    std::fs::write(home.path().join("targets.json"), group(2, 43..=44).to_string()).unwrap();
    let collector = home.start();
    for last in 40..=44 {
        let new = json!({"target": {"address": format!("{}:5", address(last))}});
        assert_eq!(collector.post("/api/v1/servers", &new).status, 201);
    }
    collector.stop();
    home.configure(&format!(
        "[scrape]\ninterval_seconds = 60\n[[targets]]\naddress = \"{}:1\"\n\
         [[file_sd]]\nfiles = [\"targets.json\"]\n\
         [[http_sd]]\nurl = \"http://127.0.0.1:{}\"\n[[http_sd]]\nurl = \"http://127.0.0.1:{}\"\n",
        address(44),
        list.port(),
        second.port()
    ));
    let collector = home.start();
    let targets = collector.get("/api/v1/targets").json();
    let active: Vec<_> = texts(&targets["data"]["activeTargets"], "scrapeUrl");
    let url = |(last, port)| format!("http://{}:{port}/metrics", address(last));
    // Of each server the main endpoint comes first; what an operator added counts only where nobody else names the server.
    for (last, ports) in [(40, &[5][..]), (41, &[4]), (42, &[3, 4]), (43, &[2, 3, 4]), (44, &[1, 2, 3, 4])] {
        let expected: Vec<_> = ports.iter().map(|port| url((last, *port))).collect();
        let of_host = format!("http://{}:", address(last));
        let found: Vec<_> = active.iter().filter(|url| url.starts_with(&of_host)).cloned().collect();
        assert_eq!(found, expected);
    }
}

/// That field of every item.
fn texts<T: FromIterator<String>>(items: &serde_json::Value, field: &str) -> T {
    items.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_mistake_in_the_configuration_is_named_and_no_list_is_asked_for() {
    let list = ListServer::start_at(0, None);
    let home = Home::new("");
    for (says, told) in [
        (
            "url = \"cmdb.example.net\"",
            ":2: key `http_sd.url`: `cmdb.example.net`: give a URL that begins with http://",
        ),
        ("url = \"http://u:p@cmdb\"", "must not contain credentials"),
        ("url = \"http://cmdb\"\nrefresh_seconds = 0", ":3: key `http_sd.refresh_seconds`"),
        ("url = \"http://cmdb\"\naccess = \"x\"", ":3: key `http_sd.access`: no [[access]] has the name `x`"),
        ("uri = \"http://cmdb\"", "did you mean `url`?"),
    ] {
        home.configure(&format!("[[http_sd]]\n{says}\n"));
        let output = home.command("check-config").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(told), "{says}: {said}");
    }
    home.configure(&format!("[[http_sd]]\nurl = \"http://127.0.0.1:{}/\"\n", list.port()));
    let output = home.command("check-config").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("0 targets, and those of [[http_sd]] (1)"), "{said}");
    assert_eq!(list.requests(), 0);
}
