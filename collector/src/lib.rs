//! The collector: finds targets, scrapes them on schedule, reads and judges what they say, and records it.
//!
//! The way of one scrape, each step a module that knows only its own work:
//!
//! [`discovery`] (which targets) → [`schedule`] (when) → [`scrape`] (bytes) → [`parse`] (samples) →
//! [`reading`] (cpu, ram, net, services) → `mect_fleet::health` (judgement) → [`record`] (store, then view).
//!
//! [`engine`] moves a target through these steps; [`run`] joins the parts and is the only place that knows them all.

pub mod backup;
pub mod config;
pub mod control;
pub mod discovery;
pub mod doctor;
pub mod engine;
pub mod events;
pub mod export_targets;
pub mod geolocation;
pub mod healthcheck;
pub mod logging;
pub mod metrics;
pub mod migrate;
pub mod on_demand;
pub mod pages;
pub mod parse;
pub mod push;
pub mod reading;
pub mod record;
pub mod remote_write;
pub mod run;
pub mod schedule;
pub mod scrape;
pub mod sharding;
pub mod shell;
pub mod silence;
pub mod simulate;
pub mod watch;
