//! Ports that services listen on, and the places where they can be asked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::ConfigError;

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP, and what runs on it (WireGuard, QUIC, mKCP).
    Udp,
}

impl Transport {
    /// The name in labels and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of this host, whatever the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// TCP or UDP.
    pub transport: Transport,
    /// 1 to 65535.
    pub number: u16,
}

impl Port {
    /// A TCP port.
    pub fn tcp(number: u16) -> Self {
        Self { transport: Transport::Tcp, number }
    }

    /// A UDP port.
    pub fn udp(number: u16) -> Self {
        Self { transport: Transport::Udp, number }
    }

    /// Parses `tcp/443` or `udp/1194`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let port = text.split_once('/').and_then(|(transport, number)| {
            let transport = match transport {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                _ => return None,
            };
            let number = number.parse().ok().filter(|number| *number != 0)?;
            Some(Self { transport, number })
        });
        port.ok_or_else(|| {
            ConfigError::new(format!("{text:?} is no port. Allowed are e.g. \"udp/1194\" and \"tcp/443\""))
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.transport.name(), self.number)
    }
}

/// Where a service can be asked about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Parses an address with port, or an absolute path.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            ConfigError::new(format!(
                "{text:?} is neither an address and port nor the path of a socket. Allowed are e.g. \"127.0.0.1:7505\" \
                 and \"/run/openvpn/management.sock\""
            ))
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_transport_and_a_number() {
        assert_eq!(Port::parse("udp/1194").unwrap(), Port::udp(1194));
        assert_eq!(Port::parse("tcp/443").unwrap().to_string(), "tcp/443");
        for bad in ["", "443", "tcp/", "tcp/0", "tcp/65536", "sctp/1", "tcp/1/2", "udp/-1"] {
            assert!(Port::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn endpoints_are_addresses_or_paths() {
        assert_eq!(Endpoint::parse("/run/x").unwrap(), Endpoint::Unix("/run/x".into()));
        assert_eq!(Endpoint::parse("[::1]:7505").unwrap().to_string(), "[::1]:7505");
        for bad in ["", "localhost:7505", "127.0.0.1", "run/x"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad:?}");
        }
    }
}
