//! Hosts that are asked for TLS: some do not speak it, some are not who they should be, some break it off.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use mect_fleet::FailureReason as Reason;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::case::{Case, LATE, Peer, Place, answer, fails, reads};
use crate::page::{self, HEAD};
use crate::support::pki::Authority;

/// How the collector reaches them: it believes the authority `ca`.
pub(crate) const ACCESS: &str = "[[access]]\nname = \"trusted\"\nca = \"ca.pem\"\n";
const BY_ACCESS: &str = "access = \"trusted\"\n";

/// Where the certificates are.
static CERTIFICATES: OnceLock<PathBuf> = OnceLock::new();

/// Makes every certificate: one that is good for all of `hosts`, and others that are good for none.
pub(crate) fn make_certificates(directory: &Path, hosts: &[Ipv4Addr]) {
    let pki = Authority(directory);
    let names: Vec<_> = hosts.iter().map(|host| format!("IP:{host}")).collect();
    pki.root("ca");
    pki.root("stranger");
    pki.issue("good", "ca", &names.join(","), 30);
    pki.issue("late", "ca", &names.join(","), -1);
    pki.issue("elsewhere", "ca", "IP:192.0.2.1", 30);
    pki.issue("unknown", "stranger", &names.join(","), 30);
    CERTIFICATES.set(directory.to_owned()).unwrap();
}

type Stream = StreamOwned<ServerConnection, std::net::TcpStream>;

/// Speaks TLS with that certificate, and reads the question.
fn secured(peer: &mut Peer, certificate: &str) -> io::Result<Stream> {
    let directory = CERTIFICATES.get().unwrap();
    let chain = CertificateDer::pem_file_iter(directory.join(format!("{certificate}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{certificate}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = StreamOwned::new(connection, peer.socket.try_clone()?);
    let mut question = Vec::new();
    let mut piece = [0; 4096];
    while !question.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => break,
            read => question.extend_from_slice(&piece[..read]),
        }
    }
    Ok(stream)
}

/// Serves a good page with that certificate.
fn shows(certificate: &'static str) -> impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static {
    move |peer| {
        let mut stream = secured(peer, certificate)?;
        stream.write_all(page::of(&page::good(peer.turn)).as_bytes())?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    let cases = vec![
        fails("answers_in_the_clear", Reason::Tls, "", answer(page::of(&page::good(0)))),
        fails("answers_with_an_alert", Reason::Tls, "", answer(alert)),
        fails("answers_with_garbage", Reason::Tls, "", answer([0xff; 4096])),
        fails("hangs_up_in_the_handshake", Reason::Tls, "", |peer| peer.socket.read(&mut [0; 4096]).map(drop)),
        fails("resets_in_the_handshake", Reason::Tls, "", |peer| {
            // Once the other side has said something, the reset is for the handshake.
            peer.socket.peek(&mut [0])?;
            peer.reset()
        }),
        fails("is_silent_in_the_handshake", Reason::Tls, LATE, |peer| peer.hold()),
        fails("drips_its_handshake", Reason::Tls, LATE, |peer| peer.drip("\u{16}\u{3}\u{3}", "\u{1}")),
        fails("floods_the_handshake", Reason::Tls, "", |peer| peer.flood(b"\x16\x03\x03\x40\x00\x02\xff\xff\xff")),
        fails("has_a_certificate_of_nobody_we_know", Reason::Tls, "", shows("unknown")),
        fails("has_a_certificate_of_its_own_making", Reason::Tls, "", shows("stranger")),
        fails("has_a_certificate_of_another_host", Reason::Tls, "", shows("elsewhere")),
        fails("has_a_certificate_of_the_past", Reason::Tls, "", shows("late")),
        // Whoever cuts the wire can end a connection, but not in the name of the host.
        fails("is_cut_where_its_page_could_end", Reason::Truncated, "", |peer| {
            let mut stream = secured(peer, "good")?;
            stream.write_all(format!("{HEAD}\r\n{}", page::good(peer.turn)).as_bytes())
        }),
        fails("is_silent_behind_its_handshake", Reason::HeadTimeout, LATE, |peer| {
            let mut stream = secured(peer, "good")?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        }),
        fails("floods_behind_its_handshake", Reason::TooLarge, "", |peer| {
            let mut stream = secured(peer, "good")?;
            stream.write_all(format!("{HEAD}\r\n").as_bytes())?;
            loop {
                stream.write_all(&[b'#'; 16 * 1024])?;
            }
        }),
        reads("is_who_it_should_be", shows("good")),
    ];
    cases.into_iter().map(|case| case.at(Place::Secured).with(BY_ACCESS).greets()).collect()
}
