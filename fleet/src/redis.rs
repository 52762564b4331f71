//! Redis: a cache for other programs and a live bus between collectors, never the truth.
//!
//! Nothing is read back from a key. What arrives on the bus is signed (`seal`), so that whoever can write to Redis
//! can neither change nor delay what readers see; and it only speeds up what the store tells anyway. Nothing that
//! serves a request waits for Redis: all traffic is sent by [`publish`] and [`Cache::run`] in the background, within
//! [`CALL_BUDGET`] a call and behind a breaker.

mod breaker;
mod bus;
mod cache;
mod link;
mod listen;
mod ping;
mod seal;
mod url;

pub use bus::publish;
pub use cache::Cache;
pub use link::{CALL_BUDGET, Link};
pub use listen::{Hearers, listen};
pub use ping::ping;
pub use seal::{Opener, Sealer, pair};
pub use url::{RedisUrl, UrlError};

/// The channel of the live bus. The number changes when collectors of before and after could not understand each
/// other.
pub const CHANNEL: &str = "mect:bus:v1";
