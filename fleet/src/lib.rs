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
pub mod archive;
pub mod collecting;
pub mod country;
pub mod endpoint;
pub mod fleet;
pub mod guard;
pub mod health;
mod host_id;
pub mod incident;
pub mod installation;
pub mod instance;
pub mod migration;
mod network;
mod nobody;
pub mod peers;
pub mod ranking;
pub mod reading;
pub mod redis;
pub mod report;
pub mod series;
pub mod server;
pub mod shard;
pub mod spool;
pub mod store;
pub mod target_group;
pub mod target_policy;
pub mod throttle;
pub mod time;
pub mod uptime;
pub mod view;

pub use account::{ApiToken, Grant, Renewal, Role, Scope, Session, Totp, User, UserPatch};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use fleet::Fleet;
pub use guard::{Doubt, Guard, Side};
pub use health::{Health, HealthState, Rule, Transition};
pub use host_id::{HostId, InvalidHostId};
pub use network::{InvalidNetwork, Network};
pub use nobody::is_nobody;
pub use peers::{Neighbours, News, Peers, UserChanges};
pub use reading::{EndpointReading, Reading, Service, ServiceReading};
pub use report::{Failure, FailureReason, Outcome, Report};
pub use server::{
    Coordinates, FlagsPatch, Origin, Period, Place, PlacePatch, ScrapeTarget, Server, ServerId, ServerPatch, Tag,
};
pub use shard::{Lease, Shard};
pub use target_group::TargetGroup;
pub use target_policy::{Denied, TargetPolicy};
pub use throttle::LoginThrottle;
pub use time::Timestamp;
pub use view::{Age, FleetView, ServerView, Standing};
