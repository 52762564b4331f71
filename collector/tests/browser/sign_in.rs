//! Coming in: the first password must be changed, a wrong one is told, and one leads to where one wanted to go.

use serde_json::json;

use crate::browser::Browser;
use crate::scene::Scene;
use crate::support::collector::PASSWORD;

#[test]
fn a_fresh_account_chooses_a_password_of_its_own_first() {
    let scene = Scene::of_config("");
    let first = "seven purple lanterns";
    let user = json!({ "username": "zoe", "password": first, "role": "readonly" });
    assert_eq!(scene.collector.post("/api/v1/users", &user).status, 201);
    let browser = Browser::new(&scene.collector);
    browser.visit("/?state=down");
    browser.arrives("/login?next=%2F%3Fstate%3Ddown");
    // The browser's console tells of every answer that is an error.
    browser.expect("401 (Unauthorized)");
    browser.fill("#username", "zoe");
    browser.fill("#password", "not it");
    browser.click(".primary");
    browser.shows("[role=alert]", "Incorrect username or password");
    browser.fill("#password", first);
    browser.click(".primary");
    browser.arrives("/password");
    // Nothing else is shown before.
    browser.visit("/");
    browser.arrives("/password");
    browser.fill("[name=current_password]", first);
    browser.fill("[name=new_password]", PASSWORD);
    browser.fill("[name=repeat_password]", PASSWORD);
    browser.click(".primary");
    browser.arrives("/");
    browser.shows("h2", "No servers yet");
    browser.click(".account button");
    browser.arrives("/login");
    browser.visit("/");
    browser.arrives("/login?next=%2F");
}
