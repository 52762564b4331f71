//! How long a request waits for the store.

use std::future::Future;
use std::time::Duration;

use mect_fleet::store::Result as StoreResult;

use crate::error::Error;

/// Where memory has an answer too: nobody likes to wait for that.
const SHORT: Duration = Duration::from_secs(1);
/// Where only the store can tell: as long as a database takes to choose another primary in good times, and with a
/// [`SHORT`] before it still within four seconds.
const LONG: Duration = Duration::from_secs(3);

/// What the store answers, if it does so at once: there is another way.
pub(crate) async fn short<T>(question: impl Future<Output = StoreResult<T>>) -> Result<T, Error> {
    within(SHORT, question).await
}

/// What the store answers, if it does so in time. A change that was given up may have been made all the same: whoever
/// asks again finds out.
pub(crate) async fn long<T>(question: impl Future<Output = StoreResult<T>>) -> Result<T, Error> {
    within(LONG, question).await
}

/// The same, for who makes something of the store's refusal.
pub(crate) async fn attempt<T>(question: impl Future<Output = StoreResult<T>>) -> Result<StoreResult<T>, Error> {
    tokio::time::timeout(LONG, question).await.map_err(|_| Error::StoreSilent)
}

async fn within<T>(patience: Duration, question: impl Future<Output = StoreResult<T>>) -> Result<T, Error> {
    Ok(tokio::time::timeout(patience, question).await.map_err(|_| Error::StoreSilent)??)
}
