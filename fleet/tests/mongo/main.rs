//! The store on real MongoDB replica sets.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use bson::doc;
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{Store, story};
use mect_testkit::mongo::ReplicaSet;

mod audit;
mod failover;
mod fence;
mod inspect;
mod large;
mod leases;
mod migration;
mod old;
mod open;
mod rollups;

/// One node that tests share, each in a database of its own; no test may harm it. Its clock deletes nothing: tests play
/// at times of their own.
struct Shared {
    set: ReplicaSet,
}

impl Shared {
    fn url(&self, database: &str) -> String {
        self.set.url(database)
    }

    async fn open(&self, database: &str) -> Mongo {
        Mongo::open(&self.url(database), Options::default()).await.unwrap()
    }
}

fn shared() -> &'static Shared {
    static SHARED: LazyLock<Shared> = LazyLock::new(|| {
        let set = ReplicaSet::start(1);
        set.command(0, doc! { "setParameter": 1, "ttlMonitorEnabled": false }).unwrap();
        Shared { set }
    });
    &SHARED
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_the_story() {
    story::tell(Store::of(Arc::new(shared().open("story").await))).await;
}
