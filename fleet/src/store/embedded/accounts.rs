//! The accounts role: users by name, sessions by digest.

use std::cmp::Reverse;

use async_trait::async_trait;
use redb::{ReadableTable, Table, WriteTransaction};

use super::tables::{GRANTS, REVOKED, SESSIONS, TOKENS, USERS};
use super::{Embedded, document};
use crate::account::{ApiToken, Grant, Renewal, Role, Session, Totp, User, UserPatch};
use crate::store::{Accounts, Result, StoreError};
use crate::time::Timestamp;

const USER: &str = "user";
const SESSION: &str = "session";
const TOKEN: &str = "API token";
const GRANT: &str = "grant";

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

    async fn users_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>> {
        let after = after.map(str::to_owned);
        self.read(move |txn| {
            use std::ops::Bound::{Excluded, Unbounded};
            let users = txn.open_table(USERS)?;
            let from = after.as_deref().map_or(Unbounded, Excluded);
            let users = users.range::<&str>((from, Unbounded))?.take(limit);
            users.map(|entry| document::decode(USER, entry?.1.value())).collect()
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
            let mut user = match find(&txn.open_table(USERS)?, &username)? {
                Some(user) if user.epoch == epoch => user,
                Some(_) => return Err(StoreError::Conflict(format!("user {username} changed in between"))),
                None => return Err(StoreError::Conflict(format!("user {username} is gone"))),
            };
            (user.password_hash, user.must_change_password) = (password_hash, must_change);
            start_epoch(txn, user)
        })
        .await
    }

    async fn upgrade_hash(&self, username: &str, old: &str, new: String) -> Result<bool> {
        let (username, old) = (username.to_owned(), old.to_owned());
        self.write(move |txn| {
            let mut users = txn.open_table(USERS)?;
            let Some(mut user) = find(&users, &username)?.filter(|user| user.password_hash == old) else {
                return Ok(false);
            };
            user.password_hash = new;
            users.insert(username.as_str(), document::encode(&user)?.as_slice())?;
            Ok(true)
        })
        .await
    }

    async fn edit_user(&self, username: &str, patch: UserPatch) -> Result<Option<(User, User)>> {
        let username = username.to_owned();
        self.write(move |txn| {
            let Some(before) = find(&txn.open_table(USERS)?, &username)? else { return Ok(None) };
            let mut after = before.clone();
            after.role = patch.role.unwrap_or(before.role);
            after.disabled = patch.disabled.unwrap_or(before.disabled);
            if !manages(&after) {
                keep_a_superadmin(txn, &before)?;
            }
            let after = start_epoch(txn, after)?;
            Ok(Some((before, after)))
        })
        .await
    }

    async fn end_sign_ins(&self, username: &str) -> Result<Option<User>> {
        let username = username.to_owned();
        self.write(move |txn| {
            let found = find(&txn.open_table(USERS)?, &username)?;
            found.map(|user| start_epoch(txn, user)).transpose()
        })
        .await
    }

    async fn set_totp(&self, username: &str, totp: Option<Totp>) -> Result<Option<User>> {
        let username = username.to_owned();
        self.write(move |txn| {
            let Some(mut user) = find(&txn.open_table(USERS)?, &username)? else { return Ok(None) };
            user.totp = totp;
            keep(txn, &user)?;
            Ok(Some(user))
        })
        .await
    }

    async fn take_totp_step(&self, username: &str, step: u64) -> Result<bool> {
        let username = username.to_owned();
        self.write(move |txn| {
            let Some(mut user) = find(&txn.open_table(USERS)?, &username)? else { return Ok(false) };
            match &mut user.totp {
                Some(totp) if totp.last_step < step => totp.last_step = step,
                _ => return Ok(false),
            }
            keep(txn, &user)?;
            Ok(true)
        })
        .await
    }

    async fn delete_user(&self, username: &str) -> Result<bool> {
        let username = username.to_owned();
        self.write(move |txn| {
            let found = find(&txn.open_table(USERS)?, &username)?;
            if let Some(user) = found {
                keep_a_superadmin(txn, &user)?;
            }
            let existed = txn.open_table(USERS)?.remove(username.as_str())?.is_some();
            end_sign_ins(txn, &username)?;
            let mut tokens = txn.open_table(TOKENS)?;
            for token in tokens_of(&tokens, &username)? {
                tokens.remove(&token.digest)?;
            }
            Ok(existed)
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

    async fn sessions(&self, username: &str, now: Timestamp) -> Result<Vec<Session>> {
        let username = username.to_owned();
        self.read(move |txn| {
            let mut found = Vec::new();
            for entry in txn.open_table(SESSIONS)?.iter()? {
                // One that cannot be read serves nobody.
                let Ok(session) = document::decode::<Session>(SESSION, entry?.1.value()) else { continue };
                if session.username == username && now < session.expires_at {
                    found.push(session);
                }
            }
            found.sort_by_key(|session| (Reverse(session.created_at), session.digest));
            Ok(found)
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

    async fn create_grant(&self, grant: Grant) -> Result<()> {
        self.write(move |txn| {
            txn.open_table(GRANTS)?.insert(&grant.id, document::encode(&grant)?.as_slice())?;
            Ok(())
        })
        .await
    }

    async fn renew_grant(&self, id: &[u8; 16], old: &[u8; 32], new: &[u8; 32], now: Timestamp) -> Result<Renewal> {
        let (id, old, new) = (*id, *old, *new);
        self.write(move |txn| {
            let mut grants = txn.open_table(GRANTS)?;
            let found = grants.get(&id)?.map(|grant| document::decode::<Grant>(GRANT, grant.value())).transpose()?;
            let Some(mut grant) = found.filter(|grant| now < grant.expires_at) else { return Ok(Renewal::Unknown) };
            if grant.digest != old {
                grants.remove(&id)?;
                return Ok(Renewal::Reused(grant));
            }
            grant.digest = new;
            grants.insert(&id, document::encode(&grant)?.as_slice())?;
            Ok(Renewal::Renewed(grant))
        })
        .await
    }

    async fn delete_grant(&self, id: &[u8; 16]) -> Result<()> {
        let id = *id;
        self.write(move |txn| {
            txn.open_table(GRANTS)?.remove(&id)?;
            Ok(())
        })
        .await
    }

    async fn revoke(&self, id: &[u8; 16], until: Timestamp) -> Result<()> {
        let id = *id;
        self.write(move |txn| {
            txn.open_table(REVOKED)?.insert(&id, until.as_millis())?;
            Ok(())
        })
        .await
    }

    async fn revoked(&self, now: Timestamp) -> Result<Vec<[u8; 16]>> {
        self.read(move |txn| revoked_where(&txn.open_table(REVOKED)?, |until| until > now)).await
    }

    async fn create_token(&self, token: ApiToken) -> Result<()> {
        self.write(move |txn| {
            let mut tokens = txn.open_table(TOKENS)?;
            if tokens_of(&tokens, &token.username)?.iter().any(|known| known.name == token.name) {
                return Err(StoreError::Conflict(format!("token {} exists already", token.name)));
            }
            tokens.insert(&token.digest, document::encode(&token)?.as_slice())?;
            Ok(())
        })
        .await
    }

    async fn token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<ApiToken>> {
        let digest = *digest;
        self.read(move |txn| {
            let found = txn.open_table(TOKENS)?.get(&digest)?;
            let token = found.map(|token| document::decode::<ApiToken>(TOKEN, token.value())).transpose()?;
            Ok(token.filter(|token| token.expires_at.is_none_or(|expires_at| now < expires_at)))
        })
        .await
    }

    async fn tokens(&self, username: &str) -> Result<Vec<ApiToken>> {
        let username = username.to_owned();
        self.read(move |txn| tokens_of(&txn.open_table(TOKENS)?, &username)).await
    }

    async fn touch_token(&self, digest: &[u8; 32], at: Timestamp) -> Result<()> {
        let digest = *digest;
        self.write(move |txn| {
            let mut tokens = txn.open_table(TOKENS)?;
            let found =
                tokens.get(&digest)?.map(|token| document::decode::<ApiToken>(TOKEN, token.value())).transpose()?;
            if let Some(mut token) = found.filter(|token| token.last_used_at < Some(at)) {
                token.last_used_at = Some(at);
                tokens.insert(&digest, document::encode(&token)?.as_slice())?;
            }
            Ok(())
        })
        .await
    }

    async fn delete_token(&self, username: &str, name: &str) -> Result<bool> {
        let (username, name) = (username.to_owned(), name.to_owned());
        self.write(move |txn| {
            let mut tokens = txn.open_table(TOKENS)?;
            let found = tokens_of(&tokens, &username)?.into_iter().find(|token| token.name == name);
            match found {
                Some(token) => Ok(tokens.remove(&token.digest)?.is_some()),
                None => Ok(false),
            }
        })
        .await
    }
}

fn find(users: &Table<'_, &'static str, &'static [u8]>, username: &str) -> Result<Option<User>> {
    users.get(username)?.map(|user| document::decode(USER, user.value())).transpose()
}

fn keep(txn: &WriteTransaction, user: &User) -> Result<()> {
    txn.open_table(USERS)?.insert(user.username.as_str(), document::encode(user)?.as_slice())?;
    Ok(())
}

/// True for who may manage users.
fn manages(user: &User) -> bool {
    user.role == Role::Superadmin && !user.disabled
}

/// Refuses to go on without `user` where nobody else could manage users. Writers take turns, so that what is found here
/// still holds at the commit.
fn keep_a_superadmin(txn: &WriteTransaction, user: &User) -> Result<()> {
    if !manages(user) {
        return Ok(());
    }
    for entry in txn.open_table(USERS)?.iter()? {
        let other: User = document::decode(USER, entry?.1.value())?;
        if manages(&other) && other.username != user.username {
            return Ok(());
        }
    }
    Err(StoreError::LastSuperadmin(user.username.clone()))
}

/// Keeps a user who changed so much that every session and token so far is void.
fn start_epoch(txn: &WriteTransaction, mut user: User) -> Result<User> {
    user.epoch += 1;
    keep(txn, &user)?;
    end_sign_ins(txn, &user.username)?;
    Ok(user)
}

fn end_sign_ins(txn: &WriteTransaction, username: &str) -> Result<()> {
    let mut sessions = txn.open_table(SESSIONS)?;
    for digest in sessions_where(&sessions, |session| session.username == username)? {
        sessions.remove(&digest)?;
    }
    let mut grants = txn.open_table(GRANTS)?;
    for id in grants_where(&grants, |grant| grant.username == username)? {
        grants.remove(&id)?;
    }
    Ok(())
}

/// Identities of the grants that `matches`, as [`sessions_where`].
pub(super) fn grants_where(
    grants: &impl ReadableTable<&'static [u8; 16], &'static [u8]>,
    matches: impl Fn(&Grant) -> bool,
) -> Result<Vec<[u8; 16]>> {
    let mut ids = Vec::new();
    for entry in grants.iter()? {
        let (id, grant) = entry?;
        if document::decode(GRANT, grant.value()).map_or(true, |grant| matches(&grant)) {
            ids.push(*id.value());
        }
    }
    Ok(ids)
}

/// Revoked identities whose end `matches`.
pub(super) fn revoked_where(
    revoked: &impl ReadableTable<&'static [u8; 16], i64>,
    matches: impl Fn(Timestamp) -> bool,
) -> Result<Vec<[u8; 16]>> {
    let mut ids = Vec::new();
    for entry in revoked.iter()? {
        let (id, until) = entry?;
        if matches(Timestamp::from_millis(until.value())) {
            ids.push(*id.value());
        }
    }
    Ok(ids)
}

/// The tokens of one user, by name. Reads them all: tokens are few.
fn tokens_of(tokens: &impl ReadableTable<&'static [u8; 32], &'static [u8]>, username: &str) -> Result<Vec<ApiToken>> {
    let mut found = Vec::new();
    for entry in tokens.iter()? {
        let token: ApiToken = document::decode(TOKEN, entry?.1.value())?;
        if token.username == username {
            found.push(token);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
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
