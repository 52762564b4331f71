//! Every page: nothing to complain of in light, dark and on a phone, by axe-core too. A new page is one more line here.
//!
//! `make screenshots` runs this with `SCREENSHOTS_TO`, a directory into which each look is written.

use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine as _;

use crate::axe;
use crate::browser::Browser;
use crate::scene::Scene;
use crate::support::collector::PASSWORD;
use crate::support::eventually;

/// Name and path. `{id}` stands for a server of the fleet.
const PAGES: &[(&str, &str)] = &[
    ("fleet", "/"),
    ("fleet-filtered", "/?state=down"),
    ("fleet-compact", "/?sort=name&density=compact"),
    ("password", "/password"),
    ("incidents", "/incidents"),
    ("events", "/events"),
    ("targets", "/targets"),
    ("targets-none", "/targets?q=nowhere"),
    ("about", "/about"),
    ("account", "/account"),
    ("account-codes", "/account/codes"),
    ("users", "/admin/users"),
    ("user", "/admin/users/readonly"),
    ("audit", "/admin/audit"),
    ("server", "/servers/{id}?span=1h"),
    ("server-month", "/servers/{id}?span=30d"),
    ("server-edit", "/servers/{id}/edit"),
    ("server-exposition", "/servers/{id}/exposition"),
    ("servers-add", "/servers/add"),
    ("servers-waiting", "/servers/waiting"),
];
/// Name and path of those for whom nobody signed in.
const PUBLIC_PAGES: &[(&str, &str)] =
    &[("login", "/login"), ("login-next", "/login?next=/account"), ("status", "/status")];

/// Name, colours, width and height.
const LOOKS: [(&str, &str, u32, u32); 3] =
    [("light", "light", 1440, 1000), ("dark", "dark", 1440, 1000), ("phone", "light", 360, 760)];

#[test]
fn every_page_looks_well_and_is_accessible() {
    let scene = Scene::simulated(40);
    let gallery = env::var_os("SCREENSHOTS_TO").map(PathBuf::from);
    if let Some(gallery) = &gallery {
        fs::create_dir_all(gallery).unwrap();
    }
    let browser = Browser::new(&scene.collector);
    for (name, path) in PUBLIC_PAGES {
        look(&browser, name, path, gallery.as_deref());
    }
    browser.sign_in("admin", PASSWORD);
    browser.arrives("/");
    let id = scene.collector.all_servers()[0]["server_id"].as_str().unwrap().to_owned();
    for (name, path) in PAGES {
        look(&browser, name, &path.replace("{id}", &id), gallery.as_deref());
    }
    answers(&browser, gallery.as_deref());
}

/// Pages that answer a form, and that of a mistake.
fn answers(browser: &Browser, gallery: Option<&Path>) {
    let wide = || browser.size(1440, 1000);
    wide();
    browser.visit("/servers/add");
    browser.fill("#list", "address,hostname\n127.0.0.77:9,one\nnonsense,two\n");
    browser.click("form[action=\"/servers/import/preview\"] button");
    browser.shows(".preview", "needs a port");
    look_at(browser, "servers-import", gallery);
    for (name, tag, heading) in [("bulk", "fast-lane", "Add the tag fast-lane?"), ("bulk-tag", "No Tag", "Add the tag")]
    {
        wide();
        browser.expect("422 (Unprocessable");
        browser.visit("/");
        browser.click("#all");
        browser.choose("#action", "tag");
        browser.fill("#bulk-tag", tag);
        browser.click("#bulk .primary");
        browser.shows("h1", heading);
        look_at(browser, name, gallery);
    }
    browser.expect("404 (Not Found");
    look(browser, "error", "/nothing-is-here", gallery);
}

#[track_caller]
fn look(browser: &Browser, name: &str, path: &str, gallery: Option<&Path>) {
    for look in LOOKS {
        dress(browser, look);
        browser.visit(path);
        assert_eq!(browser.path(), path, "the page sends elsewhere");
        judge(browser, &format!("{name}-{}", look.0), gallery);
    }
}

/// The same for the page that is shown, which no address leads to.
#[track_caller]
fn look_at(browser: &Browser, name: &str, gallery: Option<&Path>) {
    for look in LOOKS {
        dress(browser, look);
        judge(browser, &format!("{name}-{}", look.0), gallery);
    }
}

fn dress(browser: &Browser, (_, colours, width, height): (&str, &str, u32, u32)) {
    browser.size(width, height);
    browser.colours(colours);
}

#[track_caller]
fn judge(browser: &Browser, what: &str, gallery: Option<&Path>) {
    // Nothing may stick out on the side: a phone would have to scroll.
    let overflow = browser.script("return document.documentElement.scrollWidth - innerWidth");
    assert!(overflow.as_f64().unwrap() <= 0.0, "{what} is {overflow} px too wide");
    if let Some(gallery) = gallery {
        let picture = base64::engine::general_purpose::STANDARD.decode(browser.picture()).unwrap();
        fs::write(gallery.join(format!("{what}.png")), picture).unwrap();
    }
    axe::check(browser, what);
    browser.check();
}

/// The test of the tests: each kind of mistake is noticed.
#[test]
fn what_is_wrong_with_a_page_is_noticed() {
    let scene = Scene::of_config("");
    let browser = Browser::new(&scene.collector);
    browser.visit("/login");
    browser.check();
    for (mistake, notice) in [
        ("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/' }))", "Content Security Policy"),
        (
            "document.body.append(Object.assign(document.createElement('style'), { textContent: 'a{}' }))",
            "inline style",
        ),
        ("setTimeout(() => missing())", "missing is not defined"),
        ("fetch('/nowhere')", "404"),
    ] {
        browser.script(mistake);
        let told = eventually(notice, || Some(browser.complaints()).filter(|told| !told.is_empty()));
        assert!(told.concat().contains(notice), "{told:?}");
    }
    assert_eq!(browser.requests_elsewhere(), ["a request to http://127.0.0.1:9/"]);
    browser.visit("/login");
    browser.script("document.querySelector('label[for=username]').remove()");
    let issues = axe::issues(&browser, "a page without a label");
    assert!(issues.concat().contains("label"), "{issues:?}");
}
