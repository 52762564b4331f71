//! The database answers, and refuses what belongs to one server, because of a validator that somebody else made. Nobody
//! else has to wait for it.

use bson::{Document, doc};
use mect_testkit::mongo::ReplicaSet;

use crate::alone;
use crate::scene::{SERVERS, Scene, metric};
use crate::support::collector::Collector;
use crate::support::eventually;

#[test]
fn a_refusal_is_no_outage() {
    let _alone = alone();
    let set = ReplicaSet::start(1);
    let scene = Scene::new(&set.url("refused"), 0.5, &[]);
    let collector = scene.home.start();
    eventually("the fleet", || (collector.get("/servers").json().as_array()?.len() == SERVERS).then_some(()));
    let ip = collector.all_servers()[3]["ip"].as_str().unwrap().to_owned();
    let command = |mut command: Document| {
        command.insert("$db", "refused");
        set.command(set.primary(), command).unwrap();
    };

    command(doc! { "collMod": "servers", "validator": { "ip": { "$ne": &ip } } });
    others_go_on(&set, &collector, &ip);
    command(doc! { "collMod": "servers", "validator": {} });
    all_go_on(&set, &collector);
    assert_eq!(metric(&collector, "mect_spool_dropped_records_total"), 0.0);
    let aside = std::fs::read_to_string(scene.home.data_dir().join("spool/refused.jsonl")).unwrap();
    let aside = aside.lines().map(|line| serde_json::from_str::<mect_fleet::store::Record>(line).unwrap());
    let servers: std::collections::BTreeSet<_> = aside.map(|record| record.report.server.to_string()).collect();
    let id = collector.server_when("its identity", &ip, |_| true)["server_id"].as_str().unwrap().to_owned();
    assert_eq!(servers.into_iter().collect::<Vec<_>>(), [id], "nobody else's records were set aside");
    collector.stop();
}

/// Records of one server are refused and set aside; those of all others are stored, and soon.
fn others_go_on(set: &ReplicaSet, collector: &Collector, ip: &str) {
    let aside = metric(collector, "mect_records_set_aside_total");
    eventually("records to be set aside", || {
        (metric(collector, "mect_records_set_aside_total") > aside + 2.0).then_some(())
    });
    let before = stored(set);
    eventually("newer scrapes of all others to be stored", || {
        let now = stored(set);
        let newer = |(known, at): &(String, i64)| known == ip || before.iter().any(|(ip, old)| ip == known && old < at);
        assert_eq!(metric(collector, "mect_store_up"), 1.0, "a refusal is no outage");
        now.iter().all(newer).then_some(())
    });
    assert_eq!(collector.get("/readyz").body, "ready\nstore: answers\n");
}

/// Nothing is refused any more.
fn all_go_on(set: &ReplicaSet, collector: &Collector) {
    eventually("the spool to be empty", || (metric(collector, "mect_spool_records") == 0.0).then_some(()));
    let before = stored(set);
    eventually("newer scrapes of all to be stored", || {
        let is_newer = |(known, at): &(String, i64)| before.iter().any(|(ip, old)| ip == known && old < at);
        stored(set).iter().all(is_newer).then_some(())
    });
}

/// The latest scrape of every server, by address, as the database has it.
fn stored(set: &ReplicaSet) -> Vec<(String, i64)> {
    let servers = set.dump("refused", "servers");
    let stored = servers.iter().map(|server| {
        let standing = server.get_document("mect").unwrap().get_document("standing");
        let at = standing.ok().and_then(|standing| standing.get_i64("last_scrape").ok());
        (server.get_str("ip").unwrap().to_owned(), at.unwrap_or_default())
    });
    stored.collect()
}
