//! Bearer tokens: JWT (RFC 7519) signed with HMAC-SHA-256, for scripts and client applications.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use mect_fleet::{Timestamp, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::auth::hex;
use crate::auth::verified::Verified;
use crate::secret::Secret;

/// Only tokens made by this service count, and only those made for it.
const SERVICE: &str = "mect-vpn-monitor";
/// Tokens between the two steps of a sign-in with a one-time code; good for nothing else.
const SECOND_STEP: &str = "mect-vpn-monitor/code";
/// Clocks of collectors that share a fleet differ by less.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);
/// Time to find the authenticator and type its code.
const SECOND_STEP_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a token says. The role is not in it: it is read from the store, so that a demotion works at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// User name.
    pub(crate) sub: String,
    /// Void from then on, in seconds since 1970.
    pub(crate) exp: i64,
    /// Void before.
    nbf: i64,
    /// Issued then.
    iat: i64,
    iss: String,
    aud: String,
    /// Identity of the token.
    #[serde(with = "hex::id")]
    pub(crate) jti: [u8; 16],
    /// Identity of the grant that it came from, where there is one.
    #[serde(default, with = "hex::optional_id", skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<[u8; 16]>,
    /// The user's epoch: a password change voids every token before it.
    pub(crate) epoch: u64,
}

/// Issues and verifies tokens by a ring of keys: the first signs, all verify.
pub(crate) struct Tokens {
    signing: EncodingKey,
    kid: String,
    verifying: HashMap<String, DecodingKey>,
    service: Validation,
    second_step: Validation,
    verified: Verified<Claims>,
}

impl Tokens {
    /// `keys` holds at least one.
    pub(crate) fn new(keys: &[Secret]) -> Self {
        let bytes = |key: &Secret| key.expose().as_bytes().to_vec();
        let first = keys.first().map(bytes).unwrap_or_default();
        Self {
            signing: EncodingKey::from_secret(&first),
            kid: kid(&first),
            verifying: keys.iter().map(bytes).map(|key| (kid(&key), DecodingKey::from_secret(&key))).collect(),
            service: validation(SERVICE),
            second_step: validation(SECOND_STEP),
            verified: Verified::default(),
        }
    }

    /// A token for `user`, valid from `now`.
    pub(crate) fn issue(
        &self,
        user: &User,
        grant: Option<[u8; 16]>,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, IssueError> {
        self.sign(user, SERVICE, grant, lifetime, now)
    }

    /// A token that says that `user` gave the right password, for the second step of a sign-in.
    pub(crate) fn second_step(&self, user: &User, now: Timestamp) -> Result<String, IssueError> {
        self.sign(user, SECOND_STEP, None, SECOND_STEP_LIFETIME, now)
    }

    fn sign(
        &self,
        user: &User,
        audience: &str,
        sid: Option<[u8; 16]>,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, IssueError> {
        let mut jti = [0; 16];
        getrandom::fill(&mut jti)?;
        let claims = Claims {
            sub: user.username.clone(),
            exp: (now + lifetime).as_secs(),
            nbf: (now - CLOCKS_DIFFER).as_secs(),
            iat: now.as_secs(),
            iss: SERVICE.to_owned(),
            aud: audience.to_owned(),
            jti,
            sid,
            epoch: user.epoch,
        };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.signing)?)
    }

    /// The claims of a token that is genuine and has not expired.
    pub(crate) fn verify(&self, token: &str) -> Option<Arc<Claims>> {
        let now = Timestamp::now().as_secs();
        self.verified.claims(token, |claims| claims.exp >= now, |token| self.decode(token, &self.service))
    }

    /// The claims of a token from the first step of a sign-in.
    pub(crate) fn verify_second_step(&self, token: &str) -> Option<Claims> {
        self.decode(token, &self.second_step)
    }

    fn decode(&self, token: &str, validation: &Validation) -> Option<Claims> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let claims: Claims = jsonwebtoken::decode(token, self.verifying.get(&kid)?, validation).ok()?.claims;
        // Those two are no concern of the library.
        let is_sound = claims.iat <= (Timestamp::now() + CLOCKS_DIFFER).as_secs() && claims.iat < claims.exp;
        is_sound.then_some(claims)
    }
}

fn validation(audience: &str) -> Validation {
    // The algorithm is ours to say, never the token's: `none` and every other one are refused.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[SERVICE]);
    // A claim that is not required passes when it is missing. `iat` and `jti` are required by our type.
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = 0;
    validation
}

/// Names a key without telling it.
fn kid(key: &[u8]) -> String {
    let digest = Sha256::new().chain_update("mect key id\0").chain_update(key).finalize();
    hex::encode(&digest[..8])
}

/// A token that could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("random source: {0}")]
    Random(#[from] getrandom::Error),
    #[error("signing: {0}")]
    Sign(#[from] JwtError),
}
