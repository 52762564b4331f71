//! An endpoint: host, port and path of an exporter's page.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a page is served when the target names no path.
const DEFAULT_PATH: &str = "/metrics";
/// The longest host name that DNS allows.
const MAX_HOST_BYTES: usize = 253;

/// Where an exporter's page is. Written as `host:port`, or as `http://host:port/path` or `https://host:port/path`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    tls: bool,
    host: Box<str>,
    port: u16,
    path: Box<str>,
}

impl Endpoint {
    /// The usual page of the exporter at an address.
    pub fn of(address: IpAddr, port: u16) -> Self {
        Self { tls: false, host: address.to_string().into(), port, path: DEFAULT_PATH.into() }
    }

    /// A host in the form in which [`host`](Self::host) gives it: an IP address, or a host name in lower case.
    ///
    /// # Errors
    /// The text is neither.
    pub fn canonical_host(text: &str) -> Result<String, InvalidEndpoint> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_canonical().to_string()),
            Err(_) => checked_host(text),
        }
    }

    /// IP address (without brackets) or host name, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// True when the page is served over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The same endpoint over TLS.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host as an address; `None` when it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The same endpoint with another path.
    ///
    /// # Errors
    /// The path is not one.
    pub fn with_path(&self, path: &str) -> Result<Self, InvalidEndpoint> {
        Ok(Self { path: checked_path(path)?.into(), ..self.clone() })
    }

    /// The endpoint at `address`; where that begins with its port, `:9586` or `:9586/path`, it is on the same host.
    ///
    /// # Errors
    /// The address is none.
    pub fn beside(&self, address: &str) -> Result<Self, InvalidEndpoint> {
        let Some(rest) = address.strip_prefix(':') else { return address.parse() };
        let (port, path) = rest.find('/').map_or((rest, DEFAULT_PATH), |slash| rest.split_at(slash));
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(InvalidEndpoint::Port)?;
        Ok(Self { tls: false, host: self.host.clone(), port, path: checked_path(path)?.into() })
    }

    /// True when both are one page, by whichever scheme: a port speaks either.
    pub fn is_same_page(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.path) == (&other.host, other.port, &other.path)
    }

    /// `host:port`, with brackets around an IPv6 address: the `Host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Another scheme.
    #[error("only http:// and https:// are understood; give host:port, or a URL with host and port")]
    Scheme,
    /// Credentials in the address would end up in logs.
    #[error("must not contain credentials")]
    Credentials,
    /// No port, or not a number from 1 to 65535.
    #[error("needs a port from 1 to 65535, for example 192.0.2.1:9776")]
    Port,
    /// Neither an IP address nor a host name.
    #[error("needs an IP address or a host name before the port (IPv6 in brackets)")]
    Host,
    /// A path with characters that no path has.
    #[error("the path must start with / and hold only visible ASCII characters")]
    Path,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(InvalidEndpoint::Scheme),
            None => (false, text),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, DEFAULT_PATH),
        };
        if authority.contains('@') {
            return Err(InvalidEndpoint::Credentials);
        }
        let (host, port) = authority.rsplit_once(':').ok_or(InvalidEndpoint::Port)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(InvalidEndpoint::Port)?;
        Ok(Self { tls, host: checked_host(host)?.into(), port, path: checked_path(path)?.into() })
    }
}

fn checked_host(host: &str) -> Result<String, InvalidEndpoint> {
    if let Some(inside) = host.strip_prefix('[') {
        let address = inside.strip_suffix(']').and_then(|inside| inside.parse::<std::net::Ipv6Addr>().ok());
        let canonical = address.map(|address| IpAddr::V6(address).to_canonical().to_string());
        return canonical.ok_or(InvalidEndpoint::Host);
    }
    let is_name = !host.is_empty()
        && host.len() <= MAX_HOST_BYTES
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && !host.starts_with(['.', '-'])
        && (!ends_in_a_number(host) || host.parse::<std::net::Ipv4Addr>().is_ok());
    if is_name { Ok(host.to_ascii_lowercase()) } else { Err(InvalidEndpoint::Host) }
}

/// True for what resolvers take for an IPv4 address, in whichever way it is written: `2852039166`, `0x7f.1`.
fn ends_in_a_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => last.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

fn checked_path(path: &str) -> Result<&str, InvalidEndpoint> {
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if is_path { Ok(path) } else { Err(InvalidEndpoint::Path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_urls_are_understood() {
        for (text, shown) in [
            ("192.0.2.1:9776", "http://192.0.2.1:9776/metrics"),
            ("DE1.example.net:80", "http://de1.example.net:80/metrics"),
            ("http://192.0.2.1:9100/node?x=1", "http://192.0.2.1:9100/node?x=1"),
            ("[2001:db8:0::1]:9776", "http://[2001:db8::1]:9776/metrics"),
            ("[::ffff:192.0.2.1]:9776", "http://192.0.2.1:9776/metrics"),
            ("host.1st.example:9776", "http://host.1st.example:9776/metrics"),
            ("https://de1.example.net:9776", "https://de1.example.net:9776/metrics"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use InvalidEndpoint::{Credentials, Host, Path, Port, Scheme};
        for (text, reason) in [
            ("https://192.0.2.1", Port),
            ("ftp://x:1", Scheme),
            ("192.0.2.1", Port),
            ("192.0.2.1:0", Port),
            ("192.0.2.1:65536", Port),
            ("2001:db8::1:9776", Host),
            ("[nonsense]:1", Host),
            ("2852039166:80", Host),
            ("0x7f.1:80", Host),
            ("192.0.2.0256:80", Host),
            ("example.0x7f:80", Host),
            (":1", Host),
            ("a b:1", Host),
            ("user:pass@host:1", Credentials),
            ("host:1/a b", Path),
            ("host:1/é", Path),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(reason), "{text}");
        }
    }
}
