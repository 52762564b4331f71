//! Changes of users after which somebody must still be able to manage users.
//!
//! Whether one is left depends on other documents than the changed one, so it takes a transaction. Two of them that
//! remove one superadmin each would not see each other: each therefore also writes one common document, and the second
//! is refused by the database and tried again.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::ClientSession;
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, ReturnDocument};

use super::accounts::DISABLED;
use super::error::MongoError;
use super::{Mongo, write_concern};
use crate::account::Role;
use crate::store::{Result, StoreError};

/// The common document, in `meta`.
pub(super) const COMMON: &str = "superadmins";
/// Tries of a transaction that others got in the way of. Such changes are rare, so that few are under way at once.
const TRIES: u32 = 20;
/// Before the second try; longer before each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// A user before and after; no `after` when it was deleted.
type Changed = (Document, Option<Document>);

/// How a try ended that the database did not refuse.
enum Tried {
    Done(Changed),
    NoSuchUser,
    LastSuperadmin,
}

impl Mongo {
    /// Makes the change, or deletes the user for `None`. With `demotes` only if another superadmin who can sign in is
    /// left. `None` when there is no such user.
    pub(super) async fn change_keeping_a_superadmin(
        &self,
        username: &str,
        demotes: bool,
        change: Option<Document>,
    ) -> Result<Option<Changed>> {
        let mut session = self.call(self.client.start_session()).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.call(self.try_change(&mut session, username, demotes, change.as_ref())).await {
                Ok(Tried::Done(changed)) => return Ok(Some(changed)),
                Ok(Tried::NoSuchUser) => return Ok(None),
                Ok(Tried::LastSuperadmin) => return Err(StoreError::LastSuperadmin(username.to_owned())),
                Err(MongoError { is_transient: true, .. }) if tries < TRIES => tokio::time::sleep(PAUSE * tries).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn try_change(
        &self,
        session: &mut ClientSession,
        username: &str,
        demotes: bool,
        change: Option<&Document>,
    ) -> mongodb::error::Result<Tried> {
        session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(write_concern()).await?;
        let tried = self.change_in(session, username, demotes, change).await;
        match &tried {
            Ok(Tried::Done(_)) => {
                let mut committed = session.commit_transaction().await;
                if committed.as_ref().is_err_and(|error| error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)) {
                    committed = session.commit_transaction().await;
                }
                committed?;
            }
            // Should this fail, the server forgets the transaction by itself.
            _ => _ = session.abort_transaction().await,
        }
        tried
    }

    async fn change_in(
        &self,
        session: &mut ClientSession,
        username: &str,
        demotes: bool,
        change: Option<&Document>,
    ) -> mongodb::error::Result<Tried> {
        let common = self.meta.update_one(doc! { "_id": COMMON }, doc! { "$inc": { "changes": 1i64 } });
        common.session(&mut *session).await?;
        let this = doc! { "username": username };
        let Some(before) = self.users.find_one(this.clone()).session(&mut *session).await? else {
            return Ok(Tried::NoSuchUser);
        };
        let superadmin = Role::Superadmin.name();
        let manages = before.get_str("role").is_ok_and(|role| role == superadmin)
            && !before.get_document(super::OURS).is_ok_and(|ours| ours.get_bool("disabled").unwrap_or(false));
        if demotes && manages {
            let others =
                doc! { "role": superadmin, DISABLED: { "$ne": true }, "username": { "$ne": username, "$gt": "" } };
            if self.users.find_one(others).session(&mut *session).await?.is_none() {
                return Ok(Tried::LastSuperadmin);
            }
        }
        let Some(change) = change else {
            self.users.delete_one(this).session(&mut *session).await?;
            return Ok(Tried::Done((before, None)));
        };
        let change = self.users.find_one_and_update(this, change.clone()).return_document(ReturnDocument::After);
        let after = change.session(&mut *session).await?;
        Ok(Tried::Done((before, after)))
    }
}

/// True for an error after which the whole transaction is worth another try.
pub(super) fn is_transient(error: &mongodb::error::Error) -> bool {
    error.contains_label(TRANSIENT_TRANSACTION_ERROR)
}
