//! A D-Bus client that can do one thing: call methods and read their replies.
//!
//! Written by hand because the usual crate would nearly double the size of the program. It follows the
//! D-Bus Specification (freedesktop.org, protocol version 1) and trusts nobody: a reply is bounded in
//! size, every length is checked against what is there, and nothing panics. It knows nothing about
//! systemd.
//!
//! [`wire`] marshals values, [`message`] frames messages, [`connection`] speaks over the socket.

pub mod connection;
pub mod message;
pub mod wire;

use std::io;
use std::path::PathBuf;

/// Why the bus could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DbusError {
    /// The socket is not there: no D-Bus on this host, or the service may not reach it.
    #[error("cannot connect to the D-Bus socket {path}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The address of the bus is of a kind that this client does not speak.
    #[error("cannot use the D-Bus address {0:?}: only unix:path=… is supported")]
    Address(String),
    /// The connection broke.
    #[error("D-Bus connection failed: {0}")]
    Io(#[from] io::Error),
    /// The bus did not accept us.
    #[error("D-Bus refused the authentication: {0:?}")]
    Refused(String),
    /// The bus took our login and hung up. dbus-daemon does so when it cannot look up our user.
    #[error(
        "D-Bus closed the connection after the login: it may not know the exporter's user; run it as one from /etc/passwd"
    )]
    HungUp,
    /// The other side answered with something that is not D-Bus, or not what was asked for.
    #[error("D-Bus reply makes no sense: {0}")]
    Malformed(&'static str),
    /// The method answered with an error.
    #[error("D-Bus call failed: {name}: {message}")]
    Remote {
        /// Error name, e.g. `org.freedesktop.DBus.Error.AccessDenied`.
        name: String,
        /// Text for people.
        message: String,
    },
    /// No answer in time.
    #[error("D-Bus did not answer within {0} ms")]
    Timeout(u64),
}
