//! The first account of an empty store.

use mect_fleet::store::{Accounts, StoreError};
use mect_fleet::{Role, Timestamp, User};

use crate::auth::password::{NewPasswordError, Passwords};
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
    /// The drawn password could not be told.
    #[error("the first password cannot be printed, so no account was made: {0}")]
    Untold(#[source] std::io::Error),
    /// Hashing failed.
    #[error("{0}")]
    Hash(String),
}

impl From<NewPasswordError> for FirstAdminError {
    fn from(error: NewPasswordError) -> Self {
        match error {
            NewPasswordError::Weak(weak) => Self::Refused(weak.to_string()),
            NewPasswordError::Failed(error) => Self::Hash(error.to_string()),
        }
    }
}

/// When there is no user at all, makes the superadmin `admin`, who must change the password at the first login.
///
/// The password is `given`, or drawn at random. A drawn one is handed to `tell` before the account exists; it is kept
/// nowhere.
///
/// # Errors
/// The store, the random source or `tell` failed, or the given password breaks the rules. No account was made.
pub async fn ensure_first_admin(
    accounts: &dyn Accounts,
    given: Option<Secret>,
    tell: impl FnOnce(&Secret) -> std::io::Result<()>,
) -> Result<(), FirstAdminError> {
    if !accounts.users().await?.is_empty() {
        return Ok(());
    }
    let (password, is_drawn) = match given {
        Some(password) => (password, false),
        None => (draw()?, true),
    };
    let password_hash = Passwords::new().hash_new(USERNAME, &password, None).await?;
    let user = User::new(USERNAME, password_hash, Role::Superadmin, Timestamp::now());
    let user = User { must_change_password: true, ..user };
    if is_drawn {
        tell(&password).map_err(FirstAdminError::Untold)?;
    }
    match accounts.create_user(user).await {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict(_)) => {
            tracing::warn!("another collector made the first account at the same moment; its password counts");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Four groups of five characters, for example `k7m2p-…`.
pub(crate) fn draw() -> Result<Secret, getrandom::Error> {
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
        assert_eq!(crate::auth::password::check(USERNAME, &password, None), Ok(()));
        assert_ne!(password, draw().unwrap());
    }
}
