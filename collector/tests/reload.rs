//! Configuration read again while the collector runs, and its targets for a Prometheus that reads files.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::list_server::{ListServer, Reply};
use support::{eventually, http, signal};

/// A configuration with targets at which nobody listens.
fn config(targets: &[&str], more: &str) -> String {
    let targets = targets.iter().map(|address| format!("[[targets]]\naddress = \"{address}\"\n"));
    format!("{}{more}", targets.collect::<String>())
}

fn addresses(collector: &Collector) -> Vec<String> {
    let answer = collector.get("/api/v1/targets").json();
    let targets = answer["data"]["activeTargets"].as_array().unwrap().clone();
    let mut urls: Vec<_> = targets.iter().map(|target| target["scrapeUrl"].as_str().unwrap().to_owned()).collect();
    urls.sort_unstable();
    urls
}

const ONE: &str = "127.0.0.81:9";
const TWO: &str = "127.0.0.82:9";
const THREE: &str = "127.0.0.83:9";

fn url(address: &str) -> String {
    format!("http://{address}/metrics")
}

#[test]
fn what_can_change_does_and_the_rest_is_named() {
    let home = Home::new(&config(&[ONE], ""));
    let collector = home.start();
    eventually("the first target", || (addresses(&collector) == [url(ONE)]).then_some(()));

    home.configure(&config(&[ONE, TWO], "[health]\nfall = 5\n"));
    let reload = || collector.post("/-/reload", &Value::Null);
    let answer = reload();
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({"targets": 2, "taken": ["targets"], "needs_restart": ["health.fall"], "problems": []});
    assert_eq!(answer.json(), expected);
    assert_eq!(addresses(&collector), [url(ONE), url(TWO)]);
    // What was taken is in force; what needs a restart is named again.
    assert_eq!(reload().json()["taken"], json!([]));
    assert_eq!(reload().json()["needs_restart"], json!(["health.fall"]));

    home.configure("[scrape]\nintervall_seconds = 1\n");
    let refused = reload();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body.contains("collector.toml:2: unknown key `intervall_seconds`"), "{refused:?}");
    assert_eq!(addresses(&collector), [url(ONE), url(TWO)]);

    let files = config(&[], "[[file_sd]]\nfiles = [\"t.yml\", \"missing.yml\"]\n");
    std::fs::write(home.path().join("t.yml"), format!("- targets: ['{THREE}']\n")).unwrap();
    home.configure(&files);
    signal(collector.program.child.id(), "HUP");
    eventually("the target of the file", || (addresses(&collector) == [url(THREE)]).then_some(()));
    let problems = reload().json()["problems"].clone();
    assert!(problems[0].as_str().unwrap().contains("missing.yml: cannot be read"), "{problems}");

    home.configure(&config(&[ONE], "[[access]]\nname = \"paris\"\nbearer_file = \"token\"\n"));
    let refused = reload();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        refused.body.contains("[[access]] `paris`") && refused.body.contains("token: cannot be read"),
        "{refused:?}"
    );
    assert_eq!(addresses(&collector), [url(THREE)]);
    std::fs::write(home.path().join("token"), "secret\n").unwrap();
    assert_eq!(reload().json()["taken"], json!(["access", "file_sd", "targets"]));
    assert_eq!(addresses(&collector), [url(ONE)]);

    // Its access goes, and a private address was allowed only by another setting than the one in force.
    std::fs::write(home.path().join("t.yml"), format!("- targets: ['{THREE}']\n  labels: {{access: paris}}\n"))
        .unwrap();
    let more = "[[file_sd]]\nfiles = [\"t.yml\"]\n";
    home.configure(&config(
        &[ONE, "172.16.0.1:9"],
        &format!("{more}[scrape]\ninside_networks = [\"127.0.0.0/8\", \"172.16.0.0/12\"]\n"),
    ));
    let answer = reload().json();
    assert_eq!(answer["needs_restart"], json!(["scrape.inside_networks"]));
    let problem = answer["problems"][0].as_str().unwrap();
    assert!(problem.contains("172.16.0.1:9") && problem.contains("need a restart"), "{problem}");
    assert_eq!(addresses(&collector), [url(ONE)]);
    let dropped = collector.get("/api/v1/targets").json()["data"]["droppedTargets"].to_string();
    assert!(dropped.contains(THREE) && dropped.contains("no [[access]] has the name `paris`"), "{dropped}");
    collector.stop();
}

