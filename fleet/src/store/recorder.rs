//! The recorder role: takes what scrapes tell.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::health::Transition;
use crate::report::Report;
use crate::server::ServerId;
use crate::time::Timestamp;
use crate::view::Standing;

/// A scrape to be made durable: the report, what it made of the server's standing, and the flip it caused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What the scrape told.
    pub report: Report,
    /// The standing with the report folded in.
    pub standing: Standing,
    /// The change of health, if there was one.
    pub transition: Option<Transition>,
    /// Epoch of the lease under which the server was scraped; 0 where nothing is leased. A store that leases refuses
    /// a record of an older epoch than the one it has granted since.
    pub epoch: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Places in the batch of the records that were refused, because another collector has taken their servers over.
    /// Nothing of these may be shown.
    pub refused: Vec<usize>,
}

/// Takes what scrapes tell.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Makes a batch durable, all or nothing but for what a newer epoch refuses. Idempotent: a record that is there
    /// already changes nothing, so an unsure batch may be sent again. A batch that comes late never sets a standing
    /// back.
    async fn record(&self, batch: Arc<Vec<Record>>) -> Result<Recorded>;

    /// Makes durable what was recorded elsewhere meanwhile, in a spool for example. Unlike [`record`](Self::record) it
    /// takes what the same collector recorded under an earlier lease, as long as nobody else held the server since.
    /// Of what somebody else has overtaken it keeps the heartbeats, which were acknowledged, where the other one
    /// recorded no scrape of the same time; failures may have been the collector's own, and flips and standings never
    /// were the truth.
    async fn replay(&self, batch: Arc<Vec<Record>>) -> Result<Recorded>;

    /// Standings as last recorded.
    async fn standings(&self) -> Result<Vec<(ServerId, Standing)>>;

    /// Compresses what is old enough and deletes history before `oldest`. Called every few minutes; writes go on
    /// meanwhile.
    async fn maintain(&self, now: Timestamp, oldest: Timestamp) -> Result<Maintenance>;
}

/// What a call of [`Recorder::maintain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Points moved into compressed blocks, or summed up in rollups.
    pub points_sealed: u64,
    /// Days of history deleted.
    pub days_deleted: u64,
}
