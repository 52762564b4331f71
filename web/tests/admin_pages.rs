//! Users and the audit by pages.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Answer, PASSWORD, Site, plus};
use http::{StatusCode, header};
use mect_fleet::{Role, Timestamp, Totp, User};

#[track_caller]
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let rest = page.split_once(before).unwrap_or_else(|| panic!("{before} in {page}")).1;
    rest.split_once(after).unwrap().0
}

#[track_caller]
fn leads_to(answer: &Answer, target: &str) {
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, target), "{}", answer.text());
}

/// Signs in by the page; where that leads, with the cookie.
async fn sign_in(site: &Site, username: &str, password: &str) -> Answer {
    site.submit("", "/login", &format!("username={username}&password={}", plus(password))).await
}

#[tokio::test]
async fn only_superadmins_see_them() {
    let site = Site::new().await;
    for username in ["viewer", "admin"] {
        let cookie = site.session(username).await;
        for path in ["/admin/users", "/admin/users/root", "/admin/audit"] {
            let answer = site.visit(&cookie, path).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{username} {path}");
            assert!(answer.text().contains("Not enough permissions") && answer.text().contains("A superadmin can"));
            assert!(answer.text().contains(&format!(">{username} <small>")), "the header says who is signed in");
        }
        for path in ["/admin/users", "/admin/users/viewer/role", "/admin/users/viewer/delete"] {
            let answer = site.submit(&cookie, path, "username=eve&role=superadmin").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{username} {path}");
        }
        let page = site.visit(&cookie, "/").await.text();
        assert!(!page.contains(r#"href="/admin/users""#) && page.contains(r#"href="/incidents""#));
    }
    let page = site.visit(&site.session("root").await, "/").await.text();
    assert!(page.contains(r#"href="/admin/users""#) && page.contains(r#"href="/admin/audit""#));
}

#[tokio::test]
async fn a_user_is_added_with_a_password_that_must_be_changed() {
    let site = Site::new().await;
    let cookie = site.session("root").await;
    let added = site.submit(&cookie, "/admin/users", "username=zoe&role=admin").await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    let page = added.text();
    let drawn = between(&page, r#"<p class="secret"><code>"#, "<").to_owned();
    assert!(page.contains("Password for zoe"));
    assert!(!site.visit(&cookie, "/admin/users").await.text().contains(&drawn), "shown once");
    let first = sign_in(&site, "zoe", &drawn).await;
    leads_to(&first, "/password");
    assert_eq!(site.store.accounts.user("zoe").await.unwrap().unwrap().role, Role::Admin);
    let audit = site.store.journal.audit(None, 10).await.unwrap();
    assert!(audit.iter().any(|record| record.entry.action == "user.create" && record.entry.subject == "zoe"));
    assert!(!format!("{audit:?}").contains(&drawn));
}

#[tokio::test]
async fn a_wrong_name_or_role_keeps_what_was_typed() {
    let site = Site::new().await;
    let cookie = site.session("root").await;
    for (body, status, problem, kept) in [
        ("username=&role=admin", 422, "1 to 64 characters", r#"<option value="admin" selected>"#),
        ("username=a+b&role=admin", 422, "only letters from a to z", r#"value="a b""#),
        ("username=viewer&role=admin", 409, "The name is taken", r#"value="viewer""#),
        ("username=zoe&role=king", 422, "Choose a role", r#"value="zoe""#),
        ("username=%22%3E%3Cimg%3E&role=admin", 422, "only letters", "&#34;&#62;&#60;img&#62;"),
    ] {
        let answer = site.submit(&cookie, "/admin/users", body).await;
        let page = answer.text();
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert!(page.contains(problem) && page.contains(kept) && !page.contains("<img>"), "{body}: {page}");
        assert!(page.contains(r#"<details class="fold" open>"#), "{body}");
    }
    assert_eq!(site.store.accounts.users().await.unwrap().len(), 4);
}

#[tokio::test]
async fn everything_that_may_be_done_to_a_user() {
    let site = Site::new().await;
    let cookie = site.session("root").await;
    let (hers, path) = (site.session("viewer").await, "/admin/users/viewer");
    let page = site.visit(&cookie, path).await.text();
    assert!(page.contains("1 browser session.") && !page.contains("remove-codes"));

    leads_to(&site.submit(&cookie, &format!("{path}/role"), "role=admin").await, "/admin/users/viewer?done=role");
    assert_eq!(site.store.accounts.user("viewer").await.unwrap().unwrap().role, Role::Admin);
    assert_eq!(site.visit(&hers, "/").await.status, StatusCode::SEE_OTHER, "signed out");
    assert!(site.visit(&cookie, &format!("{path}?done=role")).await.text().contains("The role is changed"));
    assert_eq!(
        site.submit(&cookie, &format!("{path}/role"), "role=king").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );

    let hers = site.session("viewer").await;
    leads_to(&site.submit(&cookie, &format!("{path}/sign-out"), "").await, "/admin/users/viewer?done=signed-out");
    assert_eq!(site.visit(&hers, "/").await.status, StatusCode::SEE_OTHER);

    leads_to(&site.submit(&cookie, &format!("{path}/disable"), "").await, "/admin/users/viewer?done=disabled");
    assert_eq!(sign_in(&site, "viewer", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    assert!(site.visit(&cookie, path).await.text().contains(&format!("{path}/enable")));
    leads_to(&site.submit(&cookie, &format!("{path}/enable"), "").await, "/admin/users/viewer?done=enabled");
    leads_to(&sign_in(&site, "viewer", PASSWORD).await, "/");

    let totp = Totp { secret: vec![7; 20], confirmed: true, last_step: 0 };
    site.store.accounts.set_totp("viewer", Some(totp)).await.unwrap();
    assert!(site.visit(&cookie, path).await.text().contains(&format!("{path}/remove-codes")));
    leads_to(
        &site.submit(&cookie, &format!("{path}/remove-codes"), "").await,
        "/admin/users/viewer?done=codes-removed",
    );
    assert_eq!(site.store.accounts.user("viewer").await.unwrap().unwrap().totp, None);

    let reset = site.submit(&cookie, &format!("{path}/password"), "").await;
    let drawn = between(&reset.text(), r#"<p class="secret"><code>"#, "<").to_owned();
    assert_eq!(sign_in(&site, "viewer", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    leads_to(&sign_in(&site, "viewer", &drawn).await, "/password");

    leads_to(&site.submit(&cookie, &format!("{path}/delete"), "").await, "/admin/users?done=deleted");
    assert_eq!(site.store.accounts.user("viewer").await.unwrap(), None);
    let gone = site.visit(&cookie, path).await;
    assert!(gone.status == StatusCode::NOT_FOUND && gone.text().contains("User not found"));
}

#[tokio::test]
async fn tokens_of_a_user_are_revoked() {
    let site = Site::new().await;
    let (hers, cookie) = (site.session("viewer").await, site.session("root").await);
    site.submit(&hers, "/account/tokens", "name=grafana&expires_in_days=1&scope=federate").await;
    assert!(site.visit(&cookie, "/admin/users/viewer").await.text().contains("Revoke grafana"));
    let revoke = "/admin/users/viewer/tokens/revoke";
    leads_to(&site.submit(&cookie, revoke, "name=grafana").await, "/admin/users/viewer?done=token-revoked");
    assert!(site.store.accounts.tokens("viewer").await.unwrap().is_empty());
    let twice = site.submit(&cookie, revoke, "name=grafana").await;
    assert!(twice.status == StatusCode::NOT_FOUND && twice.text().contains("Token not found"));
}

#[tokio::test]
async fn the_last_superadmin_stays() {
    let site = Site::new().await;
    let cookie = site.session("root").await;
    for (act, body) in [("role", "role=admin"), ("disable", ""), ("delete", "")] {
        let answer = site.submit(&cookie, &format!("/admin/users/root/{act}"), body).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{act}");
        let page = answer.text();
        let inline =
            r#"<p class="problem" role="alert">root is the last superadmin who can sign in; make another one first"#;
        assert!(page.contains(inline) && page.contains("/admin/users/root/role"), "{act}: {page}");
    }
    assert_eq!(site.visit(&cookie, "/admin/users/root").await.status, StatusCode::OK, "still signed in");
}

#[tokio::test]
async fn hostile_names_are_only_text() {
    let site = Site::new().await;
    let name = r#""><img src=x onerror=alert(1)>/.."#;
    let user = User::new(name, "no hash".into(), Role::Readonly, Timestamp::now());
    site.store.accounts.create_user(user).await.unwrap();
    let cookie = site.session("root").await;
    let page = site.visit(&cookie, "/admin/users").await.text();
    assert!(!page.contains("<img src=x") && page.contains("&#34;&#62;&#60;img src=x"));
    let link = between(&page, "<a href=\"/admin/users/%22", "\"");
    let path = format!("/admin/users/%22{link}");
    let page = site.visit(&cookie, &path).await.text();
    assert!(!page.contains("<img src=x") && page.contains("&#34;&#62;&#60;img src=x"));
    leads_to(&site.submit(&cookie, &format!("{path}/disable"), "").await, &format!("{path}?done=disabled"));
    let audit = site.visit(&cookie, "/admin/audit").await.text();
    assert!(!audit.contains("<img src=x") && audit.contains("&#34;&#62;&#60;img src=x"));
    let query =
        site.visit(&cookie, "/admin/audit?who=%22%3E%3Cimg%3E&action=%22%3E%3Cimg%3E&cursor=%22%3E").await.text();
    assert!(!query.contains("<img src=x"));
}

#[tokio::test]
async fn users_come_in_pages() {
    let site = Site::new().await;
    for n in 0..150 {
        let user = User::new(format!("user-{n:03}"), "no hash".into(), Role::Readonly, Timestamp::now());
        site.store.accounts.create_user(user).await.unwrap();
    }
    let cookie = site.session("root").await;
    let rows = |page: &str| page.matches("<th scope=\"row\">").count();
    let first = site.visit(&cookie, "/admin/users").await.text();
    assert_eq!(rows(&first), 100);
    let next = between(&first, r#"rel="next" href=""#, "\"").to_owned();
    let second = site.visit(&cookie, &next).await.text();
    assert!(rows(&second) == 54 && !second.contains(r#"rel="next""#) && second.contains("First page"));
}

#[tokio::test]
async fn the_audit_tells_who_changed_what() {
    let site = Site::new().await;
    let (cookie, token) = (site.session("root").await, site.token("root").await);
    site.json_as(&token, "PATCH", "/api/v1/users/viewer", r#"{"role":"admin"}"#).await;
    site.submit("", "/login", "username=viewer&password=wrong").await;
    site.submit(&cookie, "/admin/users/admin/sign-out", "").await;
    let page = site.visit(&cookie, "/admin/audit").await.text();
    assert!(page.contains("user.edit") && page.contains(r#"<a href="/admin/users/viewer">viewer</a>"#));
    assert!(page.contains("<dt>role</dt><dd><del>readonly</del><ins>admin</ins></dd>"), "{page}");
    assert!(!page.contains("<dt>disabled</dt>"), "only what differs");

    let rows = async |query: &str| {
        let page = site.visit(&cookie, &format!("/admin/audit?{query}")).await.text();
        (page.matches("<tr id=\"entry-").count(), page)
    };
    let (found, page) = rows("action=user.edit").await;
    assert!(found == 1 && page.contains(r#"value="user.edit""#), "{page}");
    assert_eq!(rows("action=user&who=root").await.0, 2);
    assert_eq!(rows("subject=admin&action=user").await.0, 1);
    let (none, page) = rows("who=nobody").await;
    assert!(none == 0 && page.contains("No entry matches"));

    for _ in 0..60 {
        site.submit(&cookie, "/admin/users/admin/sign-out", "").await;
    }
    let (found, page) = rows("action=user.sign_out").await;
    assert_eq!(found, 50);
    let next = between(&page, r#"rel="next" href="/admin/audit?"#, "\"").replace("&#38;", "&");
    let (rest, page) = rows(&next).await;
    assert!(rest == 11 && page.contains("Newest") && !page.contains("Older"), "{rest}");
    // The same filters by REST.
    let answer = site.get_as(&token, "/api/v1/audit?action=user.edit").await.json();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
}
