//! Joins the parts: binds, serves, and stops on SIGTERM or SIGINT.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::check::{self, Report};
use crate::collect::{Collector, Setup};
use crate::config::{Config, ConfigError};
use crate::dbus::connection::socket_path;
use crate::http::respond::Responder;
use crate::http::serve::{Exposure, serve};
use crate::http::tls::Tls;
use crate::root::Root;
use crate::{log, notify};

/// Where the system bus listens unless its address is given (D-Bus Specification, "Well-known Message
/// Bus Instances").
const BUS_SOCKET: &str = "/run/dbus/system_bus_socket";

/// Why the exporter could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("{}", bind_problem(.address, .origin, .source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The setting that it comes from.
        origin: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] ConfigError),
    /// The runtime or the signal handlers could not be set up.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

fn bind_problem(address: &SocketAddr, origin: &str, source: &io::Error) -> String {
    let reason = match source.kind() {
        io::ErrorKind::AddrInUse => "another program uses this address already".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this host has no such address".to_owned(),
        _ => source.to_string(),
    };
    format!("cannot listen on {address}: {reason}. The address comes from {origin}")
}

/// Looks at the host as an exporter would, and says what it sees. `bus_address` as for [`run`].
///
/// # Errors
/// The process may not even start a runtime.
pub fn check(config: Config, root: Root, bus_address: Option<&str>) -> Result<Report, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(check::check(setup(config, root, bus_address))))
}

/// Serves metrics until SIGTERM or SIGINT. `bus_address` is the value of `DBUS_SYSTEM_BUS_ADDRESS`.
///
/// Once requests are accepted, systemd is told and the line `listening on http://ADDRESS:PORT` (`https` with
/// TLS) is written to standard error, with the port that was really bound. Tests may rely on it.
///
/// # Errors
/// The certificate cannot be used, the address cannot be bound, or the process may not even start a runtime.
pub fn run(config: Config, root: Root, bus_address: Option<&str>) -> Result<(), RunError> {
    // One thread: the work per scrape is far below a millisecond, and threads cost memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let listener = TcpListener::bind(config.listen).await.map_err(|source| RunError::Bind {
            address: config.listen,
            origin: config.listen_origin.to_string(),
            source,
        })?;
        let address = listener.local_addr()?;
        if let Some(warning) = config.warning() {
            log::line(warning);
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let exposure = Exposure { allow: config.allow.clone(), tls };
        let (token, lifetime) = (config.token.clone(), config.page_lifetime);
        let collector = Collector::new(setup(config, root, bus_address));
        log::line(format_args!("listening on {scheme}://{address}"));
        notify::ready();
        serve(listener, Responder::new(collector, token, lifetime), exposure, async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = notify::stay_alive() => {}
            }
            log::line("stopping");
            notify::stopping();
        })
        .await;
        Ok(())
    })
}

/// What the configuration says to collect. `bus_address` is the value of `DBUS_SYSTEM_BUS_ADDRESS`.
pub fn setup(config: Config, root: Root, bus_address: Option<&str>) -> Setup {
    let mut certificates = config.certificates;
    // The own one ends like every other.
    let own = config.tls.map(|files| files.cert).filter(|own| !certificates.contains(own));
    certificates.extend(own);
    Setup {
        bus: bus_socket(&root, bus_address),
        root,
        services: config.services,
        uplink: config.uplink,
        certificates,
        per_peer: config.per_peer,
        data_window: config.data_window,
    }
}

fn bus_socket(root: &Root, address: Option<&str>) -> Result<PathBuf, String> {
    match address.filter(|address| !address.is_empty()) {
        Some(address) => socket_path(address).map_err(|_| address.to_owned()),
        None => Ok(root.path(BUS_SOCKET)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_below_the_root_unless_its_address_is_given() {
        let root = Root::new("/host");
        assert_eq!(bus_socket(&root, None), Ok("/host/run/dbus/system_bus_socket".into()));
        assert_eq!(bus_socket(&root, Some("")), Ok("/host/run/dbus/system_bus_socket".into()));
        assert_eq!(bus_socket(&root, Some("unix:path=/b")), Ok("/b".into()));
        assert_eq!(bus_socket(&root, Some("tcp:host=x")), Err("tcp:host=x".into()));
    }
}
