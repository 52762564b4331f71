//! Samples stay in order whatever becomes of their server meanwhile.

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{History, story};
use mect_fleet::{ScrapeTarget, Standing};
use prost::Message;

use super::*;
use crate::config::{self, Protocol, Series};
use crate::discovery::Target;
use crate::parse;
use crate::remote_write::message::RequestOne;
use crate::remote_write::part::Part;

/// A fleet of one server, and one receiver.
struct Scene {
    telling: Telling,
    receiver: Arc<Receiver>,
    targets: watch::Sender<TargetSet>,
    all: watch::Sender<TargetSet>,
    server: ServerId,
    standing: Standing,
    uptimes: Uptimes,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(&directory.path().join("store"), Options::default()).unwrap());
        let fleet = Arc::new(Fleet::load(store.clone(), Vec::new()).await.unwrap());
        let now = Timestamp::now();
        let server = fleet.register(vec![story::registration(1)], now).await.unwrap()[0].id;
        fleet.set_monitored(&[server].into(), now);
        let settings = config::RemoteWrite {
            name: "one".into(),
            url: "http://192.0.2.1/".into(),
            protocol: Protocol::One,
            send: Series::Derived,
            access: None,
            insecure_credentials: false,
            headers: Default::default(),
            external_labels: Default::default(),
            queue_mib: 1,
            timeout_seconds: 1.0,
            max_samples: 2000,
        };
        let receiver = Arc::new(Receiver::open(&settings, directory.path()).unwrap());
        let history: Arc<dyn History> = store;
        let (targets, ours) = watch::channel(TargetSet::default());
        let (all, of_all) = watch::channel(TargetSet::default());
        let pages = Pages::new(false, parse::Limits::default());
        let parts = Parts { fleet, history: history.clone(), pages, ours, all: of_all };
        let teller = Arc::new(Teller::new("vpn".into(), history));
        let uptimes = teller.uptimes().await;
        let telling = Telling::new(parts, teller, &[Arc::clone(&receiver)]);
        let standing = Standing::default();
        let scene = Self { telling, receiver, targets, all, server, standing, uptimes, _directory: directory };
        scene.has_target(true, true);
        scene
    }

    fn has_target(&self, is_ours: bool, is_anybodys: bool) {
        let target = Target {
            server: self.server,
            page: Some(ScrapeTarget::at("10.0.0.1:9776".parse().unwrap())),
            fallback_format: None,
            capacity_bytes_per_second: None,
            accepted_host: None,
            epoch: 0,
        };
        let set = |has: bool| TargetSet::new(has.then(|| target.clone()).into_iter().collect());
        self.targets.send_replace(set(is_ours));
        self.all.send_replace(set(is_anybodys));
    }

    fn record(&mut self, at: Timestamp) -> Record {
        story::observe(&mut self.standing, self.server, at, story::heartbeat(1))
    }

    /// Times of the samples of `up` in the queue, which is emptied, each with whether it is an end.
    fn told(&self) -> Vec<(i64, bool)> {
        let mut told = Vec::new();
        while let Some(request) = self.receiver.oldest().unwrap() {
            let part = Part::whole(&request).unwrap();
            let message = snap::raw::Decoder::new().decompress_vec(&part.body).unwrap();
            for series in RequestOne::decode(&*message).unwrap().series {
                let has = |name: &str, value: &str| series.labels.iter().any(|l| l.name == name && l.value == value);
                if has("__name__", "up") {
                    assert!(has("instance", "10.0.0.1:9776"), "{series:?}");
                    let sample = series.samples[0];
                    told.push((sample.timestamp, sample.value.to_bits() == STALE.to_bits()));
                }
            }
            self.receiver.done(&request, 1);
        }
        told
    }
}

fn millis(at: Timestamp) -> i64 {
    at.as_millis()
}

#[tokio::test]
async fn what_waited_for_the_store_while_its_server_went_is_not_told_behind_its_end() {
    let mut scene = Scene::new().await;
    let start = Timestamp::now() - Duration::from_secs(60);
    let [first, late] = [0, 30].map(|seconds| scene.record(start + Duration::from_secs(seconds)));
    let uptimes = scene.uptimes.clone();
    scene.telling.scrapes(&[first], &uptimes);
    assert_eq!(scene.told(), [(millis(start), false)]);
    scene.has_target(false, false);
    scene.telling.fleet(&uptimes);
    let ends = scene.told();
    let [(end, true)] = ends[..] else { panic!("{ends:?}") };
    scene.telling.scrapes(std::slice::from_ref(&late), &uptimes);
    assert_eq!(scene.told(), [], "nobody scrapes it any more");
    scene.has_target(true, true);
    scene.telling.scrapes(&[late], &uptimes);
    assert_eq!(scene.told(), [], "older than the end");
    let again = Timestamp::from_millis(end + 1);
    let record = scene.record(again);
    scene.telling.scrapes(&[record], &uptimes);
    assert_eq!(scene.told(), [(end + 1, false)]);
}

#[tokio::test]
async fn the_last_record_of_a_server_that_another_collector_took_keeps_its_labels() {
    let mut scene = Scene::new().await;
    let start = Timestamp::now() - Duration::from_secs(60);
    let [first, second, third] = [0, 10, 20].map(|seconds| scene.record(start + Duration::from_secs(seconds)));
    let uptimes = scene.uptimes.clone();
    scene.telling.scrapes(&[first], &uptimes);
    scene.has_target(false, true);
    scene.telling.scrapes(&[second], &uptimes);
    assert_eq!(scene.told(), [0, 10].map(|seconds| (millis(start + Duration::from_secs(seconds)), false)));
    scene.telling.fleet(&uptimes);
    scene.telling.scrapes(&[third], &uptimes);
    assert_eq!(scene.told(), [], "it goes on there");
}
