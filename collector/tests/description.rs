//! The description of REST holds what it says: its examples run, and a fuzzer that knows nothing else finds no answer
//! that it does not name.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::collector::{Collector, Home, PASSWORD};
use support::{Program, exporter, free_port, http};

/// A collector with one server that answers.
struct World {
    home: Home,
    collector: Collector,
    server: Value,
    _exporter: Program,
}

const AGENT_KEY: &str = "a-key-that-only-this-test-knows";

fn world(host: u8) -> World {
    let ip = Ipv4Addr::new(127, 0, 0, host);
    let port = free_port(ip);
    let exporter = exporter(ip, port, |_| {});
    let config =
        "[web]\nlegacy_push = true\nenrolment = \"open\"\n[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n";
    let mut home = Home::new(&format!("{config}[[targets]]\naddress = \"{ip}:{port}\"\n"));
    home.set("AGENT_API_KEY", AGENT_KEY);
    let collector = home.start();
    let server = collector.server_when("an active server", &ip.to_string(), |server| server["status"] == "active");
    World { home, collector, server, _exporter: exporter }
}

/// Method, path and operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        })
        .collect()
}

/// Reads first, then changes; what ends the sign-in of who asks comes last.
fn order((method, path, _): &(String, String, Value)) -> (bool, usize) {
    let ends = ["password", "logout", "sign-out", "totp"].iter().any(|word| path.contains(word));
    (ends, ["GET", "PUT", "PATCH", "POST", "DELETE"].iter().position(|known| known == method).unwrap())
}

/// A fresh token of the admin, whichever of the two passwords of the examples it has.
fn token(url: &str) -> String {
    for password in [PASSWORD, "another fine phrase"] {
        let answer = http::post_form(&format!("{url}/token"), &[("username", "admin"), ("password", password)], &[]);
        let answer = answer.unwrap();
        if answer.status == 200 {
            return answer.json()["access_token"].as_str().unwrap().to_owned();
        }
    }
    panic!("the admin cannot sign in any more");
}

