//! Signs the list of servers, so that a client can tell that nobody on the way changed it: a mirror, a cache, a proxy.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// A text that is no private Ed25519 key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a private Ed25519 key in PEM; `openssl genpkey -algorithm ed25519` makes one")]
pub struct InvalidListKey;

/// The key that signs the list (Ed25519, RFC 8032).
#[derive(Clone)]
pub struct ListKey {
    pair: Arc<Ed25519KeyPair>,
    id: String,
    public_pem: String,
}

impl ListKey {
    /// Reads a private key in PEM (PKCS #8, RFC 8410).
    ///
    /// # Errors
    /// It is not one.
    pub fn from_pem(pem: &Secret) -> Result<Self, InvalidListKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| InvalidListKey)?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| InvalidListKey)?;
        let public = pair.public_key().as_der().map_err(|_| InvalidListKey)?;
        let id = Sha256::digest(pair.public_key())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        // 44 bytes: one line of base64.
        let public_pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(public.as_ref()));
        Ok(Self { pair: Arc::new(pair), id, public_pem })
    }

    /// Tells keys apart: the start of the public key's SHA-256.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The public key in PEM.
    pub(crate) fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The signature of `message`; always the same for the same message.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(message);
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(signature.as_ref()).for_each(|(byte, signed)| *byte = *signed);
        bytes
    }
}

impl fmt::Debug for ListKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A signature as a header's value: base64.
pub(crate) fn header(signature: &[u8; 64]) -> HeaderValue {
    HeaderValue::from_str(&STANDARD.encode(signature)).expect("base64 is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first key of RFC 8032, section 7.1, wrapped as RFC 8410 says.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn signatures_are_those_of_the_standard() {
        let key = ListKey::from_pem(&Secret::new(PEM)).unwrap();
        assert_eq!(
            header(&key.sign(b"")),
            "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw=="
        );
        assert!(key.public_pem().contains("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="));
        assert!(!format!("{key:?}").contains("nWGxne"));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(ListKey::from_pem(&Secret::new(bad)).unwrap_err(), InvalidListKey);
        }
    }
}
