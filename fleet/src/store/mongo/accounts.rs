//! The accounts role: users of the old system in place, sessions and tokens by digest, grants by identity.

use async_trait::async_trait;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::command::number;
use super::date::timestamp;
use super::server::date;
use super::{Mongo, OURS};
use crate::account::{ApiToken, Grant, Renewal, Role, Scope, Session, Totp, User, UserPatch};
use crate::store::{Accounts, Result, StoreError};
use crate::time::Timestamp;

/// Path of the epoch of a user: a long, missing until the first change.
pub(super) const EPOCH: &str = "mect.epoch";
/// Path of the flag.
const MUST_CHANGE: &str = "mect.must_change_password";
/// Path of the lock.
pub(super) const DISABLED: &str = "mect.disabled";
/// Path of the one-time codes.
const TOTP: &str = "mect.totp";
/// Path of the step of the latest one.
const TOTP_STEP: &str = "mect.totp.last_step";

#[async_trait]
impl Accounts for Mongo {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        let found = self.call(self.users.find_one(doc! { "username": username })).await?;
        Ok(found.as_ref().and_then(user))
    }

    async fn users(&self) -> Result<Vec<User>> {
        let found = self.users.find(doc! {}).sort(doc! { "username": 1 });
        let found: Vec<Document> = self.all(found).await?;
        Ok(found.iter().filter_map(user).collect())
    }

    async fn users_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>> {
        let Some(limit) = i64::try_from(limit).ok().filter(|limit| *limit > 0) else { return Ok(Vec::new()) };
        let found = self.users.find(doc! { "username": { "$gt": after.unwrap_or_default() } });
        let found = self.all(found.sort(doc! { "username": 1 }).limit(limit)).await?;
        Ok(found.iter().filter_map(user).collect())
    }

    async fn create_user(&self, user: User) -> Result<()> {
        self.insert(&self.users, fields(&user), || format!("user {} exists already", user.username)).await
    }

    async fn set_password(&self, username: &str, epoch: u64, password_hash: String, must_change: bool) -> Result<User> {
        // A user of the old system has no epoch until its first change.
        let unchanged = if epoch == 0 {
            doc! { "$in": [0i64, Bson::Null] }
        } else {
            doc! { "$eq": long(epoch) }
        };
        let set = doc! { "hashed_password": password_hash, MUST_CHANGE: must_change, EPOCH: long(epoch + 1) };
        let filter = doc! { "username": username, EPOCH: unchanged };
        match self.start_epoch(filter, doc! { "$set": set }).await? {
            Some(user) => Ok(user),
            None if self.user(username).await?.is_some() => {
                Err(StoreError::Conflict(format!("user {username} changed in between")))
            }
            None => Err(StoreError::Conflict(format!("user {username} is gone"))),
        }
    }

    async fn upgrade_hash(&self, username: &str, old: &str, new: String) -> Result<bool> {
        let filter = doc! { "username": username, "hashed_password": old };
        let upgrade = self.users.update_one(filter, doc! { "$set": { "hashed_password": new } });
        Ok(self.call(upgrade).await?.matched_count > 0)
    }

    async fn edit_user(&self, username: &str, patch: UserPatch) -> Result<Option<(User, User)>> {
        let mut set = Document::new();
        set.extend(patch.role.map(|role| ("role".to_owned(), role.name().into())));
        set.extend(patch.disabled.map(|disabled| (DISABLED.to_owned(), disabled.into())));
        let mut change = doc! { "$inc": { EPOCH: 1i64 } };
        if !set.is_empty() {
            change.insert("$set", set);
        }
        let demotes = patch.role.is_some_and(|role| role < Role::Superadmin) || patch.disabled == Some(true);
        let Some((before, after)) = self.change_keeping_a_superadmin(username, demotes, Some(change)).await? else {
            return Ok(None);
        };
        let (before, after) = (user(&before), after.as_ref().and_then(user));
        let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
        self.end_epochs_before(&after).await?;
        Ok(Some((before, after)))
    }

    async fn end_sign_ins(&self, username: &str) -> Result<Option<User>> {
        self.start_epoch(doc! { "username": username }, doc! { "$inc": { EPOCH: 1i64 } }).await
    }

    async fn set_totp(&self, username: &str, totp: Option<Totp>) -> Result<Option<User>> {
        let change = match &totp {
            Some(totp) => doc! { "$set": { TOTP: totp_document(totp) } },
            None => doc! { "$unset": { TOTP: "" } },
        };
        let change = self.users.find_one_and_update(doc! { "username": username }, change);
        let changed = self.call(change.return_document(ReturnDocument::After)).await?;
        Ok(changed.as_ref().and_then(user))
    }

    async fn take_totp_step(&self, username: &str, step: u64) -> Result<bool> {
        let step = long(step);
        let filter = doc! { "username": username, TOTP_STEP: { "$lt": step } };
        let take = self.users.update_one(filter, doc! { "$set": { TOTP_STEP: step } });
        Ok(self.call(take).await?.matched_count > 0)
    }

    async fn delete_user(&self, username: &str) -> Result<bool> {
        let deleted = self.change_keeping_a_superadmin(username, true, None).await?;
        for held in [&self.sessions, &self.grants, &self.tokens] {
            self.call(held.delete_many(doc! { "username": username })).await?;
        }
        Ok(deleted.is_some())
    }

    async fn create_session(&self, session: Session) -> Result<()> {
        let document = doc! {
            "_id": binary(&session.digest),
            "username": session.username,
            "epoch": long(session.epoch),
            "created_at": date(session.created_at),
            "expires_at": date(session.expires_at),
            "address": session.address,
        };
        self.insert(&self.sessions, document, || "the session exists already".into()).await
    }

    async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Session>> {
        let filter = doc! { "_id": binary(digest), "expires_at": { "$gt": date(now) } };
        let found = self.call(self.sessions.find_one(filter)).await?;
        Ok(found.as_ref().and_then(session))
    }

    async fn sessions(&self, username: &str, now: Timestamp) -> Result<Vec<Session>> {
        let filter = doc! { "username": username, "expires_at": { "$gt": date(now) } };
        let found = self.all(self.sessions.find(filter).sort(doc! { "created_at": -1, "_id": 1 })).await?;
        Ok(found.iter().filter_map(session).collect())
    }

    async fn delete_session(&self, digest: &[u8; 32]) -> Result<()> {
        self.call(self.sessions.delete_one(doc! { "_id": binary(digest) })).await?;
        Ok(())
    }

    async fn create_grant(&self, grant: Grant) -> Result<()> {
        let document = doc! {
            "_id": binary(&grant.id),
            "digest": binary(&grant.digest),
            "username": grant.username,
            "epoch": long(grant.epoch),
            "created_at": date(grant.created_at),
            "expires_at": date(grant.expires_at),
        };
        self.insert(&self.grants, document, || "the grant exists already".into()).await
    }

    async fn renew_grant(&self, id: &[u8; 16], old: &[u8; 32], new: &[u8; 32], now: Timestamp) -> Result<Renewal> {
        let filter = doc! { "_id": binary(id), "digest": binary(old), "expires_at": { "$gt": date(now) } };
        let renew = self.grants.find_one_and_update(filter, doc! { "$set": { "digest": binary(new) } });
        let renewed = self.call(renew.return_document(ReturnDocument::After)).await?;
        if let Some(renewed) = renewed.as_ref().and_then(grant) {
            return Ok(Renewal::Renewed(renewed));
        }
        let filter = doc! { "_id": binary(id), "expires_at": { "$gt": date(now) } };
        let ended = self.call(self.grants.find_one_and_delete(filter)).await?;
        Ok(ended.as_ref().and_then(grant).map_or(Renewal::Unknown, Renewal::Reused))
    }

    async fn delete_grant(&self, id: &[u8; 16]) -> Result<()> {
        self.call(self.grants.delete_one(doc! { "_id": binary(id) })).await?;
        Ok(())
    }

    async fn revoke(&self, id: &[u8; 16], until: Timestamp) -> Result<()> {
        let keep = doc! { "$max": { "expires_at": date(until) } };
        self.call(self.revoked.update_one(doc! { "_id": binary(id) }, keep).upsert(true)).await?;
        Ok(())
    }

    async fn revoked(&self, now: Timestamp) -> Result<Vec<[u8; 16]>> {
        let found = self.revoked.find(doc! { "expires_at": { "$gt": date(now) } }).projection(doc! { "_id": 1 });
        let found = self.all(found).await?;
        Ok(found.iter().filter_map(|revoked| bytes(revoked, "_id")).collect())
    }

    async fn create_token(&self, token: ApiToken) -> Result<()> {
        self.insert(&self.tokens, token_document(&token), || format!("token {} exists already", token.name)).await
    }

    async fn token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<ApiToken>> {
        let lasts = doc! { "$not": { "$lte": date(now) } };
        let filter = doc! { "_id": binary(digest), "expires_at": lasts };
        let found = self.call(self.tokens.find_one(filter)).await?;
        Ok(found.as_ref().and_then(token))
    }

    async fn tokens(&self, username: &str) -> Result<Vec<ApiToken>> {
        let found = self.tokens.find(doc! { "username": username }).sort(doc! { "name": 1 });
        let found: Vec<Document> = self.all(found).await?;
        Ok(found.iter().filter_map(token).collect())
    }

    async fn touch_token(&self, digest: &[u8; 32], at: Timestamp) -> Result<()> {
        let touch =
            self.tokens.update_one(doc! { "_id": binary(digest) }, doc! { "$max": { "last_used_at": date(at) } });
        self.call(touch).await?;
        Ok(())
    }

    async fn delete_token(&self, username: &str, name: &str) -> Result<bool> {
        let filter = doc! { "username": username, "name": name };
        Ok(self.call(self.tokens.delete_one(filter)).await?.deleted_count > 0)
    }
}

