//! Every page in every state that looks different, whole, against a file of it in `html/`.
//!
//! `MECT_UPDATE_PAGES=1 cargo test -p mect-web --test snapshots` writes the files; the change is then seen in the diff.
//!
//! | module | holds |
//! |---|---|
//! | `golden` | the files, and what differs from them |
//! | `normal` | pure: a page without what differs from run to run |
//! | `scene` | a fleet with a server in every state |
//!
//! The other modules are states, one topic each.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod account;
mod add;
mod admin;
mod errors;
mod fleet;
mod golden;
mod normal;
mod past;
mod scene;
mod server;
