//! The new REST API, under `/api/v1`: strict where the old one is lenient. Unknown names are refused, lists come in
//! pages, times are RFC 3339 in UTC.

pub(crate) mod audit;
pub(crate) mod enrol;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod incidents;
pub(crate) mod login;
pub(crate) mod page;
pub(crate) mod sd;
pub(crate) mod servers;
mod span;
pub(crate) mod stream;
pub(crate) mod targets;
pub(crate) mod text;
pub(crate) mod tokens;
pub(crate) mod totp;
pub(crate) mod users;
