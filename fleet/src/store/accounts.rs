//! The accounts role: users, their sessions and grants, and their API tokens.

use async_trait::async_trait;

use super::Result;
use crate::account::{ApiToken, Grant, Renewal, Session, Totp, User, UserPatch};
use crate::time::Timestamp;

/// Accounts and what was handed out to them.
///
/// Whatever makes a user's sessions and grants void raises the user's epoch in the same step: a collector that
/// remembers the user finds out by that, and what could not be deleted any more is void all the same.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The user of that name.
    async fn user(&self, username: &str) -> Result<Option<User>>;

    /// Every user, by name.
    async fn users(&self) -> Result<Vec<User>>;

    /// The users whose names come after `after` (from the first on for `None`), by name, at most `limit`.
    async fn users_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>>;

    /// Adds a user; [`StoreError::Conflict`](super::StoreError::Conflict) when the name is taken.
    async fn create_user(&self, user: User) -> Result<()>;

    /// Replaces the password hash, if the user's epoch still is `epoch`; raises the epoch and ends every session and
    /// grant. Returns the user as it is now; [`StoreError::Conflict`](super::StoreError::Conflict) when it changed in
    /// between or is gone.
    async fn set_password(&self, username: &str, epoch: u64, password_hash: String, must_change: bool) -> Result<User>;

    /// Replaces the hash `old` by `new`, which stands for the same password: the epoch stays. False when the user has
    /// another hash by now.
    async fn upgrade_hash(&self, username: &str, old: &str, new: String) -> Result<bool>;

    /// Changes role or lock; raises the epoch and ends every session and grant. Returns the user before and after;
    /// `None` when there is no such user.
    ///
    /// [`StoreError::LastSuperadmin`](super::StoreError::LastSuperadmin) when no superadmin who can sign in would be
    /// left, also when two calls at once would come to that.
    async fn edit_user(&self, username: &str, patch: UserPatch) -> Result<Option<(User, User)>>;

    /// Raises the epoch and ends every session and grant; `None` when there is no such user.
    async fn end_sign_ins(&self, username: &str) -> Result<Option<User>>;

    /// Sets up or removes one-time codes; `None` when there is no such user. The epoch stays.
    async fn set_totp(&self, username: &str, totp: Option<Totp>) -> Result<Option<User>>;

    /// Takes the one-time code of time step `step`; true for one call only, and for none after a later step was taken.
    async fn take_totp_step(&self, username: &str, step: u64) -> Result<bool>;

    /// Forgets a user with sessions, grants and API tokens; false when there is none.
    ///
    /// [`StoreError::LastSuperadmin`](super::StoreError::LastSuperadmin) as in [`edit_user`](Self::edit_user).
    async fn delete_user(&self, username: &str) -> Result<bool>;

    /// Keeps a session.
    async fn create_session(&self, session: Session) -> Result<()>;

    /// The session with that digest, if it has not expired at `now`.
    async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Session>>;

    /// The sessions of one user that have not expired at `now`, the newest first.
    async fn sessions(&self, username: &str, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends a session; no error when there is none.
    async fn delete_session(&self, digest: &[u8; 32]) -> Result<()>;

    /// Keeps a grant.
    async fn create_grant(&self, grant: Grant) -> Result<()>;

    /// Uses the secret with digest `old` of a grant: `new` takes its place, for one caller only. A secret that had its
    /// turn ends the grant.
    async fn renew_grant(&self, id: &[u8; 16], old: &[u8; 32], new: &[u8; 32], now: Timestamp) -> Result<Renewal>;

    /// Ends a grant; no error when there is none.
    async fn delete_grant(&self, id: &[u8; 16]) -> Result<()>;

    /// Makes the access tokens that carry `id` void. Kept until `until`, when they have expired anyway.
    async fn revoke(&self, id: &[u8; 16], until: Timestamp) -> Result<()>;

    /// Every revoked identity that is still kept at `now`.
    async fn revoked(&self, now: Timestamp) -> Result<Vec<[u8; 16]>>;

    /// Keeps an API token; [`StoreError::Conflict`](super::StoreError::Conflict) when its user has one of that name.
    async fn create_token(&self, token: ApiToken) -> Result<()>;

    /// The token with that digest, if it has not expired at `now`.
    async fn token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<ApiToken>>;

    /// The tokens of one user, by name.
    async fn tokens(&self, username: &str) -> Result<Vec<ApiToken>>;

    /// Notes that a token was used at `at`. Nothing happens when there is none, or it was used later.
    async fn touch_token(&self, digest: &[u8; 32], at: Timestamp) -> Result<()>;

    /// Revokes a token; false when there is none.
    async fn delete_token(&self, username: &str, name: &str) -> Result<bool>;
}
