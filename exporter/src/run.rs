//! Joins the parts: binds, serves, and stops on SIGTERM or SIGINT.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::collect::{Collector, Setup};
use crate::config::Config;
use crate::dbus::connection::socket_path;
use crate::http::respond::Responder;
use crate::http::serve::serve;
use crate::log;
use crate::root::Root;

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

/// Serves metrics until SIGTERM or SIGINT. `bus_address` is the value of `DBUS_SYSTEM_BUS_ADDRESS`.
///
/// Once requests are accepted, the line `listening on http://ADDRESS:PORT` is written to standard
/// error, with the port that was really bound. Service managers and tests may rely on it.
///
/// # Errors
/// The address cannot be bound, or the process may not even start a runtime.
pub fn run(config: Config, root: Root, bus_address: Option<&str>) -> Result<(), RunError> {
    // One thread: the work per scrape is far below a millisecond, and threads cost memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listener = TcpListener::bind(config.listen).await.map_err(|source| RunError::Bind {
            address: config.listen,
            origin: config.listen_origin.to_string(),
            source,
        })?;
        let address = listener.local_addr()?;
        let bus = bus_socket(&root, bus_address);
        let collector = Collector::new(Setup { root, bus, services: config.services, uplink: config.uplink });
        log::line(format_args!("listening on http://{address}"));
        serve(listener, Responder::new(collector, config.token), async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            log::line("stopping");
        })
        .await;
        Ok(())
    })
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
