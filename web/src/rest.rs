//! The REST contract of client applications and scripts: the old one, byte-compatible in shape, plus our fields.

pub(crate) mod coding;
pub(crate) mod heartbeat;
pub(crate) mod lenient;
pub(crate) mod list;
pub(crate) mod loads;
pub(crate) mod params;
pub(crate) mod recommendations;
pub(crate) mod server_json;
pub(crate) mod servers;
pub(crate) mod users;
pub(crate) mod v1;
