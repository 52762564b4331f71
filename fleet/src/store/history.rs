//! The history role: answers questions about the past.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::health::{Health, Transition};
use crate::report::FailureReason;
use crate::series::{self, Bucket};
use crate::server::ServerId;
use crate::time::Timestamp;

/// One scrape in a server's history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Start of the scrape.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// Why it failed; `None` for a heartbeat.
    pub failure: Option<FailureReason>,
    /// Health after it.
    pub health: Health,
    /// Ratios 0–1 in steps of 0.0001, `None` where unknown.
    pub cpu: Option<f32>,
    /// See `cpu`.
    pub ram: Option<f32>,
    /// See `cpu`; above 1 when the uplink carries more than its stated capacity.
    pub net: Option<f32>,
    /// Uplink receive rate, whole bytes per second.
    pub receive_bytes_per_second: Option<u64>,
    /// Uplink transmit rate, whole bytes per second.
    pub transmit_bytes_per_second: Option<u64>,
    /// Clients connected.
    pub sessions: Option<u32>,
}

/// Answers questions about the past.
#[async_trait]
pub trait History: Send + Sync {
    /// The scrapes of one server that started within `range`, oldest first.
    async fn points(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>>;

    /// The scrapes of one server within `range`, summed up in steps that start at multiples of `step`; a step without
    /// a scrape is left out. From an hour on, `step` counts in whole hours, and every answer is what
    /// [`series::of_points`] makes of the same scrapes, whether it was summed up before or is now.
    async fn series(&self, server: ServerId, range: Range<Timestamp>, step: Duration) -> Result<Vec<Bucket>> {
        let range = series::aligned(range, step);
        Ok(series::of_points(&self.points(server, range).await?, step))
    }

    /// The latest transitions, newest first, at most `limit`; of one server if given.
    async fn transitions(&self, server: Option<ServerId>, limit: usize) -> Result<Vec<Transition>>;

    /// The latest transitions before `before`, newest first, at most `limit`; of one server if given.
    async fn transitions_before(
        &self,
        server: Option<ServerId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Transition>>;

    /// Every transition since `from`, included, oldest first: what uptime is computed from, see [`crate::uptime`].
    async fn transitions_since(&self, from: Timestamp) -> Result<Vec<Transition>>;
}
