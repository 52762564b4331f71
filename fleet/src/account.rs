//! Accounts: who may sign in, with which role, and the sessions of those who did.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

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
    /// Grows with every password change; a token or session of an older epoch is void.
    pub epoch: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl fmt::Debug for User {
    /// Leaves the password hash out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("username", &self.username)
            .field("role", &self.role)
            .field("must_change_password", &self.must_change_password)
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
            username: "admin".into(),
            password_hash: "$argon2id$secret".into(),
            role: Role::Superadmin,
            must_change_password: true,
            epoch: 0,
            created_at: Timestamp::default(),
        };
        assert!(!format!("{user:?}").contains("argon2id"));
    }
}
