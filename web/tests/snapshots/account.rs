//! Signing in, and one's own account.

use std::time::{SystemTime, UNIX_EPOCH};

use mect_fleet::{Role, Timestamp};

use crate::common::{PASSWORD, Site, plus, settings};
use crate::golden::{is, shows};

const EVIL: &str = "%22%3E%3Cimg+src%3Dx%3E";

/// What an authenticator shows for that secret now.
fn code(secret: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(now).to_string()
}

/// Lets a millisecond pass: what is ordered by time is not left to chance.
fn later() {
    let now = Timestamp::now();
    while Timestamp::now() <= now {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn signing_in() {
    let site = Site::new().await;
    shows("login", 200, async || site.visit("", "/login?next=/%3Fstate%3Ddown").await).await;
    let wrong = format!("username={EVIL}&password=wrong");
    is("login-wrong", 401, &site.submit("", "/login", &wrong).await);
    let wrong = "username=viewer&password=wrong";
    let mut answer = site.submit("", "/login", wrong).await;
    for _ in 0..20 {
        answer = site.submit("", "/login", wrong).await;
    }
    is("login-throttled", 429, &answer);
}

#[tokio::test]
async fn the_password() {
    let site = Site::new().await;
    let (fresh, viewer) = (site.session("fresh").await, site.session("viewer").await);
    shows("password-forced", 200, async || site.visit(&fresh, "/password").await).await;
    shows("password", 200, async || site.visit(&viewer, "/password").await).await;
    let form = "current_password=wrong&new_password=short&repeated_password=other";
    is("password-problems", 422, &site.submit(&viewer, "/password", form).await);
}

#[tokio::test]
async fn sessions_and_tokens() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    shows("account", 200, async || site.visit(&cookie, "/account").await).await;
    let problems = format!("name={EVIL}&expires_in_days=x");
    is("account-token-problems", 422, &site.submit(&cookie, "/account/tokens", &problems).await);
    let made = site.submit(&cookie, "/account/tokens", "name=grafana&expires_in_days=1&scope=federate").await;
    is("account-token-made", 201, &made);
    later();
    site.session("viewer").await;
    shows("account-tokens", 200, async || site.visit(&cookie, "/account?done=token-revoked").await).await;
}

#[tokio::test]
async fn one_time_codes() {
    let mut strict = settings();
    strict.totp_required_from = Some(Role::Admin);
    let site = Site::with(strict).await;
    let cookie = site.session("admin").await;
    shows("codes-forced", 200, async || site.visit(&cookie, "/account/codes").await).await;
    is("codes-wrong-password", 400, &site.submit(&cookie, "/account/codes", "password=wrong").await);
    let drawn = site.submit(&cookie, "/account/codes", &format!("password={}", plus(PASSWORD))).await;
    is("codes-drawn", 200, &drawn);
    let page = drawn.text();
    let secret = page.split("name=\"secret\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let confirm = async |code: &str| {
        site.submit(&cookie, "/account/codes/confirm", &format!("secret={secret}&code={code}")).await
    };
    is("codes-wrong-code", 401, &confirm("000000").await);
    assert_eq!(confirm(&code(secret)).await.status, 303);
    shows("codes-on", 200, async || site.visit(&cookie, "/account/codes").await).await;
    shows("account-codes-on", 200, async || site.visit(&cookie, "/account?done=codes-on").await).await;
    is("account-codes-kept", 400, &site.submit(&cookie, "/account/codes/remove", "password=wrong").await);

    let form = format!("username=admin&password={}&next=/targets", plus(PASSWORD));
    let asked = site.submit("", "/login", &form).await;
    is("login-code", 200, &asked);
    let page = asked.text();
    let ticket = page.split("name=\"ticket\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    is("login-wrong-code", 401, &site.submit("", "/login", &format!("ticket={ticket}&code=000000")).await);

    let viewer = site.session("viewer").await;
    shows("codes", 200, async || site.visit(&viewer, "/account/codes").await).await;
}
