//! The first account of an empty store.

use mect_fleet::store::{Accounts, StoreError};
use mect_fleet::{Role, Timestamp, User};

use crate::auth::password::{self, PasswordError, Passwords, WeakPassword};
use crate::secret::Secret;

/// Name of the first account.
const USERNAME: &str = "admin";
/// Without letters and digits that look alike; 32 of them, so that a byte maps without bias.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Five bits each: 100 bits.
const PASSWORD_CHARACTERS: usize = 20;

/// Why the first account could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system's random source failed.
    #[error("random source: {0}")]
    Random(#[from] getrandom::Error),
    /// The given password breaks the rules for passwords.
    #[error("the given password for `{USERNAME}` is refused: {0}")]
    Refused(String),
    /// Hashing failed.
    #[error("{0}")]
    Hash(String),
}

impl From<WeakPassword> for FirstAdminError {
    fn from(weak: WeakPassword) -> Self {
        Self::Refused(weak.to_string())
    }
}

impl From<PasswordError> for FirstAdminError {
    fn from(error: PasswordError) -> Self {
        Self::Hash(error.to_string())
    }
}

/// When there is no user at all, makes the superadmin `admin`, who must change the password at the first login.
///
/// The password is `given`, or drawn at random. A drawn one is returned, to be printed once; it is kept nowhere.
///
/// # Errors
/// The store or the random source failed, or the given password breaks the rules.
pub async fn ensure_first_admin(
    accounts: &dyn Accounts,
    given: Option<Secret>,
) -> Result<Option<Secret>, FirstAdminError> {
    if !accounts.users().await?.is_empty() {
        return Ok(None);
    }
    let drawn = if given.is_none() { Some(draw()?) } else { None };
    let Some(password) = given.as_ref().or(drawn.as_ref()) else { return Ok(None) };
    password::check(USERNAME, password, None)?;
    let user = User {
        username: USERNAME.to_owned(),
        password_hash: Passwords::new().hash(password).await?,
        role: Role::Superadmin,
        must_change_password: true,
        epoch: 0,
        created_at: Timestamp::now(),
    };
    match accounts.create_user(user).await {
        Ok(()) => Ok(drawn),
        // Another instance was quicker: its password counts.
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Four groups of five characters, for example `k7m2p-…`.
fn draw() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0u8; PASSWORD_CHARACTERS];
    getrandom::fill(&mut bytes)?;
    let characters: Vec<char> =
        bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect();
    let groups: Vec<String> = characters.chunks(5).map(|group| group.iter().collect()).collect();
    Ok(Secret::new(groups.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_passwords_are_readable_and_differ() {
        let password = draw().unwrap();
        assert_eq!(password.expose().len(), PASSWORD_CHARACTERS + 3);
        assert_eq!(password::check(USERNAME, &password, None), Ok(()));
        assert_ne!(password, draw().unwrap());
    }
}
