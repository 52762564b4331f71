//! The secrets of API tokens.

use sha2::{Digest, Sha256};

use crate::auth::hex;
use crate::secret::Secret;

/// Tells ours from other bearer tokens, also for programs that look for secrets where none should be.
const PREFIX: &str = "mect_";
const SECRET_BYTES: usize = 32;

/// A new secret and its digest.
pub(crate) fn draw() -> Result<(Secret, [u8; 32]), getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let secret = format!("{PREFIX}{}", hex::encode(&bytes));
    let digest = Sha256::digest(secret.as_bytes()).into();
    Ok((Secret::new(secret), digest))
}

/// The digest of what may be an API token; `None` for what cannot be one.
pub(crate) fn digest(bearer: &str) -> Option<[u8; 32]> {
    let is_one = bearer.strip_prefix(PREFIX).is_some_and(|secret| secret.len() == SECRET_BYTES * 2);
    is_one.then(|| Sha256::digest(bearer.as_bytes()).into())
}
