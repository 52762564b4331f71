//! chromedriver, and as much of the WebDriver protocol (W3C) as the tests need.
//!
//! Spoken with the client that the tests have anyway: the crates for it bring a runtime and MPL code for what is one JSON
//! document per call.

use std::io::BufReader;
use std::process::{ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http;
use crate::support::{Program, read_until};

/// How the browser is started: as a stranger's, that asks nobody for anything by itself.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];
/// The name under which the protocol hands out an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser's window, with the driver that moves it.
pub(crate) struct Session {
    /// `http://127.0.0.1:PORT/session/ID`
    url: String,
    driver: Program,
    _output: BufReader<ChildStdout>,
    _profile: TempDir,
}

/// What the driver says when it cannot do a thing, for example `no such element`.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: String,
    pub(crate) message: String,
}

impl Refused {
    /// The page changed under the call, or is not there yet: worth another try.
    pub(crate) fn is_passing(&self) -> bool {
        let passing =
            ["no such element", "stale element reference", "element click intercepted", "element not interactable"];
        passing.contains(&&*self.error)
    }
}

/// An element of the page that is shown.
#[derive(Debug, Clone)]
pub(crate) struct Element(String);

impl Session {
    /// Starts Chromium with an empty profile.
    pub(crate) fn start(scripts: bool) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        // What the browser keeps beside its profile goes away with it.
        command.env("HOME", profile.path()).env("XDG_CONFIG_HOME", profile.path());
        let mut driver = Program::start("chromedriver", "apt-get install chromium chromium-driver", &mut command);
        let mut output = BufReader::new(driver.child.stdout.take().unwrap());
        let (port, _) = read_until(&mut output, "ChromeDriver was started successfully on port ");
        let arguments = ARGUMENTS.iter().map(|argument| (*argument).to_owned());
        let profile_argument = format!("--user-data-dir={}", profile.path().join("profile").display());
        let mut options = json!({ "args": arguments.chain([profile_argument]).collect::<Vec<_>>() });
        if !scripts {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let driver_url = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let answer = http::post_json(&format!("{driver_url}/session"), &body, &[]).unwrap();
        assert_eq!(answer.status, 200, "the browser does not start: {}", answer.body);
        let id = answer.json()["value"]["sessionId"].as_str().unwrap().to_owned();
        Self { url: format!("{driver_url}/session/{id}"), driver, _output: output, _profile: profile }
    }

    /// One command with a body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let answer = http::post_json(&format!("{}/{path}", self.url), body, &[]);
        value(&answer.unwrap_or_else(|| panic!("the driver does not answer to {path}")))
    }

    /// One command without a body.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Refused> {
        let answer = http::get(&format!("{}/{path}", self.url), &[]);
        value(&answer.unwrap_or_else(|| panic!("the driver does not answer to {path}")))
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).unwrap()
    }

    /// The entries of a log since it was last read.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("se/log", &json!({ "type": kind })).unwrap();
        entries.as_array().unwrap().clone()
    }

    /// The elements that match, in the order of the page.
    pub(crate) fn find(&self, css: &str) -> Vec<Element> {
        let found = self.post("elements", &json!({ "using": "css selector", "value": css })).unwrap();
        let name = |element: &Value| Element(element[ELEMENT].as_str().unwrap().to_owned());
        found.as_array().unwrap().iter().map(name).collect()
    }

    /// A property of an element, for example its `text` or `property/value`.
    pub(crate) fn of_element(&self, element: &Element, what: &str) -> Result<Value, Refused> {
        self.get(&format!("element/{}/{what}", element.0))
    }

    /// Does something to an element, for example `click`.
    pub(crate) fn to_element(&self, element: &Element, what: &str, body: &Value) -> Result<Value, Refused> {
        self.post(&format!("element/{}/{what}", element.0), body)
    }
}

impl Drop for Session {
    /// Ends the browser; the driver ends with its handle.
    fn drop(&mut self) {
        http::delete(&self.url, &[]);
        self.driver.kill();
    }
}

fn value(answer: &http::Answer) -> Result<Value, Refused> {
    let mut document = answer.json();
    let value = document["value"].take();
    if answer.status == 200 {
        return Ok(value);
    }
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Err(Refused { error: text("error"), message: text("message") })
}
