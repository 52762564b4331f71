//! Killed in the middle of an outage: the next collector goes on from what only the spool knows.

use std::net::Ipv4Addr;
use std::sync::Arc;

use mect_fleet::store::Store;
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::{Health, ServerId};
use mect_testkit::mongo::ReplicaSet;

use crate::alone;
use crate::scene::metric;
use crate::support::collector::Home;
use crate::support::{eventually, exporter, free_port};

const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 98, 1);

#[test]
fn health_goes_on_from_the_spool() {
    let _alone = alone();
    let mut set = ReplicaSet::start(1);
    let port = free_port(SERVER);
    let config = |fall: u32| {
        format!(
            "[scrape]\ninterval_seconds = 0.5\ntimeout_seconds = 0.5\nrecheck_seconds = 0.1\n\
             [health]\nfall = {fall}\n[[targets]]\naddress = \"{SERVER}:{port}\"\n"
        )
    };
    let mut home = Home::new(&config(3));
    home.set("MONGO_URL", &set.url("resume"));
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let up = exporter(SERVER, port, |_| {});
    let mut collector = home.start();
    let ip = SERVER.to_string();
    collector.server_when("an active server", &ip, |server| server["health"] == "active");
    set.kill(0);
    drop(up);
    let down = collector.server_when("the fall", &ip, |server| server["health"] == "down");
    assert!(metric(&collector, "mect_spool_records") > 0.0);
    collector.program.kill();

    set.restart(0);
    set.primary();
    // This one would not judge it down by itself.
    home.configure(&config(1000));
    let collector = home.start();
    assert_eq!(collector.all_servers()[0]["health"], "down", "only the spool knew");
    eventually("the spool to be empty", || (metric(&collector, "mect_spool_records") == 0.0).then_some(()));
    collector.stop();
    let id: ServerId = down["server_id"].as_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        let store = Store::of(Arc::new(Mongo::open(&set.url("resume"), Options::default()).await.unwrap()));
        store.history.transitions(Some(id), 10).await.unwrap()
    });
    let told: Vec<_> = told.iter().map(|transition| (transition.number, transition.to)).collect();
    assert_eq!(told, [(2, Health::Down), (1, Health::Active)]);
}
