//! Changes of accounts at the command line, for who is locked out of the pages. Each goes into the audit.

use mect_fleet::store::{AuditEntry, Store, StoreError};
use mect_fleet::{Role, Timestamp, User, UserPatch};

use crate::auth::first_admin::draw;
use crate::auth::password::{NewPasswordError, Passwords};
use crate::auth::username::{self, BadUsername};
use crate::secret::Secret;

/// Who the audit says it was.
const WHO: &str = "command line";

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ByHandError {
    /// There is no such user.
    #[error("there is no user {0}")]
    NoSuchUser(String),
    /// The name is taken.
    #[error("there is a user {0} already")]
    Taken(String),
    /// The name or the password breaks a rule.
    #[error("{0}")]
    Refused(String),
    /// The operating system's random source failed.
    #[error("random source: {0}")]
    Random(#[from] getrandom::Error),
    /// The store failed, or would be left without a superadmin.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NewPasswordError> for ByHandError {
    fn from(error: NewPasswordError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<BadUsername> for ByHandError {
    fn from(bad: BadUsername) -> Self {
        Self::Refused(bad.to_string())
    }
}

/// Adds a user with the given password, or a drawn one, which is returned. It must be changed at the first sign-in.
///
/// # Errors
/// Nothing was added.
pub async fn add(
    store: &Store,
    username: &str,
    role: Role,
    given: Option<Secret>,
) -> Result<Option<Secret>, ByHandError> {
    username::check(username)?;
    let (password, drawn) = given_or_drawn(given)?;
    let hash = Passwords::new().hash_new(username, &password, None).await?;
    let user = User { must_change_password: true, ..User::new(username, hash, role, Timestamp::now()) };
    match store.accounts.create_user(user).await {
        Err(StoreError::Conflict(_)) => return Err(ByHandError::Taken(username.to_owned())),
        done => done?,
    }
    note(store, "user.create", username, &format!(r#"{{"role":"{role}"}}"#)).await?;
    Ok(drawn)
}

/// Gives a user the given password, or a drawn one, which is returned. It must be changed at the next sign-in. With
/// `without_codes` the user's one-time codes are removed too.
///
/// # Errors
/// The password was not changed.
pub async fn reset_password(
    store: &Store,
    username: &str,
    given: Option<Secret>,
    without_codes: bool,
) -> Result<Option<Secret>, ByHandError> {
    let user = store.accounts.user(username).await?.ok_or_else(|| ByHandError::NoSuchUser(username.to_owned()))?;
    let (password, drawn) = given_or_drawn(given)?;
    let hash = Passwords::new().hash_new(username, &password, None).await?;
    store.accounts.set_password(username, user.epoch, hash, true).await?;
    note(store, "user.password", username, "").await?;
    if without_codes && user.totp.is_some() {
        store.accounts.set_totp(username, None).await?;
        note(store, "totp.remove", username, "").await?;
    }
    Ok(drawn)
}

/// Locks a user, or opens the account again.
///
/// # Errors
/// Nothing was changed; also when no superadmin who can sign in would be left.
pub async fn set_disabled(store: &Store, username: &str, disabled: bool) -> Result<(), ByHandError> {
    let patch = UserPatch { disabled: Some(disabled), role: None };
    let edited = store.accounts.edit_user(username, patch).await?;
    edited.ok_or_else(|| ByHandError::NoSuchUser(username.to_owned()))?;
    note(store, "user.edit", username, &format!(r#"{{"disabled":{disabled}}}"#)).await
}

fn given_or_drawn(given: Option<Secret>) -> Result<(Secret, Option<Secret>), getrandom::Error> {
    match given {
        Some(given) => Ok((given, None)),
        None => draw().map(|drawn| (drawn.clone(), Some(drawn))),
    }
}

async fn note(store: &Store, action: &str, subject: &str, after: &str) -> Result<(), ByHandError> {
    let entry = AuditEntry {
        at: Timestamp::now(),
        who: WHO.into(),
        action: action.into(),
        subject: subject.into(),
        after: after.into(),
        ..AuditEntry::default()
    };
    store.journal.append_audit(entry).await?;
    Ok(())
}
