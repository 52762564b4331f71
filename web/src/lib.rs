//! REST, pages and Prometheus endpoints of the fleet.
//!
//! Everything is handed in through [`Parts`]; this crate reads neither environment nor files, and knows nothing of
//! how servers are scraped. A request passes, from the outside in: security headers (`headers`), the time limit
//! with error pages for browsers (`router`, `pages::error`), panics, the cross-site check, and the access table
//! (`access`), which refuses every route that it does not name. Then come the handlers: `rest` for programs,
//! `pages` for people, `federate`, `probe`, `probes` and `reload` for the machinery around us. `openapi` describes them.

mod access;
mod app;
mod audit;
mod auth;
mod client;
mod cors;
mod endpoints;
mod error;
mod extract;
mod federate;
mod headers;
mod latest;
mod openapi;
mod pages;
mod patience;
mod probe;
mod probes;
mod reload;
mod rest;
mod router;
mod secret;
mod serve;
mod settings;
mod signature;
mod tls;
mod twins;

pub use app::Parts;
pub use audit::LOGIN_OK;
pub use auth::by_hand;
pub use auth::first_admin::{FirstAdminError, ensure_first_admin};
pub use federate::{Kind, SampleSink, Teller, Uptimes};
pub use rest::server_json::encode as server_json;
pub use rest::v1::sd::target_file;
pub use router::router;
pub use secret::{AgentKey, Secret};
pub use serve::{ServeLimits, Tls, serve, serve_tls};
pub use settings::{Enrolment, Federation, Settings, SettingsError};
pub use signature::{InvalidListKey, ListKey};
pub use tls::{TlsError, server_config};
