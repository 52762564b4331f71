//! Passwords: the rules for new ones, and argon2id at a bounded rate.

use std::sync::Arc;
use std::thread;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::{AcquireError, Semaphore};
use tokio::task::{JoinError, spawn_blocking};

use crate::secret::Secret;

const MIN_CHARACTERS: usize = 10;
const MAX_CHARACTERS: usize = 128;

/// Verified when the user is unknown, so that the answer takes as long as for a known one. Nothing hashes to it; its
/// parameters must be those of [`Argon2::default`].
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A new password that breaks a rule. Length beats composition (NIST SP 800-63B, section 3.1.1).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum WeakPassword {
    #[error("The new password needs at least {MIN_CHARACTERS} characters")]
    TooShort,
    #[error("The new password may have at most {MAX_CHARACTERS} characters")]
    TooLong,
    #[error("The new password must not be the user name")]
    IsUsername,
    #[error("The new password must differ from the current one")]
    Unchanged,
}

/// Hashing failed for a reason that is not the caller's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("hashing a password: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("hashing a password: {0}")]
    Aborted(#[from] JoinError),
    #[error("hashing a password: {0}")]
    Closed(#[from] AcquireError),
}

/// Checks a new password against the rules.
pub(crate) fn check(username: &str, new: &Secret, current: Option<&Secret>) -> Result<(), WeakPassword> {
    let text = new.expose();
    match text.chars().count() {
        0..MIN_CHARACTERS => Err(WeakPassword::TooShort),
        length if length > MAX_CHARACTERS => Err(WeakPassword::TooLong),
        _ if text.to_lowercase() == username.to_lowercase() => Err(WeakPassword::IsUsername),
        _ if current == Some(new) => Err(WeakPassword::Unchanged),
        _ => Ok(()),
    }
}

/// Hashes and verifies. One hash costs 19 MiB and some 20 ms of a core, so no more run at a time than there are cores;
/// a burst of logins queues, and the rest of the site stays quick.
#[derive(Clone)]
pub(crate) struct Passwords {
    slots: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from))) }
    }

    /// The PHC string of a password, with a fresh salt.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, PasswordError> {
        let password = password.clone();
        self.run(move || {
            Ok(PasswordHasher::<PasswordHash>::hash_password(&Argon2::default(), password.expose().as_bytes())?
                .to_string())
        })
        .await
    }

    /// True when the password belongs to the hash. Without a hash it takes as long and is false.
    pub(crate) async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, PasswordError> {
        let password = password.clone();
        let known = hash.is_some();
        let hash = hash.unwrap_or(NOBODYS_HASH).to_owned();
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(argon2::password_hash::Error::from)?;
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let slot = Arc::clone(&self.slots).acquire_owned().await?;
        spawn_blocking(move || {
            // Held by the work, not by the request: a caller that hangs up does not free the core.
            let _slot = slot;
            work()
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let check = |new: &str| check("operations", &Secret::new(new), Some(&Secret::new("the old password")));
        assert_eq!(check("nine chars"), Ok(()));
        assert_eq!(check("too short"), Err(WeakPassword::TooShort));
        assert_eq!(check("äöüäöüäöü"), Err(WeakPassword::TooShort));
        assert_eq!(check(&"x".repeat(128)), Ok(()));
        assert_eq!(check(&"x".repeat(129)), Err(WeakPassword::TooLong));
        assert_eq!(check("Operations"), Err(WeakPassword::IsUsername));
        assert_eq!(check("the old password"), Err(WeakPassword::Unchanged));
    }

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Passwords::new();
        let right = Secret::new("correct horse");
        let hash = passwords.hash(&right).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(&right, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&Secret::new("wrong horse"), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&right, None).await.unwrap());
        assert!(passwords.verify(&right, Some("not a hash")).await.is_err());
    }

    #[tokio::test]
    async fn an_unknown_user_costs_the_same_work() {
        let hash = Passwords::new().hash(&Secret::new("anything at all")).await.unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(parameters(NOBODYS_HASH), parameters(&hash));
    }
}
