//! The embedded store tells the story, and survives what a data file meets in life.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Store, story};

fn open(dir: &std::path::Path) -> Store {
    Store::of(Arc::new(Embedded::open(dir, Options::default()).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_the_story() {
    let dir = tempfile::tempdir().unwrap();
    story::tell(open(dir.path())).await;
}
