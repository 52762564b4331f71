//! Users, and the audit.

use mect_fleet::{Role, Timestamp, Totp, User, UserPatch};

use crate::common::Site;
use crate::golden::{is, shows};
use crate::scene::{HOSTILE, escape};

async fn site() -> (Site, String) {
    let site = Site::new().await;
    let user = User::new(HOSTILE, "no hash".into(), Role::Readonly, Timestamp::now());
    site.store.accounts.create_user(user).await.unwrap();
    let cookie = site.session("root").await;
    (site, cookie)
}

#[tokio::test]
async fn users() {
    let (site, cookie) = site().await;
    let totp = Totp { secret: vec![7; 20], confirmed: true, last_step: 0 };
    site.store.accounts.set_totp("admin", Some(totp)).await.unwrap();
    let disabled = UserPatch { disabled: Some(true), ..UserPatch::default() };
    site.store.accounts.edit_user("viewer", disabled).await.unwrap();
    for (name, path) in [
        ("users", "/admin/users".to_owned()),
        ("users-done", "/admin/users?done=deleted".to_owned()),
        ("users-none", "/admin/users?after=zzz".to_owned()),
        ("user-self", "/admin/users/root".to_owned()),
        ("user-codes", "/admin/users/admin?done=role".to_owned()),
        ("user-disabled", "/admin/users/viewer".to_owned()),
        ("user-must-change", "/admin/users/fresh".to_owned()),
        ("user-hostile", format!("/admin/users/{}", escape(HOSTILE))),
    ] {
        shows(name, 200, async || site.visit(&cookie, &path).await).await;
    }
    is("users-problem", 422, &site.submit(&cookie, "/admin/users", "username=%22%3E%3Cimg+src%3Dx%3E&role=king").await);
    is("user-last-superadmin", 409, &site.submit(&cookie, "/admin/users/root/delete", "").await);
    is("user-password-drawn", 200, &site.submit(&cookie, "/admin/users/viewer/password", "").await);
    is("users-added", 201, &site.submit(&cookie, "/admin/users", "username=zoe&role=admin").await);
}

#[tokio::test]
async fn tokens_of_a_user() {
    let (site, cookie) = site().await;
    let hers = site.session("viewer").await;
    site.submit(&hers, "/account/tokens", "name=grafana&expires_in_days=1&scope=federate").await;
    shows("user-tokens", 200, async || site.visit(&cookie, "/admin/users/viewer").await).await;
}

/// Waits until the audit holds so many entries of that kind: sign-ins are written beside the answer.
async fn entries(site: &Site, token: &str, action: &str, count: usize) {
    let path = format!("/api/v1/audit?action={action}");
    for _ in 0..6000 {
        if site.get_as(token, &path).await.json()["items"].as_array().is_some_and(|items| items.len() == count) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no {count} entries of {action}");
}

#[tokio::test]
async fn the_audit() {
    let (site, cookie) = site().await;
    let none = "/admin/audit?who=nobody&action=%22%3E%3Cimg+src%3Dx%3E";
    shows("audit-none", 200, async || site.visit(&cookie, none).await).await;
    let token = site.token("root").await;
    entries(&site, &token, "login.ok", 2).await;
    site.json_as(&token, "PATCH", "/api/v1/users/viewer", r#"{"role":"admin"}"#).await;
    site.submit("", "/login", "username=viewer&password=wrong").await;
    entries(&site, &token, "login.failed", 1).await;
    let path = format!("/admin/users/{}/disable", escape(HOSTILE));
    assert_eq!(site.submit(&cookie, &path, "").await.status, 303);
    shows("audit", 200, async || site.visit(&cookie, "/admin/audit").await).await;
    shows("audit-filtered", 200, async || site.visit(&cookie, "/admin/audit?action=user.edit").await).await;
}
