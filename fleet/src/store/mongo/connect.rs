//! From a URL to a client: what the URL says, and what we say for it where a default would hurt.

use std::time::Duration;

use mongodb::Client;
use mongodb::options::{ClientOptions, ConnectionString, ReadConcern};

use super::{DEFAULT_DATABASE, write_concern};
use crate::store::{Result, StoreError};

/// How the program calls itself in the server's log.
const APP_NAME: &str = "mect-collector";
/// Finding a node that can serve takes at most this long: the driver's 30 s would hold up pages and probes.
const SELECT_WITHIN: Duration = Duration::from_secs(3);
/// A node that does not accept a connection within this time counts as gone.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Connections to each node at once, unless the URL says otherwise. Recording uses one, maintenance a few; the rest is
/// for pages. Each costs the server about a megabyte.
const MAX_POOL_SIZE: u32 = 16;

/// Reads a URL without connecting.
///
/// # Errors
/// [`StoreError::Refused`]: it cannot be used. The text holds no password.
pub fn check_url(url: &str) -> Result<()> {
    ConnectionString::parse(url).map(drop).map_err(|error| refused(url, &error))
}

/// A client and the name of the database. Nothing is connected yet. The driver is built without compression: through
/// zlib, servers before 6.0.27 leaked memory to strangers (CVE-2025-14847).
pub(super) async fn client(url: &str) -> Result<(Client, String)> {
    let mut options = ClientOptions::parse(url).await.map_err(|error| refused(url, &error))?;
    options.app_name.get_or_insert_with(|| APP_NAME.into());
    options.server_selection_timeout =
        Some(options.server_selection_timeout.unwrap_or(SELECT_WITHIN).min(SELECT_WITHIN));
    options.connect_timeout = Some(options.connect_timeout.unwrap_or(CONNECT_WITHIN).min(CONNECT_WITHIN));
    options.max_pool_size.get_or_insert(MAX_POOL_SIZE);
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(write_concern());
    // Only the primary has what was just written.
    options.selection_criteria = None;
    let name = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.into());
    let client = Client::with_options(options).map_err(|error| refused(url, &error))?;
    Ok((client, name))
}

/// The driver quotes parts of the URL when it cannot read it, and a part may be the password.
fn refused(url: &str, error: &mongodb::error::Error) -> StoreError {
    let hint = "expected mongodb://USER:PASSWORD@HOST:27017/DATABASE?replicaSet=NAME, with reserved characters in user and password percent-encoded";
    if url.contains('@') {
        return StoreError::Refused(format!("the MongoDB URL cannot be used; {hint}"));
    }
    StoreError::Refused(format!("the MongoDB URL cannot be used: {}; {hint}", error.kind))
}