impl Mongo {
    /// Changes a user so much that every session so far is void, and ends those.
    async fn start_epoch(&self, filter: Document, change: Document) -> Result<Option<User>> {
        let change = self.users.find_one_and_update(filter, change).return_document(ReturnDocument::After);
        let Some(user) = self.call(change).await?.as_ref().and_then(user) else { return Ok(None) };
        self.end_epochs_before(&user).await?;
        Ok(Some(user))
    }

    /// Ends what was handed out in earlier epochs. Should this not happen any more, the epoch makes it void all the
    /// same.
    async fn end_epochs_before(&self, user: &User) -> Result<()> {
        let old = doc! { "username": &user.username, "epoch": { "$lt": long(user.epoch) } };
        for held in [&self.sessions, &self.grants] {
            self.call(held.delete_many(old.clone())).await?;
        }
        Ok(())
    }

    async fn insert(
        &self,
        collection: &mongodb::Collection<Document>,
        document: Document,
        conflict: impl FnOnce() -> String + Send,
    ) -> Result<()> {
        match self.call(collection.insert_one(document)).await {
            Err(error) if error.is_duplicate() => Err(StoreError::Conflict(conflict())),
            done => Ok(done.map(drop)?),
        }
    }
}

/// A user as a document.
pub(super) fn fields(user: &User) -> Document {
    let mut ours = doc! {
        "epoch": long(user.epoch),
        "must_change_password": user.must_change_password,
        "disabled": user.disabled,
        "created_at": date(user.created_at),
    };
    ours.extend(user.totp.as_ref().map(|totp| ("totp".to_owned(), totp_document(totp).into())));
    doc! {
        "username": &user.username,
        "hashed_password": &user.password_hash,
        "role": user.role.name(),
        OURS: ours,
    }
}

