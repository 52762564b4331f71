//! A pinned key: the exporter's own key is known, so nobody needs to vouch for it, and its certificate may say what it
//! likes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};

/// What a pin begins with.
const PREFIX: &str = "sha256/";

/// The SHA-256 of a key as a certificate holds it (RFC 7469, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pin([u8; 32]);

impl Pin {
    /// Reads `sha256/` and base64; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digest = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        digest.try_into().ok().map(Self)
    }
}

/// Takes the one key, whatever the certificate around it.
#[derive(Debug)]
pub(super) struct PinnedKey {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl PinnedKey {
    pub(super) fn new(pin: Pin, provider: Arc<CryptoProvider>) -> Self {
        Self { pin, provider }
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if Sha256::digest(key.as_ref())[..] == self.pin.0 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    // Both prove that the peer holds the key: without them a copied certificate would do.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_a_digest_in_base64() {
        assert_eq!(Pin::parse(&format!("sha256/{}", STANDARD.encode([7; 32]))), Some(Pin([7; 32])));
        for text in ["", "sha256/", "sha256/AAAA", &STANDARD.encode([7; 32]), "sha1/AAAA"] {
            assert_eq!(Pin::parse(text), None, "{text}");
        }
    }
}
