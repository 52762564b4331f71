//! Adding servers: one, a list, and those that announced themselves.

use mect_fleet::store::Registration;
use mect_web::Secret;

use crate::common::{Site, registration, settings};
use crate::golden::{is, shows};
use crate::scene::{HOSTILE, Scene, added, escape};

#[tokio::test]
async fn one() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    shows("add", 200, async || site.visit(&cookie, "/servers/add").await).await;
    shows("add-done", 200, async || site.visit(&cookie, "/servers/add?done=imported").await).await;
    let name = escape(HOSTILE);
    let form = format!("address=nonsense&hostname={name}&country_code=XX&tags=Bad!&access=oidc:x&capacity=x");
    is("add-problems", 422, &site.submit(&cookie, "/servers/add", &form).await);
    is(
        "add-list-problem",
        422,
        &site.submit(&cookie, "/servers/import/preview", "list=name%0A%3C%2Ftextarea%3E%3Cb%3E").await,
    );
}

#[tokio::test]
async fn the_agent_key() {
    let settings = settings();
    settings.agent_key.set(Some(Secret::new("the-agents-key-of-this-test-0123456789")));
    let site = Site::with(settings).await;
    let cookie = site.session("admin").await;
    shows("add-key-hidden", 200, async || site.visit(&cookie, "/servers/add").await).await;
    is("add-key-shown", 200, &site.submit(&cookie, "/servers/add/key", "").await);
}

#[tokio::test]
async fn a_list() {
    let scene = Scene::of(Site::new().await, vec![registration("192.0.2.1", HOSTILE)]).await;
    let cookie = scene.site.session("admin").await;
    let good = "address,hostname\n192.0.2.2:9776,de2\n192.0.2.3:9776,de3\n";
    let mixed = format!(
        "address,hostname,country_code,notes\n192.0.2.1:9776,again,DE,\n192.0.2.2:9776,new,DE,\"a, b\"\n\
         192.0.2.2:1,twice,,\nnonsense,\"{}\",,\n192.0.2.3:9776,,XX,\n",
        HOSTILE.replace('"', "\"\"")
    );
    let known = "address,hostname\n192.0.2.1:9776,again\n";
    for (name, list) in [("import", good), ("import-mixed", &*mixed), ("import-nothing-new", known)] {
        let form = format!("list={}", escape(list));
        shows(name, 200, async || scene.site.submit(&cookie, "/servers/import/preview", &form).await).await;
    }
}

#[tokio::test]
async fn who_announced_itself() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    shows("waiting-none", 200, async || site.visit(&cookie, "/servers/waiting").await).await;
    let waits = |ip, name| Registration { awaits_approval: true, ..added(ip, name) };
    let scene = Scene::of(site, vec![waits("192.0.2.1", "de1"), waits("192.0.2.2", HOSTILE)]).await;
    shows("waiting", 200, async || scene.visit(&cookie, "/servers/waiting").await).await;
    is("waiting-none-chosen", 422, &scene.site.submit(&cookie, "/servers/waiting", "action=approve").await);
    let viewer = scene.site.session("viewer").await;
    shows("waiting-readonly", 200, async || scene.visit(&viewer, "/servers/waiting").await).await;
    shows("add-some-wait", 200, async || scene.visit(&cookie, "/servers/add").await).await;
}
