//! What a person does and sees in a browser.

use std::cell::RefCell;
use std::thread;

use serde_json::{Value, json};

use crate::support::collector::Collector;
use crate::support::eventually;
use crate::webdriver::{Element, Refused, Session};

/// Schemes of what a browser takes from itself: its own first page, and what a page brings along.
const WITHIN: [&str; 4] = ["chrome://", "chrome-untrusted://", "about:", "data:"];

/// A person's browser on the site of one collector. Whatever the browser complains of, and every request to somebody
/// else, fails the test, at the latest when the browser is closed.
pub(crate) struct Browser {
    session: Session,
    site: String,
    /// Parts of complaints that the test provokes.
    expected: RefCell<Vec<&'static str>>,
}

impl Browser {
    pub(crate) fn new(collector: &Collector) -> Self {
        Self::start(collector, true)
    }

    /// One that runs no scripts.
    pub(crate) fn without_scripts(collector: &Collector) -> Self {
        Self::start(collector, false)
    }

    fn start(collector: &Collector, scripts: bool) -> Self {
        let browser =
            Self { session: Session::start(scripts), site: collector.url.clone(), expected: RefCell::default() };
        browser.size(1440, 1000);
        browser
    }

    /// Lets complaints pass that hold this text.
    pub(crate) fn expect(&self, complaint: &'static str) {
        self.expected.borrow_mut().push(complaint);
    }

    /// Opens a page of the site.
    pub(crate) fn visit(&self, path: &str) {
        self.session.post("url", &json!({ "url": format!("{}{path}", self.site) })).unwrap();
    }

    /// Loads the page again.
    pub(crate) fn reload(&self) {
        self.session.post("refresh", &json!({})).unwrap();
    }

    /// Path and query of the page that is shown.
    pub(crate) fn path(&self) -> String {
        let url = self.session.get("url").unwrap();
        let url = url.as_str().unwrap();
        url.strip_prefix(&self.site).unwrap_or_else(|| panic!("left the site for {url}")).to_owned()
    }

    /// Waits until that page is shown.
    #[track_caller]
    pub(crate) fn arrives(&self, path: &str) {
        eventually(&format!("the browser to be at {path}, not {}", self.path()), || {
            (self.path() == path).then_some(())
        });
    }

    /// Signs in by the page.
    #[track_caller]
    pub(crate) fn sign_in(&self, username: &str, password: &str) {
        self.visit("/login");
        self.fill("#username", username);
        self.fill("#password", password);
        self.click(".primary");
    }

    /// The text of the first element that matches, as it is shown; waits for one.
    #[track_caller]
    pub(crate) fn text(&self, css: &str) -> String {
        self.with(css, |element| self.session.of_element(element, "text")).as_str().unwrap().to_owned()
    }

