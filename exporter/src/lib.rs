//! The exporter of Mect VPN Monitor: one small process per VPN host that answers `GET /metrics`.
//!
//! A request takes one path through this crate, in one direction:
//!
//! ```text
//! sampler/*   each file reads one source below an injected root and writes its own families
//! vpn/*       asks the VPN services, together, and judges how well each does
//!    │
//! collect     runs the samplers one after another; a failing one costs only its own metrics
//!    │
//! page        text format 0.0.4: HELP, TYPE, escaping, numbers
//! exposition  the finished page: parts of it, and the same as OpenMetrics
//!    │
//! http        hyper: who may ask, one collection at a time, a page is reused for one second
//! ```
//!
//! [`config`] says what to sample and where to listen, [`run`] joins the parts and stops them again.
//! Host metrics carry node_exporter's names, labels and meaning, so that existing dashboards and
//! alerts keep working; metrics about the VPN services are ours and start with `vpn_`.
//!
//! The library never reads the environment or the command line and never exits: the binary does.
#![cfg(target_os = "linux")]

pub mod check;
pub mod cli;
pub mod collect;
pub mod config;
pub mod dbus;
pub mod exposition;
pub mod healthcheck;
pub mod host;
pub mod http;
pub mod log;
pub mod netlink;
pub mod notify;
pub mod page;
pub mod root;
pub mod run;
pub mod sampler;
pub mod vpn;

/// Version of the exporter, as `--version` and `vpn_exporter_build_info` show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
