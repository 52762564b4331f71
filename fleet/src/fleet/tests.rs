use super::*;
use crate::health::Health;
use crate::server::{Period, ServerPatch};
use crate::store::embedded::{Embedded, Options};
use crate::store::{Recorder, story};

/// A fleet of one server that answers, at second 1000.
async fn fleet_of_one() -> (tempfile::TempDir, Arc<Fleet>, ServerId) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(directory.path(), Options::default()).unwrap());
    let fleet = Arc::new(Fleet::load(store.clone(), Vec::new()).await.unwrap());
    let now = Timestamp::from_secs(1000);
    let server = fleet.register(vec![story::registration(1)], now).await.unwrap()[0].id;
    fleet.set_monitored(&HashSet::from([server]), now);
    let batch = Arc::new(vec![story::observe(&mut Standing::default(), server, now, story::heartbeat(1))]);
    store.record(batch.clone()).await.unwrap();
    fleet.apply(&batch);
    fleet.publish(now);
    (directory, fleet, server)
}

#[tokio::test]
async fn a_drain_and_a_maintenance_end_by_themselves() {
    let (_directory, fleet, id) = fleet_of_one().await;
    let at = |seconds| Timestamp::from_secs(seconds);
    let listed = || fleet.view().ranked().len();
    assert_eq!(listed(), 1);
    let period = |until| Some(Some(Period { since: at(1000), until: Some(at(until)) }));
    let patch = ServerPatch { draining: period(1100), maintenance: period(1050), ..ServerPatch::default() };
    fleet.edit(id, patch, at(1001)).await.unwrap().unwrap();
    let shown = || {
        let view = fleet.view();
        let server = view.by_id(id).unwrap();
        (server.draining, server.in_maintenance, server.is_listed())
    };
    assert_eq!((shown(), listed()), ((true, true, false), 0));
    assert_eq!(fleet.view().by_id(id).unwrap().health(), Health::Active, "intent is not health");
    fleet.publish(at(1049));
    assert_eq!(shown(), (true, true, false));
    fleet.publish(at(1050));
    assert_eq!(shown(), (true, false, false));
    fleet.publish(at(1100));
    assert_eq!((shown(), listed()), ((false, false, true), 1));
}

#[tokio::test]
async fn what_is_in_force_at_the_start_is_shown_at_once() {
    let (_directory, fleet, id) = fleet_of_one().await;
    let maintenance = Some(Some(Period { since: Timestamp::from_secs(1000), until: None }));
    fleet.edit(id, ServerPatch { maintenance, ..ServerPatch::default() }, Timestamp::from_secs(1001)).await.unwrap();
    let restarted = Fleet::load(fleet.inventory.clone(), Vec::new()).await.unwrap();
    assert!(restarted.view().by_id(id).unwrap().in_maintenance);
}

#[tokio::test]
async fn many_edits_are_seen_together() {
    let (_directory, fleet, id) = fleet_of_one().await;
    let now = Timestamp::from_secs(1001);
    let others = fleet.register(vec![story::registration(2), story::registration(3)], now).await.unwrap();
    let patch = ServerPatch { notes: Some("moving".into()), ..ServerPatch::default() };
    let edits = [id, others[0].id].map(|id| (id, patch.clone())).to_vec();
    assert_eq!(fleet.edit_many(edits, now).await.unwrap().len(), 2);
    let view = fleet.view();
    let noted = view.servers().iter().filter(|view| view.server.notes == "moving").count();
    assert_eq!((noted, view.servers().len()), (2, 3));
}

#[tokio::test]
async fn an_edit_that_nobody_waits_for_is_shown_all_the_same() {
    let (_directory, fleet, id) = fleet_of_one().await;
    let mut views = fleet.subscribe();
    let patch = ServerPatch { notes: Some("moving".into()), ..ServerPatch::default() };
    let edit = fleet.edit(id, patch, Timestamp::from_secs(1001));
    // Asked for, and given up at once.
    assert!(tokio::time::timeout(Duration::ZERO, edit).await.is_err());
    let is_shown = |view: &Arc<FleetView>| view.by_id(id).unwrap().server.notes == "moving";
    tokio::time::timeout(Duration::from_secs(30), views.wait_for(is_shown)).await.unwrap().unwrap();
}

#[tokio::test]
async fn only_what_is_to_be_scraped_grows_stale() {
    let (_directory, fleet, id) = fleet_of_one().await;
    let at = |seconds| Timestamp::from_secs(seconds);
    let is_stale = || fleet.view().by_id(id).unwrap().stale;
    fleet.publish(at(1100));
    assert!(!is_stale());
    fleet.publish(at(1301));
    assert!(is_stale(), "two and a half intervals are over");
    fleet.set_monitored(&HashSet::new(), at(1302));
    assert!(!is_stale(), "its target went");
    fleet.publish(at(90_000));
    assert!(!is_stale());
    fleet.set_monitored(&HashSet::from([id]), at(90_001));
    assert!(is_stale(), "its target is back, and nobody has looked yet");
}
