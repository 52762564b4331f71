//! When certificates end: PEM files that the operator names, and the exporter's own.
//!
//! Of an X.509 certificate (RFC 5280) only `notAfter` is read, by walking its DER structure. Nothing is
//! verified.

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

// DER tags, X.690.
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Reads the files and writes the family. One that cannot be read does not hide the others.
///
/// # Errors
/// The first file that cannot be read, or holds no certificate.
pub fn sample(root: &Root, files: &[PathBuf], page: &mut Page) -> Result<(), SampleError> {
    let mut failed = Ok(());
    let mut family = page.family(
        "vpn_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When the first certificate of the file to end ends, in Unix time.",
    );
    for file in files {
        match earliest(root, file) {
            Ok(expiry) => family.sample(&[("file", &file.to_string_lossy())], expiry as f64),
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed
}

fn earliest(root: &Root, file: &PathBuf) -> Result<i64, SampleError> {
    let text = root.bytes(file)?;
    let broken = |reason: &str| SampleError::parse(file.display(), reason);
    let mut earliest: Option<i64> = None;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| broken(&error.to_string()))?;
        let expiry = not_after(&certificate).ok_or_else(|| broken("a certificate is malformed"))?;
        earliest = Some(earliest.map_or(expiry, |other| other.min(expiry)));
    }
    earliest.ok_or_else(|| broken("it holds no certificate in PEM"))
}

/// The end of a certificate's validity, Unix time.
///
/// `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serial, signature, issuer, validity
/// SEQUENCE { notBefore, notAfter }, … } … }`
pub fn not_after(certificate: &[u8]) -> Option<i64> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, body, _) = element(certificate)? else { return None };
    let mut rest = body;
    if let (EXPLICIT_VERSION, _, tail) = element(rest)? {
        rest = tail;
    }
    for _serial_signature_issuer in 0..3 {
        rest = element(rest)?.2;
    }
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _, rest) = element(validity)?;
    let (kind, time, _) = element(rest)?;
    parse_time(kind, std::str::from_utf8(time).ok()?)
}

/// Tag, content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7F => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, tail) = rest.split_at_checked(length)?;
    Some((*tag, content, tail))
}

/// `YYMMDDhhmmssZ` until 2049, `YYYYMMDDhhmmssZ` beyond, RFC 5280 section 4.1.2.5.
fn parse_time(kind: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March, so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between the start of the year 0 and 1970.
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends on 2036-11-22 16:45:35 UTC; made by `openssl req -x509`.
    const PEM: &[u8] = include_bytes!("../../tests/fixtures/certificate.pem");

    #[test]
    fn the_end_of_a_real_certificate_is_read() {
        let certificate = CertificateDer::from_pem_slice(PEM).unwrap();
        assert_eq!(not_after(&certificate), Some(2_110_985_135));
        for end in 0..certificate.len() {
            let _ = not_after(&certificate[..end]);
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(parse_time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(parse_time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(parse_time(GENERALIZED_TIME, "20000229120000Z"), Some(951_825_600));
        assert_eq!(parse_time(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for bad in ["", "Z", "7001010000Z", "701301000000Z", "70010100000xZ", "700101000000", "é00101000000Z"] {
            assert_eq!(parse_time(UTC_TIME, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_bad_file_does_not_hide_a_good_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("good.pem"), PEM).unwrap();
        std::fs::write(dir.path().join("bad.pem"), "nothing").unwrap();
        let mut page = Page::new();
        let files = ["/bad.pem", "/good.pem", "/absent.pem"].map(PathBuf::from);
        let error = sample(&Root::new(dir.path()), &files, &mut page).unwrap_err();
        assert!(error.to_string().contains("bad.pem"), "{error}");
        assert!(page.into_text().contains("{file=\"/good.pem\"} "));
    }
}
