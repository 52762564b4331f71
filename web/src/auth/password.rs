//! Passwords: the rules for new ones, and argon2id at a bounded rate. Hashes of the system before this one are bcrypt's:
//! they verify, and are replaced at the next sign-in.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError, oneshot};
use zxcvbn::{Score, zxcvbn};

use crate::secret::Secret;

const MIN_CHARACTERS: usize = 12;
const MAX_CHARACTERS: usize = 128;
/// What a guesser who has the hash needs more than 10⁸ guesses for.
const MIN_SCORE: Score = Score::Three;
/// Words that somebody here is likely to choose.
const LIKELY_WORDS: [&str; 5] = ["mect", "monitor", "collector", "server", "vpn"];

/// Passwords hashed at a time, each with 19 MiB and some 20 ms of a core: the rest of the site stays quick.
const AT_A_TIME: usize = 2;
/// Priority of that work: a burst of logins takes what others leave of the cores.
const NICENESS: i32 = 10;
/// Passwords that wait for their turn, half a second at most; further ones are refused.
const QUEUE: usize = 32;

/// Each step doubles the work: at 14 it is a second of a core, and a stranger may ask for it.
const MAX_BCRYPT_COST: u32 = 14;

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
    #[error("The new password must not hold control characters")]
    Unprintable,
    #[error("The new password must not be the user name")]
    IsUsername,
    #[error("The new password is too easy to guess; a few random words are better")]
    Common,
    #[error("The new password must differ from the current one")]
    Unchanged,
}

