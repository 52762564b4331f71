//! The database goes away and comes back, in every way there is: scraping goes on, readers are served from memory, and
//! afterwards every heartbeat that was ever shown is in the history exactly once.
//!
//! Real `mongod`s, the real collector, a simulated fleet.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod alone_cut_off;
mod cut;
mod faults;
mod history;
mod refused;
mod resume;
mod scene;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Three replica sets at once would measure each other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
