//! TLS: certificates of clients, versions, and a certificate that is replaced while the exporter runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::program::{Program, exchange};

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A certificate that signs itself, in a directory of its own.
pub(crate) struct Certificate(tempfile::TempDir);

impl Certificate {
    pub(crate) fn make(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), name);
        Self(dir)
    }

    pub(crate) fn cert(&self) -> String {
        self.0.path().join("cert.pem").display().to_string()
    }

    pub(crate) fn key(&self) -> String {
        self.0.path().join("key.pem").display().to_string()
    }

    /// The section of the settings, with `more` lines.
    pub(crate) fn settings(&self, more: &str) -> String {
        format!("page_seconds = 0\n[tls]\ncert = {:?}\nkey = {:?}\n{more}", self.cert(), self.key())
    }
}

fn make(dir: &Path, name: &str) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName=DNS:{name}"), "-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(dir)
        .output()
        .unwrap_or_else(|_| panic!("openssl is missing: apt-get install openssl"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn start(certificate: &Certificate, more: &str) -> (Program, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exporter.toml");
    std::fs::write(&path, certificate.settings(more)).unwrap();
    (Program::start(&["--config", path.to_str().unwrap()], &[]), dir)
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects as a client that trusts `authority`, and shows `own`.
fn connect(program: &Program, authority: &Certificate, own: Option<&Certificate>) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.cert()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_file(own.cert()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(own.key()).unwrap()).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(config.into(), name).unwrap(), program.connect());
    stream.flush()?;
    Ok(stream)
}

/// Whether a page comes.
fn answers(program: &Program, authority: &Certificate, own: Option<&Certificate>) -> bool {
    let Ok(mut stream) = connect(program, authority, own) else { return false };
    let mut answer = [0; 12];
    stream.write_all(GET.as_bytes()).is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 200"
}

#[test]
fn pages_come_over_tls_and_nothing_comes_without() {
    let certificate = Certificate::make("localhost");
    let (program, _dir) = start(&certificate, "");
    assert!(program.said.contains("listening on https://"), "{}", program.said);
    let mut stream = connect(&program, &certificate, None).unwrap();
    for _ in 0..2 {
        let page = exchange(&mut stream, GET).body;
        assert!(page.contains("vpn_certificate_expiry_timestamp_seconds{file="), "the own one is shown: {page}");
    }
    let mut plain = program.connect();
    plain.write_all(GET.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_client_without_the_right_certificate_learns_nothing() {
    let (server, scraper, stranger) =
        (Certificate::make("localhost"), Certificate::make("scraper"), Certificate::make("stranger"));
    let (program, _dir) = start(&server, &format!("client_ca = {:?}\n", scraper.cert()));
    assert!(answers(&program, &server, Some(&scraper)));
    assert!(!answers(&program, &server, Some(&stranger)));
    assert!(!answers(&program, &server, None));
}

#[test]
fn a_replaced_certificate_is_taken_up_and_half_of_one_is_not() {
    let certificate = Certificate::make("localhost");
    let (program, _dir) = start(&certificate, "");
    let mut kept = connect(&program, &certificate, None).unwrap();
    exchange(&mut kept, GET);

    let (old, new) = (Certificate::make("localhost"), Certificate::make("localhost"));
    for file in ["cert.pem", "key.pem"] {
        std::fs::copy(certificate.0.path().join(file), old.0.path().join(file)).unwrap();
    }
    // First the certificate alone, which does not fit the key that is still there.
    std::fs::copy(new.cert(), certificate.cert()).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1500) {
        assert!(answers(&program, &old, None), "the old one stays in use");
    }
    std::fs::copy(new.key(), certificate.key()).unwrap();
    while !answers(&program, &new, None) {
        assert!(started.elapsed() < Duration::from_secs(20), "the new one is not taken up");
    }
    assert!(!answers(&program, &old, None));
    // Who is connected stays so.
    exchange(&mut kept, GET);
    drop(kept);
    program.signal("TERM");
    let (_, log) = program.wait();
    assert!(log.contains("keeps the old certificate: ") && log.contains("took up the new certificate"), "{log}");
}

#[test]
fn old_versions_of_tls_are_refused() {
    let certificate = Certificate::make("localhost");
    let (program, _dir) = start(&certificate, "");
    for (version, accepted) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &program.address, version, "-CAfile", &certificate.cert()])
            .args(["-cipher", "ALL:@SECLEVEL=0", "-verify_return_error"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.success(), accepted, "{version}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
