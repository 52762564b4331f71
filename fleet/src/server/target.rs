//! What is scraped of a server: one page, or the pages of several exporters on one host.

use serde::{Deserialize, Serialize};

use crate::endpoint::{Endpoint, InvalidEndpoint};

/// Endpoints of one server, the main one included: a host has a handful of exporters, and each is a connection more.
pub const MAX_ENDPOINTS: usize = 8;

/// A page that the collector fetches to know how a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeTarget {
    /// Where the page is.
    pub endpoint: Endpoint,
    /// Credentials may travel unencrypted to it.
    #[serde(default)]
    pub insecure_credentials: bool,
    /// Name of the way in which it is reached: TLS and credentials, as the collector's configuration describes them. The
    /// usual way without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// Pages of other exporters on the same host, fetched together with this one, which is the main one: if it fails, the
    /// server does. At most [`MAX_ENDPOINTS`] in all; they have no further ones themselves.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub further: Box<[ScrapeTarget]>,
}

/// Why endpoints cannot be those of one server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoints {
    /// One is none.
    #[error("`{0}`: {1}")]
    Address(String, InvalidEndpoint),
    /// One is elsewhere.
    #[error("`{0}` is on another host than the target; add that host as a server of its own")]
    OtherHost(String),
    /// One would be scraped twice.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// See [`MAX_ENDPOINTS`].
    #[error("{0} endpoints; one server has at most {MAX_ENDPOINTS}, the target included")]
    TooMany(usize),
}

impl ScrapeTarget {
    /// A page that is reached in the usual way.
    pub fn at(endpoint: Endpoint) -> Self {
        Self { endpoint, insecure_credentials: false, access: None, further: Box::default() }
    }

    /// The same target with the pages at `addresses` beside it, each written as a target or as `:port` or `:port/path` on
    /// the same host, and each reached in the same way.
    ///
    /// # Errors
    /// One is no endpoint, is on another host or named twice, or they are too many.
    pub fn with_endpoints<T: AsRef<str>>(self, addresses: &[T]) -> Result<Self, InvalidEndpoints> {
        let mut further: Vec<Self> = Vec::new();
        for address in addresses.iter().map(AsRef::as_ref) {
            let endpoint =
                self.endpoint.beside(address).map_err(|error| InvalidEndpoints::Address(address.to_owned(), error))?;
            if endpoint.host() != self.endpoint.host() {
                return Err(InvalidEndpoints::OtherHost(address.to_owned()));
            }
            if std::iter::once(&self).chain(&further).any(|known| known.endpoint.is_same_page(&endpoint)) {
                return Err(InvalidEndpoints::Twice(address.to_owned()));
            }
            further.push(Self { endpoint, further: Box::default(), access: self.access.clone(), ..self });
        }
        match 1 + further.len() {
            count if count > MAX_ENDPOINTS => Err(InvalidEndpoints::TooMany(count)),
            _ => Ok(Self { further: further.into(), ..self }),
        }
    }

    /// Every page, the main one first.
    pub fn pages(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str) -> ScrapeTarget {
        ScrapeTarget { access: Some("paris".into()), ..ScrapeTarget::at(address.parse().unwrap()) }
    }

    #[test]
    fn further_endpoints_are_ports_or_addresses_of_the_same_host() {
        let target = target("192.0.2.1:9100")
            .with_endpoints(&[":9586", ":9550/scrape", "https://192.0.2.1:9776/metrics"])
            .unwrap();
        let pages: Vec<_> = target.pages().map(|page| page.endpoint.to_string()).collect();
        assert_eq!(
            pages,
            [
                "http://192.0.2.1:9100/metrics",
                "http://192.0.2.1:9586/metrics",
                "http://192.0.2.1:9550/scrape",
                "https://192.0.2.1:9776/metrics"
            ]
        );
        assert!(target.pages().all(|page| page.access.as_deref() == Some("paris")));
        let ipv6 = ScrapeTarget::at("[2001:db8::1]:9100".parse().unwrap()).with_endpoints(&[":9586"]).unwrap();
        assert_eq!(ipv6.further[0].endpoint.authority(), "[2001:db8::1]:9586");
    }

    #[test]
    fn what_cannot_be_one_server_is_refused_with_its_reason() {
        let refused = |addresses: &[&str]| target("192.0.2.1:9100").with_endpoints(addresses).unwrap_err().to_string();
        assert!(refused(&["192.0.2.2:9586"]).contains("on another host"));
        assert!(refused(&["169.254.169.254:80"]).contains("on another host"));
        assert_eq!(refused(&[":9586", "192.0.2.1:9586"]), "`192.0.2.1:9586` is named twice");
        assert_eq!(refused(&["https://192.0.2.1:9100"]), "`https://192.0.2.1:9100` is named twice");
        assert!(refused(&[":0"]).contains("needs a port") && refused(&[""]).contains("needs a port"));
        let many: Vec<String> = (1..=MAX_ENDPOINTS).map(|port| format!(":{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(refused(&many).contains("at most 8"));
        assert!(target("192.0.2.1:9100").with_endpoints(&many[1..]).is_ok());
    }

    #[test]
    fn targets_of_before_are_read_and_written_as_they_were() {
        let before = r#"{"endpoint":"http://192.0.2.1:9100/metrics","insecure_credentials":false,"access":"paris"}"#;
        let read: ScrapeTarget = serde_json::from_str(before).unwrap();
        assert_eq!((&read, serde_json::to_string(&read).unwrap().as_str()), (&target("192.0.2.1:9100"), before));
        let several = read.with_endpoints(&[":9586"]).unwrap();
        let written = serde_json::to_string(&several).unwrap();
        assert_eq!(serde_json::from_str::<ScrapeTarget>(&written).unwrap(), several);
    }
}
