//! One of two collectors is cut off from the database, alone: it judges on while the other one has taken over, and both
//! see something else of the same servers. Healed, the history is that of the one who held them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{History, Point};
use mect_fleet::{Health, ServerId, Shard, Timestamp, Transition};
use mect_testkit::mongo::ReplicaSet;

use crate::alone;
use crate::cut::Wire;
use crate::scene::{Readers, check_flips, metric};
use crate::support::collector::{Collector, Home};
use crate::support::{Program, eventually, exporter, free_port};

const SERVERS: usize = 4;
const SHARDS: f64 = 256.0;

/// A collector's home, and the exporters that it alone scrapes: at the addresses of all, on ports of its own.
struct Side {
    wire: Wire,
    home: Home,
    ports: Vec<u16>,
    exporters: Vec<Option<Program>>,
}

impl Side {
    fn new(name: &str, set: &ReplicaSet) -> Self {
        let wire = Wire::to(&set.address(set.primary()));
        let ports: Vec<_> = (0..SERVERS).map(|server| free_port(address(server))).collect();
        let mut config = format!(
            "[scrape]\ninterval_seconds = 0.5\ntimeout_seconds = 0.5\nrecheck_seconds = 0.1\n\
             [collectors]\nlease_seconds = 4\nname = \"{name}\"\n"
        );
        for (server, port) in ports.iter().enumerate() {
            config += &format!("[[targets]]\naddress = \"{}:{port}\"\n", address(server));
        }
        let mut home = Home::new(&config);
        home.set("MONGO_URL", &format!("mongodb://127.0.0.1:{}/alone?directConnection=true", wire.port));
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        let mut side = Self { wire, home, ports, exporters: (0..SERVERS).map(|_| None).collect() };
        (0..SERVERS).for_each(|server| side.up(server));
        side
    }

    fn up(&mut self, server: usize) {
        self.exporters[server] = Some(exporter(address(server), self.ports[server], |_| {}));
    }

    fn down(&mut self, server: usize) {
        self.exporters[server] = None;
    }
}

fn address(server: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 97, 1 + server as u8)
}