/// An API token as a document.
pub(super) fn token_document(token: &ApiToken) -> Document {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.name()).collect();
    doc! {
        "_id": binary(&token.digest),
        "username": &token.username,
        "name": &token.name,
        "scopes": scopes,
        "created_at": date(token.created_at),
        "expires_at": token.expires_at.map(date),
        "last_used_at": token.last_used_at.map(date),
    }
}

/// The identity of a revoked access token, and until when it is kept.
pub(super) fn revocation(document: &Document) -> Option<([u8; 16], Timestamp)> {
    Some((bytes(document, "_id")?, timestamp(document.get("expires_at")?)?))
}

/// `None` for what is no user of ours.
pub(super) fn user(document: &Document) -> Option<User> {
    let ours = document.get_document(OURS).ok();
    let username = document.get_str("username").ok()?;
    let created_at = ours.and_then(|ours| ours.get("created_at")).or_else(|| document.get("created_at"));
    let flag = |name: &str| ours.and_then(|ours| ours.get_bool(name).ok()).unwrap_or(false);
    Some(User {
        username: username.to_owned(),
        password_hash: document.get_str("hashed_password").unwrap_or_default().to_owned(),
        role: role(document),
        must_change_password: flag("must_change_password"),
        disabled: flag("disabled"),
        epoch: ours.map_or(0, epoch),
        created_at: created_at.and_then(timestamp).unwrap_or_default(),
        totp: ours.and_then(|ours| ours.get_document("totp").ok()).and_then(totp),
    })
}

