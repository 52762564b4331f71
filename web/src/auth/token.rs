//! Bearer tokens: JWT signed with HMAC-SHA-256, for scripts and client applications.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use mect_fleet::{Timestamp, User};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Only tokens made for this service count.
const AUDIENCE: &str = "mect-vpn-monitor";

/// What a token says. The role is not in it: it is read from the store, so that a demotion works at once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// User name.
    pub(crate) sub: String,
    /// Void from then on, in seconds since 1970.
    exp: i64,
    /// Issued then.
    iat: i64,
    aud: String,
    /// The user's epoch: a password change voids every token before it.
    pub(crate) epoch: u64,
}

/// Issues and verifies tokens.
pub(crate) struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl Tokens {
    pub(crate) fn new(secret: &Secret, lifetime: Duration) -> Self {
        // The algorithm is ours to say, never the token's: `none` and every other one are refused.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "sub", "aud"]);
        validation.leeway = 0;
        let key = secret.expose().as_bytes();
        Self { signing: EncodingKey::from_secret(key), verifying: DecodingKey::from_secret(key), validation, lifetime }
    }

    /// A token for `user`, valid from `now`.
    pub(crate) fn issue(&self, user: &User, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            sub: user.username.clone(),
            exp: (now + self.lifetime).as_secs(),
            iat: now.as_secs(),
            aud: AUDIENCE.to_owned(),
            epoch: user.epoch,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
    }

    /// The claims of a token that is genuine and has not expired.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        jsonwebtoken::decode(token, &self.verifying, &self.validation).ok().map(|data| data.claims)
    }
}
