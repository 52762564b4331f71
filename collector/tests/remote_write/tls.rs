//! Receivers that are reached by TLS.

use crate::scene::{address, home, metric};
use crate::support::pki::Authority;
use crate::support::victoria::VictoriaMetrics;
use crate::support::{eventually, simulate};

/// A `[[remote_write]]` by TLS, and the access of its name.
fn receiver(name: &str, address: &str, access: &str) -> String {
    format!(
        "[[remote_write]]\nname = \"{name}\"\nurl = \"https://{address}/api/v1/write\"\naccess = \"{name}\"\n\
         [[access]]\nname = \"{name}\"\n{access}\n"
    )
}

#[test]
fn a_private_authority_is_trusted_only_where_an_access_names_it() {
    let at = address();
    let ip = at.split(':').next().unwrap();
    let home = home(&(receiver("known", &at, "ca = \"ca.pem\"") + &receiver("other", &at, "ca = \"other.pem\"")));
    let pki = Authority(home.path());
    ["ca", "other"].iter().for_each(|name| pki.root(name));
    pki.issue("receiver", "ca", &format!("IP:{ip}"), 30);
    let victoria = VictoriaMetrics::start_tls(home.path(), &at, "receiver");
    let _simulation = simulate(2, &home.path().join("targets.json"));
    let collector = home.start();
    eventually("samples at a receiver that is trusted", || {
        (metric(&collector, "samples_total", "known") > 50.0).then_some(())
    });
    eventually("attempts at one that is not", || (metric(&collector, "failures_total", "other") > 0.0).then_some(()));
    assert_eq!(metric(&collector, "samples_total", "other"), 0.0);
    assert_eq!(metric(&collector, "rejected_samples_total", "known"), 0.0);
    assert!(home.log().contains("they wait and are sent again"), "{}", home.log());
    victoria.stop();
}
