//! The accounts role: users by name, sessions by digest.

use async_trait::async_trait;
use redb::ReadableTable;

use super::tables::{SESSIONS, USERS};
use super::{Embedded, document};
use crate::account::{Session, User};
use crate::store::{Accounts, Result, StoreError};
use crate::time::Timestamp;

const USER: &str = "user";
const SESSION: &str = "session";

#[async_trait]
impl Accounts for Embedded {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        let username = username.to_owned();
        self.read(move |txn| {
            let found = txn.open_table(USERS)?.get(username.as_str())?;
            found.map(|user| document::decode(USER, user.value())).transpose()
        })
        .await
    }

    async fn users(&self) -> Result<Vec<User>> {
        self.read(|txn| {
            let users = txn.open_table(USERS)?;
            users.iter()?.map(|entry| document::decode(USER, entry?.1.value())).collect()
        })
        .await
    }

    async fn create_user(&self, user: User) -> Result<()> {
        self.write(move |txn| {
            let mut users = txn.open_table(USERS)?;
            if users.get(user.username.as_str())?.is_some() {
                return Err(StoreError::Conflict(format!("user {} exists already", user.username)));
            }
            users.insert(user.username.as_str(), document::encode(&user)?.as_slice())?;
            Ok(())
        })
        .await
    }

    async fn set_password(&self, username: &str, epoch: u64, password_hash: String, must_change: bool) -> Result<User> {
        let username = username.to_owned();
        self.write(move |txn| {
            let mut users = txn.open_table(USERS)?;
            let found = users.get(username.as_str())?.map(|user| document::decode::<User>(USER, user.value()));
            let mut user = match found.transpose()? {
                Some(user) if user.epoch == epoch => user,
                Some(_) => return Err(StoreError::Conflict(format!("user {username} changed in between"))),
                None => return Err(StoreError::Conflict(format!("user {username} is gone"))),
            };
            (user.password_hash, user.must_change_password) = (password_hash, must_change);
            user.epoch += 1;
            users.insert(username.as_str(), document::encode(&user)?.as_slice())?;
            let mut sessions = txn.open_table(SESSIONS)?;
            for digest in sessions_where(&sessions, |session| session.username == username)? {
                sessions.remove(&digest)?;
            }
            Ok(user)
        })
        .await
    }

    async fn create_session(&self, session: Session) -> Result<()> {
        self.write(move |txn| {
            txn.open_table(SESSIONS)?.insert(&session.digest, document::encode(&session)?.as_slice())?;
            Ok(())
        })
        .await
    }

    async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Session>> {
        let digest = *digest;
        self.read(move |txn| {
            let found = txn.open_table(SESSIONS)?.get(&digest)?;
            let session = found.map(|session| document::decode::<Session>(SESSION, session.value())).transpose()?;
            Ok(session.filter(|session| now < session.expires_at))
        })
        .await
    }

    async fn delete_session(&self, digest: &[u8; 32]) -> Result<()> {
        let digest = *digest;
        self.write(move |txn| {
            txn.open_table(SESSIONS)?.remove(&digest)?;
            Ok(())
        })
        .await
    }
}

/// Digests of the sessions that `matches`. Reads them all: sessions are people at browsers, not clients. One that
/// cannot be read serves nobody and matches too.
pub(super) fn sessions_where(
    sessions: &impl ReadableTable<&'static [u8; 32], &'static [u8]>,
    matches: impl Fn(&Session) -> bool,
) -> Result<Vec<[u8; 32]>> {
    let mut digests = Vec::new();
    for entry in sessions.iter()? {
        let (digest, session) = entry?;
        if document::decode(SESSION, session.value()).map_or(true, |session| matches(&session)) {
            digests.push(*digest.value());
        }
    }
    Ok(digests)
}
