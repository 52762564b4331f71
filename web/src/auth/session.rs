//! Browser sessions: an opaque random cookie, of which the store keeps only a digest.

use http::{HeaderMap, HeaderValue, header};
use mect_fleet::{Session, Timestamp, User};
use sha2::{Digest, Sha256};

use crate::auth::hex;
use crate::client::ClientAddress;
use crate::secret::Secret;
use crate::settings::Settings;

const SECRET_BYTES: usize = 32;
/// Of a mark: nobody has so many sessions that two share one.
const MARK_BYTES: usize = 8;
/// Tells marks from digests of anything else.
const MARK_DOMAIN: &[u8] = b"mect session mark";

/// Makes and reads the session cookie.
pub(crate) struct Cookies {
    name: &'static str,
    secure: bool,
    lifetime_seconds: u64,
}

impl Cookies {
    pub(crate) fn new(settings: &Settings) -> Self {
        let secure = settings.is_https();
        Self {
            // Browsers refuse `__Host-` cookies from a sibling domain or without TLS (RFC 6265bis, section 4.1.3.2).
            name: if secure { "__Host-mect_session" } else { "mect_session" },
            secure,
            lifetime_seconds: settings.session_lifetime.as_secs(),
        }
    }

    /// The digest of the session secret in the request, if it carries one.
    pub(crate) fn digest(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, value)| *name == self.name && value.len() == SECRET_BYTES * 2)
            .map(|(_, value)| digest(value))
    }

    /// `Set-Cookie` that starts a session.
    pub(crate) fn start(&self, secret: &Secret) -> HeaderValue {
        self.header(secret.expose(), self.lifetime_seconds)
    }

    /// `Set-Cookie` that makes the browser forget the session.
    pub(crate) fn end(&self) -> HeaderValue {
        self.header("", 0)
    }

    fn header(&self, value: &str, max_age_seconds: u64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name;
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}{secure}");
        let mut header = HeaderValue::from_str(&text).expect("name and hex digits are ASCII");
        header.set_sensitive(true);
        header
    }
}

/// A new session of `user`, and the secret for its cookie.
pub(crate) fn open(
    user: &User,
    settings: &Settings,
    client: ClientAddress,
    now: Timestamp,
) -> Result<(Session, Secret), getrandom::Error> {
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let session = Session {
        digest: digest(&secret),
        username: user.username.clone(),
        epoch: user.epoch,
        created_at: now,
        expires_at: now + settings.session_lifetime,
        address: client.0.map(|address| address.to_string()).unwrap_or_default(),
    };
    Ok((session, Secret::new(secret)))
}

/// Names a session of a user in a form: what it is made from cannot be found by it.
pub(crate) fn mark(digest: &[u8; 32]) -> String {
    hex::encode(&Sha256::new().chain_update(MARK_DOMAIN).chain_update(digest).finalize()[..MARK_BYTES])
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(url: &str) -> Cookies {
        let settings = Settings::new(Secret::new("s".repeat(32))).unwrap().with_public_url(url).unwrap();
        Cookies::new(&settings)
    }

    #[test]
    fn over_tls_the_cookie_is_bound_to_the_host() {
        let header = cookies("https://vpn.example.org").start(&Secret::new("ab"));
        let text = "__Host-mect_session=ab; Path=/; HttpOnly; SameSite=Lax; Max-Age=43200; Secure";
        assert_eq!(header, text);
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_mark_tells_nothing_of_what_it_names() {
        let (one, other) = (mark(&[7; 32]), mark(&[8; 32]));
        assert!(one.len() == 16 && one != other);
        assert!(!hex::encode(&[7; 32]).contains(&one) && one != hex::encode(&Sha256::digest([7; 32])[..8]));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let secret = "ab".repeat(32);
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("theme=dark; mect_session={secret}; x=y").parse().unwrap());
        assert_eq!(cookies("http://localhost").digest(&headers), Some(digest(&secret)));
        assert_eq!(cookies("https://localhost").digest(&headers), None);
        headers.insert(header::COOKIE, HeaderValue::from_static("mect_session=short"));
        assert_eq!(cookies("http://localhost").digest(&headers), None);
    }
}
