//! Tokens for programs, and what they may be good for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What an API token may be used for, within what its user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// The list of servers for clients.
    #[serde(rename = "read:list")]
    ReadList,
    /// All that is shown of the fleet.
    #[serde(rename = "read:fleet")]
    ReadFleet,
    /// Metrics for Prometheus.
    #[serde(rename = "federate")]
    Federate,
    /// Changes of servers.
    #[serde(rename = "write:fleet")]
    WriteFleet,
    /// All that its user may do, other than with the user's own sign-in.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::ReadList, Self::ReadFleet, Self::Federate, Self::WriteFleet, Self::Admin];

    /// The word in REST and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadList => "read:list",
            Self::ReadFleet => "read:fleet",
            Self::Federate => "federate",
            Self::WriteFleet => "write:fleet",
            Self::Admin => "admin",
        }
    }

    /// True when whoever has this scope needs no `other`: `admin` stands for all, `write:fleet` for `read:fleet`, and
    /// that for `read:list`.
    pub const fn covers(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::WriteFleet => matches!(other, Self::WriteFleet | Self::ReadFleet | Self::ReadList),
            Self::ReadFleet => matches!(other, Self::ReadFleet | Self::ReadList),
            Self::ReadList => matches!(other, Self::ReadList),
            Self::Federate => matches!(other, Self::Federate),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a scope: expected read:list, read:fleet, federate, write:fleet or admin")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == name).ok_or(UnknownScope)
    }
}

/// A token for programs, made by a user. The store holds a digest of its secret, never the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// Whose it is; it can do no more than its user can.
    pub username: String,
    /// Unique among the tokens of the user.
    pub name: String,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Void from then on; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, some minutes late; `None` for never.
    pub last_used_at: Option<Timestamp>,
}

impl ApiToken {
    /// True when one of its scopes covers `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| own.covers(scope))
    }
}

impl fmt::Debug for ApiToken {
    /// Leaves the digest out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken")
            .field("username", &self.username)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_named_in_the_store_as_in_rest() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
            assert!(scope.covers(scope) && Scope::Admin.covers(scope));
        }
        assert!(Scope::WriteFleet.covers(Scope::ReadList) && !Scope::WriteFleet.covers(Scope::Federate));
        assert!(!Scope::ReadList.covers(Scope::ReadFleet) && !Scope::Federate.covers(Scope::ReadList));
        assert!("write".parse::<Scope>().is_err());
    }
}
