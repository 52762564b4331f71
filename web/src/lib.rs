//! REST, pages and Prometheus endpoints of the fleet.
//!
//! Everything is handed in through [`Parts`]; this crate reads neither environment nor files, and knows nothing of
//! how servers are scraped. A request passes, from the outside in: security headers (`headers`), error pages for
//! browsers (`pages::error`), panic and time limits (`router`), the cross-site check, and the access table
//! (`access`), which refuses every route that it does not name. Then come the handlers: `rest` for programs,
//! `pages` for people, `probes` for the machinery around us.

mod access;
mod app;
mod auth;
mod error;
mod extract;
mod headers;
mod pages;
mod probes;
mod rest;
mod router;
mod secret;
mod serve;
mod settings;

pub use app::Parts;
pub use auth::first_admin::{FirstAdminError, ensure_first_admin};
pub use router::router;
pub use secret::Secret;
pub use serve::{ServeLimits, serve};
pub use settings::{Settings, SettingsError};