fn totp(document: &Document) -> Option<Totp> {
    Some(Totp {
        secret: document.get_binary_generic("secret").ok()?.clone(),
        confirmed: document.get_bool("confirmed").ok()?,
        last_step: number(document.get("last_step")),
    })
}

fn totp_document(totp: &Totp) -> Document {
    doc! { "secret": binary(&totp.secret), "confirmed": totp.confirmed, "last_step": long(totp.last_step) }
}

fn session(document: &Document) -> Option<Session> {
    Some(Session {
        digest: bytes(document, "_id")?,
        username: document.get_str("username").ok()?.to_owned(),
        epoch: epoch(document),
        created_at: document.get("created_at").and_then(timestamp)?,
        expires_at: document.get("expires_at").and_then(timestamp)?,
        address: document.get_str("address").unwrap_or_default().to_owned(),
    })
}

fn grant(document: &Document) -> Option<Grant> {
    Some(Grant {
        id: bytes(document, "_id")?,
        digest: bytes(document, "digest")?,
        username: document.get_str("username").ok()?.to_owned(),
        epoch: epoch(document),
        created_at: document.get("created_at").and_then(timestamp)?,
        expires_at: document.get("expires_at").and_then(timestamp)?,
    })
}

fn token(document: &Document) -> Option<ApiToken> {
    let scopes = document.get_array("scopes").ok()?.iter();
    Some(ApiToken {
        digest: bytes(document, "_id")?,
        username: document.get_str("username").ok()?.to_owned(),
        name: document.get_str("name").ok()?.to_owned(),
        // A scope that we do not know allows nothing.
        scopes: scopes.filter_map(|scope| scope.as_str()?.parse::<Scope>().ok()).collect(),
        created_at: document.get("created_at").and_then(timestamp)?,
        expires_at: document.get("expires_at").and_then(timestamp),
        last_used_at: document.get("last_used_at").and_then(timestamp),
    })
}

/// A role that we do not know may do the least.
fn role(document: &Document) -> Role {
    document.get_str("role").ok().and_then(|role| role.parse().ok()).unwrap_or(Role::Readonly)
}

fn epoch(document: &Document) -> u64 {
    number(document.get("epoch"))
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

fn bytes<const N: usize>(document: &Document, key: &str) -> Option<[u8; N]> {
    document.get_binary_generic(key).ok()?.as_slice().try_into().ok()
}
