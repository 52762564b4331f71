//! One's own account: one-time codes from the first to the next sign-in, a token that is made and used, sessions that end.
//! All of it with a browser that runs no scripts.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::browser::Browser;
use crate::scene::Scene;
use crate::support::collector::PASSWORD;
use crate::support::http;

/// What an authenticator shows for that secret, some time steps from now.
fn code(secret: &str, steps: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + steps * 30).to_string()
}

fn without_scripts(scene: &Scene, user: &str) -> Browser {
    let browser = Browser::without_scripts(&scene.collector);
    browser.sign_in(user, PASSWORD);
    browser.arrives("/");
    browser
}

#[test]
fn codes_are_set_up_and_asked_for() {
    let Scene { collector, home, .. } = Scene::of_config("");
    collector.stop();
    home.configure("[web]\ntotp_required_from = \"superadmin\"\n");
    let collector = home.start();
    let browser = Browser::without_scripts(&collector);
    // Who must have them is led to them.
    browser.sign_in("superadmin", PASSWORD);
    browser.arrives("/account/codes");
    browser.fill("#password", PASSWORD);
    browser.click(".primary");
    let secret = browser.text(".secret-text").replace(' ', "");
    assert_eq!(browser.count("svg.qr path"), 1);
    browser.expect("401 (Unauthorized)");
    browser.fill("#code", "000000");
    browser.click(".primary");
    browser.shows("#code-problem", "Incorrect one-time code");
    assert_eq!(browser.text(".secret-text").replace(' ', ""), secret, "the page stays as it was");
    browser.fill("#code", &code(&secret, 0));
    browser.click(".primary");
    browser.arrives("/account?done=codes-on");
    browser.shows(".done", "ask for a one-time code");

    browser.click(".account button");
    browser.arrives("/login");
    browser.sign_in("superadmin", PASSWORD);
    browser.fill("#code", &code(&secret, 1));
    browser.click(".primary");
    browser.arrives("/");
}

#[test]
fn a_token_is_made_used_and_revoked() {
    let scene = Scene::of_config("");
    let browser = without_scripts(&scene, "readonly");
    browser.click(".account a");
    browser.arrives("/account");
    browser.click("details.fold summary");
    browser.fill("#name", "grafana");
    browser.click("[value=\"read:list\"]");
    browser.click(".stack .primary");
    let token = browser.text(".secret code");
    let list = || {
        let bearer = format!("Bearer {token}");
        http::get(&format!("{}/servers", scene.collector.url), &[("authorization", &bearer)]).unwrap().status
    };
    assert_eq!(list(), 200);
    browser.visit("/account");
    browser.shows("table.list th", "grafana");
    assert_eq!(browser.count(".secret"), 0, "shown once");
    browser.click("[aria-label=\"Revoke grafana\"]");
    browser.arrives("/account?done=token-revoked");
    assert_eq!(list(), 401);
}

#[test]
fn sessions_are_ended_from_another_one() {
    let scene = Scene::of_config("");
    let (one, other, third) =
        (without_scripts(&scene, "admin"), without_scripts(&scene, "admin"), without_scripts(&scene, "admin"));
    one.visit("/account");
    one.shows("table.list th", "127.0.0.1");
    one.counts("[name=session]", 2);
    one.click("[name=session]");
    one.arrives("/account?done=session-ended");
    one.counts("[name=session]", 1);
    one.click("[action=\"/account/sessions/end-others\"] button");
    one.arrives("/account?done=others-ended");
    one.counts("[name=session]", 0);
    for ended in [other, third] {
        ended.visit("/account");
        ended.arrives("/login?next=%2Faccount");
    }
}

#[test]
fn a_user_is_added_helped_and_deleted() {
    let scene = Scene::of_config("");
    let browser = without_scripts(&scene, "superadmin");
    browser.click(".menu [href=\"/admin/users\"]");
    browser.click("details.fold summary");
    browser.fill("#username", "zoe");
    browser.choose("#role", "admin");
    browser.click(".stack .primary");
    let first = browser.text(".secret code");
    let hers = Browser::without_scripts(&scene.collector);
    hers.sign_in("zoe", &first);
    hers.arrives("/password");

    browser.click("[href=\"/admin/users/zoe\"]");
    browser.arrives("/admin/users/zoe");
    browser.click("[action$=\"/sign-out\"] button");
    browser.shows(".done", "Every sign-in of the user is over");
    hers.visit("/password");
    hers.arrives("/login?next=%2Fpassword");
    browser.click("details.danger:last-of-type summary");
    browser.click("[action$=\"/delete\"] button");
    browser.arrives("/admin/users?done=deleted");

    // The last one who manages users stays, and is told why.
    browser.visit("/admin/users/admin");
    browser.choose("#role", "readonly");
    browser.click("[action$=\"/role\"] button");
    browser.arrives("/admin/users/admin?done=role");
    browser.visit("/admin/users/superadmin");
    browser.choose("#role", "readonly");
    browser.expect("409 (Conflict)");
    browser.click("[action$=\"/role\"] button");
    browser.shows("[role=alert]", "superadmin is the last superadmin who can sign in");
}
