//! Samples sent on by remote write: to a real Prometheus, to a real VictoriaMetrics, and to a receiver of our own that can
//! misbehave.
//!
//! Debian's Prometheus, 2.42, knows version 1.0 only. Version 2.0 is held against a receiver of the test's own, which reads
//! the message by the specification's field numbers; and against that very Prometheus, which throws it away and says 204.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod away;
mod ends;
mod receiver;
mod same;
mod scene;
mod tls;