/// Hashing failed for a reason that is not the caller's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("hashing a password: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("verifying a password: {0}")]
    Bcrypt(#[from] bcrypt::BcryptError),
    #[error("no thread to hash a password: {0}")]
    Thread(#[from] std::io::Error),
    #[error("hashing a password ended early")]
    Ended,
    /// As many as can wait are waiting.
    #[error("too many passwords to hash at the moment")]
    Busy,
}

/// Checks a new password against the rules. Takes up to some milliseconds.
pub(crate) fn check(username: &str, new: &Secret, current: Option<&Secret>) -> Result<(), WeakPassword> {
    let text = new.expose();
    match text.chars().count() {
        0..MIN_CHARACTERS => Err(WeakPassword::TooShort),
        length if length > MAX_CHARACTERS => Err(WeakPassword::TooLong),
        _ if text.chars().any(char::is_control) => Err(WeakPassword::Unprintable),
        _ if text.to_lowercase() == username.to_lowercase() => Err(WeakPassword::IsUsername),
        _ if current == Some(new) => Err(WeakPassword::Unchanged),
        _ if is_common(username, text) => Err(WeakPassword::Common),
        _ => Ok(()),
    }
}

fn is_common(username: &str, text: &str) -> bool {
    let mut likely = vec![username];
    likely.extend(LIKELY_WORDS);
    zxcvbn(text, &likely).score() < MIN_SCORE
}

/// Hashes and verifies, a few at a time; a burst of logins queues, and who comes when the queue is full is refused.
#[derive(Clone)]
pub(crate) struct Passwords {
    slots: Arc<Semaphore>,
    /// Those that run and those that wait.
    places: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_A_TIME)), places: Arc::new(Semaphore::new(AT_A_TIME + QUEUE)) }
    }

    /// Checks a new password against the rules and hashes it.
    pub(crate) async fn hash_new(
        &self,
        username: &str,
        new: &Secret,
        current: Option<&Secret>,
    ) -> Result<String, NewPasswordError> {
        let (username, secret, current) = (username.to_owned(), new.clone(), current.cloned());
        self.run(move || Ok(check(&username, &secret, current.as_ref()))).await??;
        Ok(self.hash(new).await?)
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

    /// True for a hash of the system before this one, which takes longer to verify than ours.
    pub(crate) fn is_foreign(hash: &str) -> bool {
        bcrypt_cost(hash).is_some()
    }

    /// True when a hash that verified should be replaced by a new one of the same password.
    pub(crate) fn is_outdated(hash: &str) -> bool {
        !hash.starts_with(parameters(NOBODYS_HASH))
    }

    /// True when the password belongs to the hash. Without a hash it takes as long and is false.
    pub(crate) async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, PasswordError> {
        let password = password.clone();
        let known = hash.is_some();
        let hash = hash.unwrap_or(NOBODYS_HASH).to_owned();
        self.run(move || {
            if let Some(cost) = bcrypt_cost(&hash) {
                return verify_bcrypt(&password, &hash, cost);
            }
            let hash = PasswordHash::new(&hash).map_err(argon2::password_hash::Error::from)?;
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.places.try_acquire().map_err(|_: TryAcquireError| PasswordError::Busy)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let _place: SemaphorePermit<'_> = place;
        let (answer, done) = oneshot::channel();
        std::thread::Builder::new().name("password".to_owned()).spawn(move || {
            // Held by the work, not by the request: a caller that hangs up does not free the core.
            let _slot = slot;
            // On Linux that is this thread alone. Where it may not, logins only disturb others more.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            let _ = answer.send(work());
        })?;
        done.await.map_err(|_| PasswordError::Ended)?
    }
}

/// A new password that was not hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewPasswordError {
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    #[error(transparent)]
    Failed(#[from] PasswordError),
}

/// The part of an argon2 hash that says how it was made.
fn parameters(hash: &str) -> &str {
    // $argon2id$v=19$m=19456,t=2,p=1$salt$digest
    hash.match_indices('$').nth(3).map_or(hash, |(place, _)| &hash[..place])
}

/// The cost of a bcrypt hash of a sound version: `$2b$12$…`.
fn bcrypt_cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"].into_iter().find_map(|version| hash.strip_prefix(version))?;
    rest.split('$').next()?.parse().ok()
}

fn verify_bcrypt(password: &Secret, hash: &str, cost: u32) -> Result<bool, PasswordError> {
    if cost > MAX_BCRYPT_COST {
        tracing::warn!(cost, "a bcrypt hash is too costly to verify; reset that user's password");
        return Ok(false);
    }
    Ok(bcrypt::verify(password.expose(), hash)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let check = |new: &str| check("operations", &Secret::new(new), Some(&Secret::new("the old password")));
        assert_eq!(check("twelve chars"), Ok(()));
        assert_eq!(check("eleven char"), Err(WeakPassword::TooShort));
        assert_eq!(check("äöüßéñøåçœæ"), Err(WeakPassword::TooShort), "characters, not bytes");
        assert_eq!(check("äöüßéñøåçœæð"), Ok(()));
        assert_eq!(check("пароль скворца 🐦"), Ok(()));
        assert_eq!(check(&"kx7 Qm".repeat(40)[..128]), Ok(()));
        assert_eq!(check(&"kx7 Qm".repeat(40)[..129]), Err(WeakPassword::TooLong));
        assert_eq!(check("nul\0 in the middle"), Err(WeakPassword::Unprintable));
        assert_eq!(
            super::check("Operations-Team", &Secret::new("operations-team"), None),
            Err(WeakPassword::IsUsername)
        );
        for common in ["password1234", "qwertyuiop12", "111111111111", "operations1!", "monitor12345", "abcabcabcabc"] {
            assert_eq!(check(common), Err(WeakPassword::Common), "{common}");
        }
        assert_eq!(check("the old password"), Err(WeakPassword::Unchanged));
    }

    #[tokio::test]
    async fn a_burst_beyond_the_queue_is_refused() {
        let passwords = Passwords::new();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = Arc::new(std::sync::Mutex::new(gone));
        let mut waiting = Vec::new();
        for _ in 0..AT_A_TIME + QUEUE {
            let (passwords, gone) = (passwords.clone(), Arc::clone(&gone));
            let work = move || {
                let _ = gone.lock().unwrap().recv();
                Ok(())
            };
            waiting.push(tokio::spawn(async move { passwords.run(work).await }));
        }
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.run(|| Ok(())).await, Err(PasswordError::Busy)));
        drop(go);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        passwords.run(|| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_long_password_is_not_cut() {
        let passwords = Passwords::new();
        let long = "é".repeat(100);
        let hash = passwords.hash(&Secret::new(format!("{long}a"))).await.unwrap();
        assert!(passwords.verify(&Secret::new(format!("{long}a")), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&Secret::new(format!("{long}b")), Some(&hash)).await.unwrap());
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
    async fn bcrypt_verifies_and_is_outdated() {
        let hash = bcrypt::hash("operations-2019", 5).unwrap();
        let passwords = Passwords::new();
        for version in ["$2a$", "$2b$", "$2y$"] {
            let hash = hash.replacen("$2b$", version, 1);
            assert!(passwords.verify(&Secret::new("operations-2019"), Some(&hash)).await.unwrap());
            assert!(!passwords.verify(&Secret::new("operations-2020"), Some(&hash)).await.unwrap());
            assert!(Passwords::is_outdated(&hash));
        }
        let costly = hash.replacen("$05$", "$15$", 1);
        assert!(!passwords.verify(&Secret::new("operations-2019"), Some(&costly)).await.unwrap());
        assert!(passwords.verify(&Secret::new("x"), Some("$2b$05$short")).await.is_err());
    }

    #[tokio::test]
    async fn only_other_parameters_are_outdated() {
        let hash = Passwords::new().hash(&Secret::new("anything at all")).await.unwrap();
        assert!(!Passwords::is_outdated(&hash));
        assert!(Passwords::is_outdated(&hash.replace("m=19456", "m=4096")));
        assert!(Passwords::is_outdated(&hash.replace("argon2id", "argon2i")));
    }

    #[tokio::test]
    async fn an_unknown_user_costs_the_same_work() {
        let hash = Passwords::new().hash(&Secret::new("anything at all")).await.unwrap();
        assert_eq!(parameters(NOBODYS_HASH), parameters(&hash));
    }
}
