//! What a monitored VPN fleet is: its servers, what a scrape tells of them, how their health is judged, how they
//! are ranked for clients, and where all of it is kept.
//!
//! This crate knows neither sockets nor pages. Data passes through it in one direction:
//!
//! 1. the collector turns a scrape into a [`Report`];
//! 2. [`health::step`] folds the report into the server's [`Standing`] and says whether its health flipped;
//! 3. a [`store::Recorder`] makes report, standing and transition durable in one step;
//! 4. only then [`Fleet::apply`] shows them in the [`FleetView`], the immutable snapshot that pages and REST read.
//!
//! Against the stream flows operator intent alone, through [`Fleet`].

pub mod account;
pub mod fleet;
pub mod health;
pub mod ranking;
pub mod reading;
pub mod report;
pub mod server;
pub mod store;
pub mod time;
pub mod view;

pub use account::{Role, Session, User};
pub use fleet::Fleet;
pub use health::{Health, HealthState, Rule, Transition};
pub use reading::{Reading, Service, ServiceReading};
pub use report::{Failure, FailureReason, Outcome, Report};
pub use server::{FlagsPatch, Place, Server, ServerId};
pub use time::Timestamp;
pub use view::{FleetView, ServerView, Standing};