#[test]
fn what_it_judged_alone_is_not_the_history() {
    let _alone = alone();
    let set = ReplicaSet::start(1);
    let [first, second] = ["first", "second"].map(|name| Side::new(name, &set));
    let (a, b) = (first.home.start(), second.home.start());
    settled(&set, &a, &b);
    let ids: BTreeMap<String, ServerId> = eventually("every server to be active", || {
        let servers = b.all_servers();
        let active = servers.iter().filter(|server| server["health"] == "active");
        let ids = active.map(|server| (text(&server["ip"]), text(&server["server_id"]).parse().unwrap()));
        Some(ids.collect::<BTreeMap<_, _>>()).filter(|ids| ids.len() == SERVERS)
    });
    let victim = 0;
    let (ip, id) = (address(victim).to_string(), ids[&address(victim).to_string()]);
    // Whoever holds it is cut off.
    let holder = || settled(&set, &a, &b)[&Shard::of(id).0].clone();
    let is_first = holder() == "first";
    let (mut near, mut far) = if is_first { (second, first) } else { (first, second) };
    let (a, b) = if is_first { (&b, &a) } else { (&a, &b) };
    let health = |collector: &Collector, health: &str| {
        collector.server_when(&format!("{ip} to be {health}"), &ip, |server| server["health"] == health)
    };

    // The far one sees the server go down and come back, again and again. It is the only one.
    let cut_at = Timestamp::now();
    let readers = Readers::start(b);
    far.wire.cut(true);
    far.down(victim);
    health(b, "down");
    eventually("the near one to take over", || (metric(a, "mect_shards_held") == SHARDS).then_some(()));
    for _ in 0..2 {
        far.up(victim);
        health(b, "active");
        far.down(victim);
        health(b, "down");
    }
    far.up(victim);
    health(b, "active");
    let since_near = newest_heartbeat(a, &ip);
    eventually("the near one to scrape it", || (newest_heartbeat(a, &ip) > since_near).then_some(()));

    // What really happened to it.
    let down_at = Timestamp::now();
    near.down(victim);
    health(a, "down");
    let shown_meanwhile = newest_heartbeat(b, &ip);
    eventually("the far one to see it up meanwhile", || (newest_heartbeat(b, &ip) > shown_meanwhile).then_some(()));
    near.up(victim);
    health(a, "active");
    let up_at = Timestamp::now();
    let truth = history(&set, id).1;
    let to: Vec<_> = truth.iter().map(|flip| flip.to).collect();
    assert_eq!(to, [Health::Active, Health::Down, Health::Active], "{truth:?}");

    let (shown, _) = readers.finish();
    far.wire.cut(false);
    eventually("the spool to be empty", || {
        (b.get("/readyz").body == "ready\nstore: answers\n" && metric(b, "mect_spool_records") == 0.0).then_some(())
    });
    assert_eq!(holder() == "first", is_first, "it has its share again");
    health(b, "active");
    assert_eq!(history(&set, id).1, truth, "what it judged alone changed the history");
    assert!(metric(b, "mect_records_refused_total") > 0.0, "what came too late is counted");

    // Whoever holds it goes on from the truth: the next flip is told.
    let down_again_at = Timestamp::now();
    near.down(victim);
    far.down(victim);
    health(a, "down");
    health(b, "down");
    let (points, flips) = eventually("the next flip", || {
        let (points, flips) = history(&set, id);
        (flips.len() > truth.len()).then_some((points, flips))
    });
    assert_eq!(flips[..truth.len()], truth);
    assert_eq!((flips.len(), flips.last().unwrap().to), (4, Health::Down), "{flips:?}");
    assert_eq!(check_flips(id, &points, &flips), Vec::<&[Point]>::new(), "{flips:?}");
    for failed in points.iter().filter(|point| point.failure.is_some()) {
        let is_true = (down_at..up_at).contains(&failed.at) || failed.at >= down_again_at - Duration::from_secs(1);
        assert!(is_true, "the far one alone saw {failed:?}; down from {down_at} to {up_at}");
    }

    // What it showed meanwhile is kept, unless the other one has a scrape of the same time.
    let (mut kept, mut lost) = (0, Vec::new());
    for (server, heartbeats) in &shown.0 {
        let points = history(&set, server.parse().unwrap()).0;
        let times: BTreeSet<String> = points.iter().map(|point| point.at.to_string()).collect();
        let after_cut = heartbeats.iter().filter(|at| **at > cut_at.to_string());
        for at in after_cut {
            if times.contains(at) { kept += 1 } else { lost.push(at) }
        }
    }
    assert!(lost.is_empty() && kept > SERVERS, "{kept} kept, lost: {lost:?}");
}

/// Waits until both hold a share, and every shard is held; tells who holds which, by name and identity.
fn settled(set: &ReplicaSet, a: &Collector, b: &Collector) -> BTreeMap<u8, String> {
    eventually("both to have a share", || {
        let shares = [a, b].map(|collector| metric(collector, "mect_shards_held"));
        (shares.iter().sum::<f64>() == SHARDS && shares.iter().all(|share| *share > 0.0)).then_some(())
    });
    let names: BTreeMap<String, String> = set
        .dump("alone", "collectors")
        .iter()
        .map(|member| (member.get_str("_id").unwrap().to_owned(), member.get_str("name").unwrap().to_owned()))
        .collect();
    let lease =
        |lease: &bson::Document| (lease.get_i32("_id").unwrap() as u8, names[lease.get_str("owner").unwrap()].clone());
    set.dump("alone", "leases").iter().map(lease).collect()
}

/// Points and flips of a server, oldest first, as the database has them.
fn history(set: &ReplicaSet, id: ServerId) -> (Vec<Point>, Vec<Transition>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mongo = Mongo::open(&set.url("alone"), Options::default()).await.unwrap();
        let mut flips = mongo.transitions(Some(id), 1000).await.unwrap();
        flips.reverse();
        let all = Timestamp::from_secs(0)..Timestamp::now() + Duration::from_secs(60);
        (mongo.points(id, all).await.unwrap(), flips)
    })
}

fn newest_heartbeat(collector: &Collector, ip: &str) -> String {
    let server = collector.server_when("a heartbeat", ip, |server| server["last_heartbeat"].is_string());
    text(&server["last_heartbeat"])
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}
