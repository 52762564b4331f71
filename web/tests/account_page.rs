//! One's own account by pages: one-time codes, sessions, API tokens.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::{Answer, PASSWORD, Site, plus, settings};
use http::{StatusCode, header};
use mect_fleet::{Role, Timestamp};

/// What an authenticator shows for that secret, some time steps from now.
fn code(secret: &str, steps: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + steps * 30).to_string()
}

/// The part of a page between two texts.
#[track_caller]
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let rest = page.split_once(before).unwrap_or_else(|| panic!("{before} in {page}")).1;
    rest.split_once(after).unwrap().0
}

#[track_caller]
fn leads_to(answer: &Answer, target: &str) {
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, target), "{}", answer.text());
}

fn password(text: &str) -> String {
    format!("password={}", plus(text))
}

/// Sets up codes by the page; gives the secret. The code of the present time step is used up.
async fn set_up(site: &Site, cookie: &str) -> String {
    let drawn = site.submit(cookie, "/account/codes", &password(PASSWORD)).await;
    assert_eq!(drawn.status, StatusCode::OK, "{}", drawn.text());
    let secret = between(&drawn.text(), r#"name="secret" value=""#, "\"").to_owned();
    let confirmed =
        site.submit(cookie, "/account/codes/confirm", &format!("secret={secret}&code={}", code(&secret, 0))).await;
    leads_to(&confirmed, "/account?done=codes-on");
    secret
}

#[tokio::test]
async fn codes_are_set_up_and_removed_by_the_page() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    assert!(site.visit(&cookie, "/account").await.text().contains(r#"href="/account/codes""#));
    assert!(site.visit(&cookie, "/account/codes").await.text().contains(r#"action="/account/codes""#));

    let wrong = site.submit(&cookie, "/account/codes", "password=wrong").await;
    assert!(wrong.status == 400 && wrong.text().contains("Current password is incorrect"), "{}", wrong.text());
    assert!(!wrong.text().contains(r#"value="wrong""#), "a password is not shown again");

    let drawn = site.submit(&cookie, "/account/codes", &password(PASSWORD)).await;
    assert_eq!(drawn.header(header::CACHE_CONTROL), "no-store");
    let page = drawn.text();
    let secret = between(&page, r#"name="secret" value=""#, "\"").to_owned();
    assert!(page.contains("<svg class=\"qr\"") && page.contains("otpauth://totp/Mect%20VPN%20Monitor:admin?secret="));
    assert_eq!(between(&page, r#"<code class="secret-text">"#, "<").replace(' ', ""), secret);
    assert!(!site.visit(&cookie, "/account/codes").await.text().contains(&secret), "it was shown once");

    // A mistyped code leaves the page as it was; but only who has the secret sees it.
    let mistyped = site.submit(&cookie, "/account/codes/confirm", &format!("secret={secret}&code=000000")).await;
    let page = mistyped.text();
    assert_eq!(mistyped.status, StatusCode::UNAUTHORIZED);
    assert!(
        page.contains("Incorrect one-time code") && page.contains(r#"value="000000""#) && page.contains("class=\"qr\"")
    );
    let stranger = site.submit(&cookie, "/account/codes/confirm", "secret=AAAA&code=000000").await;
    assert!(!stranger.text().contains(&secret) && !stranger.text().contains("class=\"qr\""));

    let right =
        site.submit(&cookie, "/account/codes/confirm", &format!("secret={secret}&code={}", code(&secret, 0))).await;
    leads_to(&right, "/account?done=codes-on");
    let page = site.visit(&cookie, "/account?done=codes-on").await.text();
    assert!(page.contains("Sign-ins ask for a one-time code from now on") && page.contains("/account/codes/remove"));
    assert!(site.visit(&cookie, "/account/codes").await.text().contains("They are on"));
    let twice = site.submit(&cookie, "/account/codes", &password(PASSWORD)).await;
    assert!(twice.status == StatusCode::CONFLICT && !twice.text().contains("class=\"qr\""));

    // Signing in by the page asks for a code.
    let form = format!("username=admin&password={}", plus(PASSWORD));
    let ticket = between(&site.submit("", "/login", &form).await.text(), r#"name="ticket" value=""#, "\"").to_owned();
    let form = format!("ticket={ticket}&code={}", code(&secret, 1));
    leads_to(&site.submit("", "/login", &form).await, "/");

    let wrong = site.submit(&cookie, "/account/codes/remove", "password=wrong").await;
    assert!(wrong.status == 400 && wrong.text().contains("Current password is incorrect"));
    leads_to(&site.submit(&cookie, "/account/codes/remove", &password(PASSWORD)).await, "/account?done=codes-off");
    assert_eq!(site.store.accounts.user("admin").await.unwrap().unwrap().totp, None);
    let audit = site.store.journal.audit(None, 100).await.unwrap();
    for action in ["totp.draw", "totp.confirm", "totp.remove"] {
        assert!(audit.iter().any(|record| record.entry.action == action && record.entry.who == "admin"), "{action}");
    }
    assert!(!format!("{audit:?}").contains(&secret));
}

#[tokio::test]
async fn who_must_have_codes_is_led_to_them() {
    let mut strict = settings();
    strict.totp_required_from = Some(Role::Admin);
    let site = Site::with(strict).await;
    let cookie = site.session("admin").await;
    for path in ["/", "/account", "/incidents"] {
        leads_to(&site.visit(&cookie, path).await, "/account/codes");
    }
    let page = site.visit(&cookie, "/account/codes").await.text();
    assert!(
        page.contains("Your role needs them") && !page.contains(r#"href="/targets""#),
        "the menu offers nothing else"
    );
    set_up(&site, &cookie).await;
    assert_eq!(site.visit(&cookie, "/account").await.status, StatusCode::OK);
    assert!(site.visit(&cookie, "/account").await.text().contains("Your role needs them"), "before they are removed");
    assert_eq!(site.visit(&site.session("viewer").await, "/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_wrong_passwords_are_told() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    let mut last = site.submit(&cookie, "/account/codes", "password=wrong").await;
    for _ in 0..40 {
        last = site.submit(&cookie, "/account/codes", "password=wrong").await;
        if last.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert!(
        last.text().contains("Too many attempts") && !last.header(header::RETRY_AFTER).is_empty(),
        "{}",
        last.status
    );
}

/// The marks of the sessions that can be ended.
fn marks(page: &str) -> Vec<String> {
    page.split(r#"name="session" value=""#).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let site = Site::new().await;
    let (this, other, third) = (site.session("admin").await, site.session("admin").await, site.session("admin").await);
    let hers = site.session("root").await;
    let page = site.visit(&this, "/account").await.text();
    assert_eq!(page.matches(r#"<span class="badge">this one</span>"#).count(), 1);
    assert_eq!(marks(&page).len(), 2, "this one is ended by signing out");
    for session in site.store.accounts.sessions("admin", Timestamp::now()).await.unwrap() {
        let digest: String = session.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!page.contains(&digest[..16]), "no digest");
    }
    // What is of somebody else cannot be ended.
    let root_page = site.visit(&hers, "/account").await.text();
    assert!(marks(&root_page).is_empty());

    leads_to(
        &site.submit(&this, "/account/sessions/end", &format!("session={}", marks(&page)[0])).await,
        "/account?done=session-ended",
    );
    let alive = async |cookie: &str| site.visit(cookie, "/account").await.status == StatusCode::OK;
    assert!(alive(&this).await && (alive(&other).await != alive(&third).await), "one of them");
    let fourth = site.session("admin").await;
    leads_to(&site.submit(&this, "/account/sessions/end-others", "").await, "/account?done=others-ended");
    assert!(alive(&this).await && !alive(&other).await && !alive(&third).await && !alive(&fourth).await);
    assert!(alive(&hers).await);

    let token = site.token("admin").await;
    let out = site.submit(&this, "/account/sign-out", "").await;
    leads_to(&out, "/login");
    assert!(out.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert!(!alive(&this).await);
    assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::UNAUTHORIZED, "programs too");
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    assert!(site.visit(&cookie, "/account").await.text().contains("None yet"));
    let made = site
        .submit(&cookie, "/account/tokens", "name=grafana&expires_in_days=30&scope=read%3Alist&scope=federate")
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let secret = format!("mect_{}", between(&made.text(), "<code>mect_", "</code>"));
    assert_eq!(site.get_as(&secret, "/servers").await.status, StatusCode::OK);
    assert_eq!(site.get_as(&secret, "/metrics").await.status, StatusCode::OK);
    assert_eq!(site.get_as(&secret, "/api/v1/targets").await.status, StatusCode::FORBIDDEN);
    // A token opens no page of the account.
    assert_eq!(site.get_as(&secret, "/account").await.status, StatusCode::FORBIDDEN);

    let page = site.visit(&cookie, "/account").await.text();
    assert!(!page.contains(&secret[5..]) && page.contains("grafana") && page.contains("read:list"));
    leads_to(&site.submit(&cookie, "/account/tokens/revoke", "name=grafana").await, "/account?done=token-revoked");
    assert_eq!(site.get_as(&secret, "/servers").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.submit(&cookie, "/account/tokens/revoke", "name=grafana").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_token_keeps_what_was_typed() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    let form = |name: &str, days: &str, scope: &str| format!("name={name}&expires_in_days={days}{scope}");
    let hostile = "%22%3E%3Cimg+src%3Dx+onerror%3Dalert(1)%3E";
    for (body, problem, kept) in [
        (form("", "30", "&scope=federate"), "1 to 64 letters", r#"value="30""#),
        (form(hostile, "30", "&scope=federate"), "1 to 64 letters", "&#34;&#62;&#60;img src=x"),
        (form("a", "731", "&scope=federate"), "1 to 730 are allowed", r#"value="731""#),
        (form("a", "soon", "&scope=federate"), "1 to 730 are allowed", r#"value="soon""#),
        (form("a", "30", ""), "Tick one or more", r#"value="a""#),
    ] {
        let answer = site.submit(&cookie, "/account/tokens", &body).await;
        let page = answer.text();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(page.contains(problem) && page.contains(kept) && !page.contains("<img src=x"), "{body}: {page}");
        assert!(page.contains("<details class=\"fold\" open>"), "{body}");
        assert!(!body.contains("federate") || page.contains(r#"value="federate" checked"#), "{body}");
    }
    let twice = form("a", "30", "&scope=federate");
    assert_eq!(site.submit(&cookie, "/account/tokens", &twice).await.status, StatusCode::CREATED);
    let again = site.submit(&cookie, "/account/tokens", &twice).await;
    assert!(again.status == StatusCode::CONFLICT && again.text().contains("There is a token of that name already"));
    assert_eq!(
        site.submit(&cookie, "/account/tokens", &form("b", "30", "&scope=root")).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn who_must_change_the_password_does_that_first() {
    let site = Site::new().await;
    let cookie = site.session("fresh").await;
    leads_to(&site.visit(&cookie, "/account").await, "/password");
    leads_to(&site.submit(&cookie, "/account/tokens", "name=a&expires_in_days=1&scope=admin").await, "/password");
    assert!(site.store.accounts.tokens("fresh").await.unwrap().is_empty());
    assert_eq!(site.visit("", "/account").await.header(header::LOCATION), "/login?next=%2Faccount");
}
