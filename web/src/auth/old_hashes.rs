//! Whether hashes of the system before this one are still about. They take longer to verify than ours: as long as one is
//! left, the time of a failed sign-in would tell whose it is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mect_fleet::store::Accounts;
use tokio::time::Instant;

use crate::auth::password::Passwords;
use crate::patience;

/// What was found is believed for this long.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// While there is one, every failed sign-in takes at least so long: a bcrypt hash of cost 12 some 250 ms.
const FAILURE_TAKES: Duration = Duration::from_millis(400);

/// Remembers whether there are any.
#[derive(Default)]
pub(crate) struct OldHashes(Mutex<Option<(Instant, bool)>>);

impl OldHashes {
    /// Waits until a sign-in that failed, and began at `started`, has taken as long as any other.
    pub(crate) async fn even_out(&self, accounts: &dyn Accounts, started: Instant) {
        if self.any(accounts).await {
            tokio::time::sleep_until(started + FAILURE_TAKES).await;
        }
    }

    async fn any(&self, accounts: &dyn Accounts) -> bool {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, any)) = known
            && at.elapsed() < LOOK_EVERY
        {
            return any;
        }
        // Without an answer: as if there were one.
        let Ok(users) = patience::short(accounts.users()).await else { return true };
        let any = users.iter().any(|user| Passwords::is_foreign(&user.password_hash));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), any));
        any
    }
}
