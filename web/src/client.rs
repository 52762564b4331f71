//! The address of whoever sent a request, as far as it can be believed.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use mect_fleet::Network;

use crate::app::Shared;

/// Proxies write whom they talked to at the end of it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of the connection; put into each request by [`crate::serve`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The client's address; `None` where there is no connection, as in tests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl FromRequestParts<Shared> for ClientAddress {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions, &parts.headers, &app.settings.trusted_proxies))
    }
}

impl ClientAddress {
    /// The sender of a request with these extensions and headers.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, proxies: &[Network]) -> Self {
        let peer = extensions.get::<Peer>().map(|peer| peer.0.to_canonical());
        Self(peer.map(|peer| behind_proxies(peer, headers, proxies)))
    }
}

/// The nearest address that is not one of our proxies. What stands before it in the header is the client's own claim.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(*address));
    let named: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let named = named.iter().flat_map(|value| value.split(',')).map(|name| name.trim().parse::<IpAddr>().ok()).rev();
    let mut nearest = peer;
    for address in named {
        if !is_proxy(&nearest) {
            break;
        }
        let Some(address) = address else { break };
        nearest = address.to_canonical();
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_own_proxies_say_counts() {
        let proxies = ["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|line| _ = headers.append(FORWARDED_FOR, line.parse().unwrap()));
            behind_proxies(peer.parse().unwrap(), &headers, &proxies).to_string()
        };
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "not our proxy");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["203.0.113.9, 198.51.100.1, 10.1.2.3"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["203.0.113.9", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }
}