#[test]
fn every_example_runs() {
    let World { home, collector, server, _exporter } = world(71);
    let document = collector.get("/openapi.json").json();
    let mut operations = operations(&document);
    operations.sort_by_key(order);
    // Where curl looks for settings: it tells the status.
    std::fs::write(home.path().join(".curlrc"), "write-out = \"%{stderr}%{http_code}\"\n").unwrap();
    std::fs::write(home.path().join("agent.key"), format!("X-API-Key: {AGENT_KEY}")).unwrap();
    let mut failed = Vec::new();
    for (method, path, operation) in &operations {
        let bearer = format!("Bearer {}", token(&collector.url));
        std::fs::write(home.path().join("mect.token"), format!("Authorization: {bearer}")).unwrap();
        let id =
            furnish(&collector.url, &bearer, method, path).or_else(|| Some(server["server_id"].as_str()?.to_owned()));
        let source = operation["x-codeSamples"][0]["source"].as_str().expect("an example");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", source])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("URL", &collector.url)
            .env("IP", server["ip"].as_str().unwrap())
            .env("ID", id.unwrap())
            .env("USERNAME", "viewer")
            .env("NAME", "backup")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let status: String = said.chars().skip(said.chars().count().saturating_sub(3)).collect();
        // An answer without an end is cut by the example itself.
        let is_endless = operation["x-endless"] == true;
        assert!(output.status.success() || is_endless, "{method} {path}: {said}\n{source}");
        assert!(operation["responses"].get(&status).is_some(), "{method} {path}: {status} is not described\n{source}");
        let body = String::from_utf8_lossy(&output.stdout);
        if !status.starts_with('2') && !is_excused(method, path) {
            failed.push(format!("{method} {path}: {status} {body}\n{source}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Makes what the example of a route is about, if it is not there: a user `viewer`, a token `backup`; and takes
/// away what it makes: a user `zoe`, a token `grafana`. Of
/// a route that deletes a server, gives one that may be deleted.
fn furnish(url: &str, bearer: &str, method: &str, path: &str) -> Option<String> {
    let headers = [("authorization", bearer)];
    let post = |path: &str, body: &Value| http::post_json(&format!("{url}{path}"), body, &headers).unwrap();
    post("/api/v1/users", &json!({"username": "viewer", "password": "seven purple lanterns", "role": "readonly"}));
    post("/api/v1/tokens", &json!({"name": "backup", "scopes": ["read:fleet"]}));
    if method == "POST" && path.ends_with("users") {
        http::delete(&format!("{url}/users/zoe"), &headers);
    }
    if method == "POST" && path == "/api/v1/tokens" {
        http::delete(&format!("{url}/api/v1/tokens/grafana"), &headers);
    }
    (method == "DELETE" && path == "/api/v1/servers/{id}").then(|| {
        let made = post("/api/v1/servers", &json!({"target": {"address": "192.0.2.77:9776"}, "hostname": "gone"}));
        assert!(matches!(made.status, 200 | 201), "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    })
}

/// Examples that cannot work in a small world: of what is off here, or of things that do not exist.
fn is_excused(method: &str, path: &str) -> bool {
    matches!(
        (method, path),
        // The list is not signed.
        ("GET", "/servers.sig" | "/servers.pub")
            // These need what only the answer to another call tells.
            | ("POST", "/api/v1/refresh" | "/api/v1/totp/confirm" | "/api/v1/totp/remove")
            // No server has the id of the example.
            | ("GET", "/probe")
            // Nobody but the user makes his tokens.
            | ("DELETE", "/api/v1/users/{username}/tokens/{name}")
    )
}

/// Where `.ci/install` puts it.
fn schemathesis() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/parts/schemathesis/bin/schemathesis");
    assert!(place.exists(), "{} is missing; install it: .ci/install", place.display());
    place
}

/// What the fuzzer looks for: faults of ours, and answers that the description does not name.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      ignored_auth";
/// Inputs that are drawn for each operation, beside those that its description suggests: a minute for fifty operations.
const EXAMPLES: &str = "15";
/// Far more than that, for a machine that is busy with other tests.
const FUZZING_WITHIN: Duration = Duration::from_secs(600);
/// Ends the sign-in by which all the others are called: comes last.
const LOGOUT: &str = "/api/v1/logout";
/// The same inputs each time.
const SEED: &str = "20261124";

#[test]
fn a_fuzzer_finds_no_fault_and_no_answer_that_is_not_described() {
    let World { home, collector, server: _, _exporter } = world(72);
    // The examples know the usual password: with another one they cannot change it.
    let change = json!({"current_password": PASSWORD, "new_password": "a phrase that no example knows"});
    let bearer = collector.bearer();
    let changed =
        http::post_json(&format!("{}/users/change-password", collector.url), &change, &[("authorization", &bearer)]);
    assert_eq!(changed.unwrap().status, 200);
    let form = [("username", "admin"), ("password", "a phrase that no example knows")];
    let signed_in = http::post_form(&format!("{}/token", collector.url), &form, &[]).unwrap().json();
    let bearer = format!("Bearer {}", signed_in["access_token"].as_str().unwrap());

    let get = |path: &str| {
        let answer = http::get(&format!("{}{path}", collector.url), &[("authorization", &bearer)]);
        answer.unwrap_or_else(|| panic!("no answer to GET {path}"))
    };
    let document = get("/openapi.json").json();
    let path = home.path().join("openapi.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let operations = operations(&document);
    let mut called = Vec::new();
    for (method, path, operation) in &operations {
        let name = operation["operationId"].as_str().unwrap();
        if operation["x-endless"] == true {
            println!("not called: {method} {path}, which does not end");
        } else if path != LOGOUT {
            called.push(name);
        }
    }
    let fuzz = |name: &str, called: &[&str]| fuzz(&home, &collector.url, &bearer, &path, name, called);
    fuzz("all", &called);
    // Had something ended the sign-in, all the rest would have been refused, and nothing been tried.
    assert_eq!(get("/users/me").status, 200, "the fuzzer signed itself out");
    let last: Vec<_> = operations.iter().filter(|(_, path, _)| path == LOGOUT).collect();
    let last: Vec<_> = last.iter().filter_map(|(.., operation)| operation["operationId"].as_str()).collect();
    if !last.is_empty() {
        fuzz("logout", &last);
    }
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

/// The fuzzer learns names from answers, and would lock itself out by the name of its own account.
const HOOKS: &str = r#"
import schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    names = case.path_parameters or {}
    if names.get("username") == "admin":
        names["username"] = "somebody"
"#;

/// Calls these operations, and fails with what was found.
fn fuzz(home: &Home, url: &str, bearer: &str, description: &Path, name: &str, called: &[&str]) {
    let mut command = Command::new(schemathesis());
    command
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("PYTHONPATH", home.path())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .args(["run", &description.to_string_lossy(), "--url", url])
        .args(["--header", &format!("Authorization: {bearer}")])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--seed", SEED, "--workers", "1", "--continue-on-failure", "--no-color", "--warnings", "off"])
        .args(["--request-timeout", "30", "--suppress-health-check", "all"]);
    for operation in called {
        command.args(["--include-operation-id", operation]);
    }
    std::fs::write(home.path().join("hooks.py"), HOOKS).unwrap();
    let log = home.path().join(format!("schemathesis-{name}.log"));
    let output = std::fs::File::create(&log).unwrap();
    command.stdout(output.try_clone().unwrap()).stderr(output);
    let started = Instant::now();
    let mut fuzzer = Program::start("schemathesis", ".ci/install", &mut command);
    let status = loop {
        if let Some(status) = fuzzer.child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < FUZZING_WITHIN, "the fuzzer does not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{said}");
    println!("{said}");
}