/// Exporters and those who announce themselves show one key: all of them get another one without a restart.
#[test]
fn the_agents_key_is_read_again() {
    let mut home = Home::new(&config(&[], "[web]\nenrolment = \"open\"\n"));
    let file = home.path().join("agent-key");
    std::fs::write(&file, "the-old-key\n").unwrap();
    home.set("AGENT_API_KEY_FILE", file.to_str().unwrap());
    let collector = home.start();
    let announce = |key: &str| {
        let url = format!("{}/api/v1/enrol", collector.url);
        http::post_json(&url, &json!({"port": 9776}), &[("x-api-key", key)]).unwrap().status
    };
    assert_eq!(announce("the-new-key"), 401);
    assert_ne!(announce("the-old-key"), 401);
    std::fs::write(&file, "the-new-key\n").unwrap();
    assert_eq!(collector.post("/-/reload", &Value::Null).status, 200);
    assert_eq!(announce("the-old-key"), 401);
    assert_ne!(announce("the-new-key"), 401);
    collector.stop();
}

#[test]
fn lists_come_and_go_with_a_reload() {
    let says = |list: &ListServer, address: &str| list.reply(Reply::json(&json!([{"targets": [address]}])));
    let (first, second) = (ListServer::start_at(0, None), ListServer::start_at(0, None));
    says(&first, ONE);
    says(&second, TWO);
    let lists = |lists: &[&ListServer]| {
        let list = |list: &&ListServer| {
            format!("[[http_sd]]\nurl = \"http://127.0.0.1:{}/\"\nrefresh_seconds = 3600\n", list.port())
        };
        lists.iter().map(list).collect::<String>()
    };
    let home = Home::new(&lists(&[&first]));
    let collector = home.start();
    eventually("the target of the list", || (addresses(&collector) == [url(ONE)]).then_some(()));

    home.configure(&lists(&[&second, &first]));
    assert_eq!(collector.post("/-/reload", &Value::Null).json()["taken"], json!(["http_sd"]));
    eventually("the targets of both", || (addresses(&collector) == [url(ONE), url(TWO)]).then_some(()));
    says(&first, THREE);
    collector.post("/-/reload", &Value::Null);
    // Not asked for again within the hour otherwise.
    eventually("what the list says now", || (addresses(&collector) == [url(TWO), url(THREE)]).then_some(()));
    home.configure(&lists(&[&second]));
    collector.post("/-/reload", &Value::Null);
    assert_eq!(addresses(&collector), [url(TWO)]);
}

#[test]
fn targets_are_written_for_prometheus() {
    let home = Home::new(&config(&[ONE], ""));
    let output = home.path().join("out.json");
    let export = |arguments: &[&str]| home.command("export-targets").args(arguments).output().unwrap();
    let nobody = export(&[]);
    assert!(!nobody.status.success());
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("no collector answers in the data directory"), "{said}");

    let collector = home.start();
    eventually("the target", || (addresses(&collector) == [url(ONE)]).then_some(()));
    let file = export(&["--output", output.to_str().unwrap()]);
    assert!(file.status.success(), "{file:?}");
    let printed = export(&[]);
    assert_eq!(String::from_utf8_lossy(&printed.stdout), std::fs::read_to_string(&output).unwrap());
    let groups: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!((&groups[0]["targets"], &groups[0]["labels"]["__scheme__"]), (&json!([ONE]), &json!("http")));
}
