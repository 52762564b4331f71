//! Accounts: who may sign in, with which role, and the sessions of those who did.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

mod grant;
mod token;

pub use grant::{Grant, Renewal};
pub use token::{ApiToken, Scope, UnknownScope};

/// What an account may do. Each role may do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Views.
    Readonly,
    /// Views and configures servers.
    Admin,
    /// Also manages users.
    Superadmin,
}

impl Role {
    /// The word in REST and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::Admin => "admin",
            Self::Superadmin => "superadmin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a role: expected readonly, admin or superadmin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        [Self::Readonly, Self::Admin, Self::Superadmin].into_iter().find(|role| role.name() == name).ok_or(UnknownRole)
    }
}

/// An account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique name.
    pub username: String,
    /// PHC string of the password hash (argon2id).
    pub password_hash: String,
    /// What it may do.
    pub role: Role,
    /// Nothing but a password change is allowed until it happened.
    pub must_change_password: bool,
    /// Nothing is allowed any more, not even to sign in.
    #[serde(default)]
    pub disabled: bool,
    /// Grows whenever all that the user holds becomes void: with another password or role, when disabled, when signed
    /// out everywhere. A token or session of an older epoch is void.
    pub epoch: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// One-time codes beside the password; `None` until they are set up.
    #[serde(default)]
    pub totp: Option<Totp>,
}

impl User {
    /// An account that may sign in at once. Its first epoch is above all those of an account that had the name before:
    /// what that one held stays void.
    pub fn new(username: impl Into<String>, password_hash: String, role: Role, now: Timestamp) -> Self {
        Self {
            username: username.into(),
            password_hash,
            role,
            must_change_password: false,
            disabled: false,
            epoch: u64::try_from(now.as_millis()).unwrap_or(0),
            created_at: now,
            totp: None,
        }
    }

    /// True when a sign-in asks for a one-time code.
    pub fn asks_for_code(&self) -> bool {
        self.totp.as_ref().is_some_and(|totp| totp.confirmed)
    }
}

/// Time-based one-time codes (RFC 6238) of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totp {
    /// What the authenticator shares with us.
    pub secret: Vec<u8>,
    /// The user proved to have the secret; before, sign-ins do not ask.
    pub confirmed: bool,
    /// Time step of the latest code that was taken: neither it nor an earlier one is taken again.
    pub last_step: u64,
}

impl fmt::Debug for Totp {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp").field("confirmed", &self.confirmed).finish_non_exhaustive()
    }
}

/// What an operator may change of an account. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// Another role.
    pub role: Option<Role>,
    /// Locks the account, or opens it again.
    pub disabled: Option<bool>,
}

impl fmt::Debug for User {
    /// Leaves the password hash out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("username", &self.username)
            .field("role", &self.role)
            .field("must_change_password", &self.must_change_password)
            .field("disabled", &self.disabled)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// A browser session. The store holds a digest of the session's secret, never the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the secret that the cookie carries.
    pub digest: [u8; 32],
    /// Who signed in.
    pub username: String,
    /// The user's epoch at that time.
    pub epoch: u64,
    /// When.
    pub created_at: Timestamp,
    /// Void from then on.
    pub expires_at: Timestamp,
    /// The address of the browser that signed in, as far as it is known. May be empty.
    #[serde(default)]
    pub address: String,
}

impl fmt::Debug for Session {
    /// Leaves the digest out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("username", &self.username)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_named() {
        assert!(Role::Readonly < Role::Admin && Role::Admin < Role::Superadmin);
        assert_eq!("admin".parse(), Ok(Role::Admin));
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn debug_shows_no_secret() {
        let user = User {
            totp: Some(Totp { secret: b"hush".to_vec(), confirmed: true, last_step: 0 }),
            ..User::new("admin", "$argon2id$secret".into(), Role::Superadmin, Timestamp::default())
        };
        assert!(!format!("{user:?}").contains("argon2id"));
        assert!(!format!("{:?}", user.totp).contains("104"));
    }
}