    /// The texts of all elements that match now.
    pub(crate) fn texts(&self, css: &str) -> Vec<String> {
        let text = |element: &Element| self.session.of_element(element, "text").ok();
        self.session.find(css).iter().filter_map(text).map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// How many elements match now.
    pub(crate) fn count(&self, css: &str) -> usize {
        self.session.find(css).len()
    }

    /// Waits until so many elements match.
    #[track_caller]
    pub(crate) fn counts(&self, css: &str, wanted: usize) {
        eventually(&format!("{wanted} of {css}"), || (self.count(css) == wanted).then_some(()));
    }

    /// An attribute of the first element that matches; empty without it.
    #[track_caller]
    pub(crate) fn attribute(&self, css: &str, name: &str) -> String {
        let value = self.with(css, |element| self.session.of_element(element, &format!("attribute/{name}")));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an attribute has that value.
    #[track_caller]
    pub(crate) fn attribute_is(&self, css: &str, name: &str, value: &str) {
        eventually(&format!("{name} of {css} to be {value:?}"), || (self.attribute(css, name) == value).then_some(()));
    }

    /// Waits until an element that matches shows that text.
    #[track_caller]
    pub(crate) fn shows(&self, css: &str, text: &str) {
        eventually(&format!("{css} to show {text:?}"), || {
            self.texts(css).iter().any(|shown| shown.contains(text)).then_some(())
        });
    }

    /// Clicks the first element that matches, once it can be clicked.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.with(css, |element| self.session.to_element(element, "click", &json!({})));
    }

    /// Replaces what a field holds.
    #[track_caller]
    pub(crate) fn fill(&self, css: &str, text: &str) {
        self.with(css, |element| {
            self.session.to_element(element, "clear", &json!({}))?;
            self.session.to_element(element, "value", &json!({ "text": text }))
        });
    }

    /// Types into a field, after what it holds. `\u{E007}` is Enter, `\u{E00C}` Escape.
    #[track_caller]
    pub(crate) fn press(&self, css: &str, keys: &str) {
        self.with(css, |element| self.session.to_element(element, "value", &json!({ "text": keys })));
    }

    /// Chooses an option of a list by its value.
    #[track_caller]
    pub(crate) fn choose(&self, css: &str, value: &str) {
        self.click(&format!("{css} option[value=\"{value}\"]"));
    }

    /// Runs a function body in the page; gives what it returns.
    #[track_caller]
    pub(crate) fn script(&self, body: &str) -> Value {
        self.session.post("execute/sync", &json!({ "script": body, "args": [] })).unwrap()
    }

    /// Runs a function body whose last argument is to be called with its result.
    #[track_caller]
    pub(crate) fn script_later(&self, body: &str) -> Value {
        self.session.post("execute/async", &json!({ "script": body, "args": [] })).unwrap()
    }

    /// The system's colours: light or dark.
    pub(crate) fn colours(&self, scheme: &str) {
        let feature = |name: &str, value: &str| json!({ "name": name, "value": value });
        // Or it would be looked at while colours change.
        let features = [feature("prefers-color-scheme", scheme), feature("prefers-reduced-motion", "reduce")];
        self.session.chromium("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// The time zone that the person lives in, for example `Asia/Kolkata`.
    pub(crate) fn zone(&self, zone: &str) {
        self.session.chromium("Emulation.setTimezoneOverride", &json!({ "timezoneId": zone }));
    }

    /// What is shown when the page is printed.
    pub(crate) fn medium(&self, medium: &str) {
        self.session.chromium("Emulation.setEmulatedMedia", &json!({ "media": medium }));
    }

    /// The size of the window, in pixels of CSS.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.session.chromium("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Cuts off every address that matches, as a proxy may do.
    pub(crate) fn block(&self, pattern: &str) {
        self.session.chromium("Network.enable", &json!({}));
        self.session.chromium("Network.setBlockedURLs", &json!({ "urls": [pattern] }));
    }

    /// A picture of the window, as PNG in base64.
    pub(crate) fn picture(&self) -> String {
        self.session.get("screenshot").unwrap().as_str().unwrap().to_owned()
    }

    /// Fails the test if the browser complained of something or asked somebody else.
    #[track_caller]
    pub(crate) fn check(&self) {
        let complaints: Vec<String> = [self.complaints(), self.requests_elsewhere()].concat();
        assert!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
    }

    /// Errors of scripts, answers that are errors, and violations of the page's policy, since they were last read.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let expected = self.expected.borrow();
        let entries = self.session.log("browser").into_iter();
        let severe = entries.filter(|entry| entry["level"] == "SEVERE" || entry["source"] == "security");
        let texts = severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        texts.filter(|text| !expected.iter().any(|part| text.contains(part))).collect()
    }

    /// Requests to others since they were last read, also those that the policy stopped.
    pub(crate) fn requests_elsewhere(&self) -> Vec<String> {
        let entries = self.session.log("performance").into_iter();
        let asked = entries.filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            (event["method"] == "Network.requestWillBeSent")
                .then(|| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        });
        let is_ours = |url: &str| url.starts_with(&format!("{}/", self.site));
        asked
            .filter(|url| !is_ours(url) && !WITHIN.iter().any(|scheme| url.starts_with(scheme)))
            .map(|url| format!("a request to {url}"))
            .collect()
    }

    /// Waits until `act` works on the first element that matches.
    #[track_caller]
    fn with(&self, css: &str, act: impl Fn(&Element) -> Result<Value, Refused>) -> Value {
        eventually(&format!("{css} at {}", self.path()), || match act(self.session.find(css).first()?) {
            Ok(value) => Some(value),
            Err(refused) if refused.is_passing() => None,
            Err(refused) => panic!("{css}: {refused:?}"),
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("the browser was at {:?}", self.session.get("url"));
        } else {
            self.check();
        }
    }
}
