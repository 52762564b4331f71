//! One-time codes beside the password (RFC 6238): six digits, SHA-1, 30 s, which is what every authenticator knows.

use mect_fleet::{Timestamp, Totp, User};
use totp_rs::{Builder, TotpError};

use crate::app::App;
use crate::error::Error;
use crate::patience;

/// As long as the hash, as RFC 4226 recommends (section 4, R6).
const SECRET_BYTES: usize = 20;
/// How authenticators name us.
const ISSUER: &str = "Mect%20VPN%20Monitor";

/// A new secret, not confirmed yet.
pub(crate) fn draw() -> Result<Totp, getrandom::Error> {
    let mut secret = vec![0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    Ok(Totp { secret, confirmed: false, last_step: 0 })
}

/// The secret as people type it, and as the link behind a QR code.
pub(crate) fn shown(username: &str, totp: &Totp) -> (String, String) {
    let secret = totp_rs::Secret::from(totp.secret.clone()).to_base32();
    let name: String = username.bytes().flat_map(percent).collect();
    let uri = format!("otpauth://totp/{ISSUER}:{name}?secret={secret}&issuer={ISSUER}");
    (secret, uri)
}

fn percent(byte: u8) -> Vec<char> {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        vec![char::from(byte)]
    } else {
        format!("%{byte:02X}").chars().collect()
    }
}

/// Takes a code of `user`: each is good once, here and on every other collector.
pub(crate) async fn take(app: &App, user: &User, code: &str, now: Timestamp) -> Result<(), Error> {
    let totp = user.totp.as_ref().ok_or(Error::WrongCode)?;
    let step = step_of(totp, code, now)?.ok_or(Error::WrongCode)?;
    let taken = patience::long(app.users.accounts().take_totp_step(&user.username, step)).await?;
    if taken { Ok(()) } else { Err(Error::WrongCode) }
}

/// The time step that a code belongs to, one before or after the present one at most.
pub(crate) fn step_of(totp: &Totp, code: &str, now: Timestamp) -> Result<Option<u64>, Error> {
    // Authenticators show two groups.
    let digits: String = code.chars().filter(|character| *character != ' ').collect();
    let built = Builder::new().with_secret(totp.secret.clone()).build();
    let rule = built.map_err(|error: TotpError| Error::Internal(error.to_string().into()))?;
    let seconds = u64::try_from(now.as_secs()).unwrap_or_default();
    let is_code = digits.len() == usize::from(rule.digits()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    Ok(if is_code { rule.check(&digits, seconds) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let totp = Totp { secret: b"12345678901234567890".to_vec(), confirmed: true, last_step: 0 };
        let step = |code: &str, seconds| step_of(&totp, code, Timestamp::from_secs(seconds)).unwrap();
        assert_eq!(step("287082", 59), Some(1));
        assert_eq!(step("081 804", 1_111_111_109), Some(37_037_036));
        assert_eq!(step("005924", 1_234_567_890), Some(41_152_263));
        assert_eq!(step("287082", 59 + 30), Some(1), "a slow typist");
        assert_eq!(step("287082", 59 + 61), None);
        for bad in ["", "287083", "28708", "2870820", "٢٨٧٠٨٢", "28708a"] {
            assert_eq!(step(bad, 59), None, "{bad}");
        }
    }

    #[test]
    fn the_link_is_what_authenticators_read() {
        let totp = Totp { secret: b"12345678901234567890".to_vec(), confirmed: false, last_step: 0 };
        let (secret, uri) = shown("zoë@x", &totp);
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            uri,
            "otpauth://totp/Mect%20VPN%20Monitor:zo%C3%AB%40x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Mect%20VPN%20Monitor"
        );
    }
}
