//! Back up a collector that records, kill it, restore elsewhere, go on: nothing that was shown before the backup is lost.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{History, Store, story};
use mect_fleet::{ServerId, Standing, Timestamp};
use support::collector::{Collector, Home};
use support::{Program, eventually, simulate};

const SERVERS: usize = 100;

/// A simulated fleet, and a home whose collector scrapes it all the time.
fn scene() -> (Program, Home) {
    let home = Home::new(&config("targets.json"));
    let simulation = simulate(SERVERS, &home.path().join("targets.json"));
    (simulation, home)
}

fn config(targets: &str) -> String {
    format!("[scrape]\ninterval_seconds = 0.5\ntimeout_seconds = 0.5\n[[file_sd]]\nfiles = [\"{targets}\"]\n")
}

fn run(home: &Home, subcommand: &str, arguments: &[&Path]) -> Output {
    home.command(subcommand).args(arguments).output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in parts {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
}

/// Heartbeats by server.
type Heartbeats = BTreeMap<String, BTreeSet<String>>;

fn note_shown(collector: &Collector, shown: &mut Heartbeats) {
    for server in collector.all_servers() {
        if let Some(heartbeat) = server["last_heartbeat"].as_str() {
            let id = server["server_id"].as_str().unwrap().to_owned();
            shown.entry(id).or_default().insert(heartbeat.to_owned());
        }
    }
}

fn newest(collector: &Collector) -> String {
    let servers = collector.all_servers();
    servers.iter().filter_map(|server| server["last_heartbeat"].as_str()).max().unwrap_or_default().to_owned()
}

#[test]
fn a_collector_that_records_is_backed_up_and_restored() {
    let (_simulation, home) = scene();
    let mut collector = home.start();
    let mut shown = Heartbeats::new();
    eventually("every server to be shown several times", || {
        note_shown(&collector, &mut shown);
        (shown.len() == SERVERS && shown.values().all(|heartbeats| heartbeats.len() > 4)).then_some(())
    });
    let key = std::fs::read(home.data_dir().join("secret.key")).unwrap();
    let socket = home.data_dir().join("control.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let backups = tempfile::tempdir().unwrap();
    let backup = backups.path().join("backup");
    let before = newest(&collector);
    let said = done(&run(&home, "backup", &[&backup]));
    assert!(said.contains("from the running collector") && said.contains("its checksum is right"), "{said}");
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    eventually("recording to go on", || (newest(&collector) > before).then_some(()));

    let first = std::fs::read(&backup).unwrap();
    refused(&run(&home, "backup", &[&backup]), &["exists", "--force"]);
    assert_eq!(std::fs::read(&backup).unwrap(), first);
    done(&run(&home, "backup", &[Path::new("--force"), &backup]));
    assert_ne!(std::fs::read(&backup).unwrap(), first);
    std::fs::write(&backup, &first).unwrap();
    done(&run(&home, "backup", &[backups.path()]));
    let names: Vec<_> = std::fs::read_dir(backups.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no draft is left: {names:?}");
    collector.program.kill();

    let elsewhere = Home::new(&config(home.path().join("targets.json").to_str().unwrap()));
    refused(&run(&home, "restore", &[&backup]), &["not empty"]);
    let said = done(&run(&elsewhere, "restore", &[&backup]));
    assert!(said.contains("secret.key") && said.contains("AGENT_API_KEY"), "{said}");
    assert_eq!(std::fs::read(elsewhere.data_dir().join("secret.key")).unwrap(), key);

    let again = elsewhere.start();
    let newest_shown = shown.values().flatten().max().unwrap().clone();
    eventually("scraping to go on", || (newest(&again) > newest_shown).then_some(()));
    again.stop();
    check(&elsewhere, &shown);
    // A collector that was killed is backed up as well: what it left is opened.
    assert!(socket.exists(), "a killed collector leaves its socket");
    let dead = backups.path().join("dead");
    let said = done(&run(&home, "backup", &[&dead]));
    assert!(said.contains("from the data directory"), "{said}");
    let third = Home::new("");
    done(&run(&third, "restore", &[&dead]));
    check(&third, &shown);
}

/// Every heartbeat that was shown is in the history.
fn check(home: &Home, shown: &Heartbeats) {
    let store = Embedded::open(&home.data_dir(), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (id, heartbeats) in shown {
        let id: ServerId = id.parse().unwrap();
        let all = Timestamp::from_secs(0)..Timestamp::now() + Duration::from_secs(60);
        let points = runtime.block_on(store.points(id, all)).unwrap();
        let recorded: BTreeSet<_> = points.iter().map(|point| point.at.to_string()).collect();
        let lost: Vec<_> = heartbeats.difference(&recorded).collect();
        assert!(lost.is_empty(), "{id}: shown and lost: {lost:?}");
    }
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let home = Home::new("");
    home.start().stop();
    let backup = home.path().join("backup");
    done(&run(&home, "backup", &[&backup]));
    let whole = std::fs::read(&backup).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let elsewhere = Home::new("");
    for bytes in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &flipped] {
        std::fs::write(&backup, bytes).unwrap();
        refused(&run(&elsewhere, "restore", &[&backup]), &["damaged", "use another backup"]);
        assert!(!elsewhere.data_dir().exists());
    }
    refused(&run(&elsewhere, "restore", &[&home.config_path()]), &["no backup of mect-collector"]);
    std::fs::write(&backup, &whole).unwrap();
    done(&run(&elsewhere, "restore", &[&backup]));
    elsewhere.start();
}

#[test]
fn what_cannot_be_backed_up_is_said() {
    let mut home = Home::new("");
    refused(&run(&home, "backup", &[Path::new("/nowhere/backup")]), &["there is no store", "MECT_DATA_DIR"]);
    home.start().stop();
    refused(&run(&home, "backup", &[Path::new("/nowhere/backup")]), &["/nowhere"]);
    home.set("MONGO_URL", "mongodb://127.0.0.1:1/fleet");
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    refused(&run(&home, "backup", &[Path::new("backup")]), &["MongoDB", "mongodump"]);
}

/// Longer than a socket's path may be.
#[test]
fn a_deep_data_directory_is_backed_up_online() {
    let mut home = Home::new("");
    let deep = home.path().join("d".repeat(120));
    home.set("MECT_DATA_DIR", deep.to_str().unwrap());
    let _collector = home.start();
    let said = done(&run(&home, "backup", &[&home.path().join("backup")]));
    assert!(said.contains("from the running collector"), "{said}");
}

/// Whoever asks for a backup and takes nothing holds up neither another question nor a stop.
#[test]
fn a_backup_that_nobody_takes_holds_up_nothing() {
    let home = Home::new("");
    fill(&home);
    let collector = home.start();
    let mut stream = UnixStream::connect(home.data_dir().join("control.sock")).unwrap();
    stream.write_all(b"backup\n").unwrap();
    stream.read_exact(&mut [0; 3]).unwrap();
    refused(&run(&home, "backup", &[&home.path().join("backup")]), &["another backup is being taken"]);
    // Long before it would be given up for want of a taker.
    let started = Instant::now();
    collector.stop();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

/// More than fits into the buffers on the way.
fn fill(home: &Home) {
    let store = Store::of_own(Arc::new(Embedded::open(&home.data_dir(), Options::default()).unwrap()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let now = Timestamp::now();
    let registrations = (0..20).map(story::registration).collect();
    let servers = runtime.block_on(store.inventory.register(registrations, now)).unwrap();
    for server in servers {
        let mut standing = Standing::default();
        let at = |n: u32| now - Duration::from_secs(3000) + Duration::from_secs(3) * n;
        let batch = (0..1000).map(|n| story::observe(&mut standing, server.id, at(n), story::heartbeat(n))).collect();
        runtime.block_on(store.recorder.record(Arc::new(batch))).unwrap();
    }
}
