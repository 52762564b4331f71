//! The REST contract of client applications and scripts: the old one, byte-compatible in shape, plus our fields.

mod gzip;
pub(crate) mod list;
pub(crate) mod server_json;
pub(crate) mod servers;
pub(crate) mod users;
