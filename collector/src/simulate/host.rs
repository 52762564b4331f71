//! Who a simulated server is: its address, its name, its place.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::city::{CITIES, City};
use super::draw::{self, Purpose};

/// Servers stand in 127.64.0.0 and above: below, people use loopback addresses by hand.
const FIRST_SECOND_OCTET: u32 = 64;
/// Networks of 256 addresses per second octet. Neighbouring servers stand in different ones, as real ones do: who
/// guards against the loss of a whole network must find more than one here.
const NETWORKS: u32 = 240;
/// Servers in one network.
const HOSTS: u32 = 250;
/// Servers per second octet.
const PER_OCTET: u32 = NETWORKS * HOSTS;
/// As many servers as have an address.
pub(super) const MAX_SERVERS: u32 = (256 - FIRST_SECOND_OCTET) * PER_OCTET;

/// A simulated server, as discovery describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `127.a.b.c:port`.
    pub address: String,
    /// Country, city and a number within the city, for example `de-fra-012`.
    pub hostname: String,
    /// ISO 3166-1 alpha-2, upper case.
    pub country_code: &'static str,
    /// English name of the country.
    pub country: &'static str,
    /// State or region.
    pub region: &'static str,
    /// City.
    pub city: &'static str,
    /// Offered for games.
    pub gaming: bool,
    /// Offered for video streaming.
    pub streaming: bool,
    /// Reserved for paying clients.
    pub paid: bool,
}

impl Target {
    pub(super) fn new(seed: u64, server: u32, port: u16) -> Self {
        let City { city, region, country_code, country, .. } = *city(server);
        let flags = draw::bits(seed, server, Purpose::Flags);
        Self {
            address: format!("{}:{port}", address(server)),
            hostname: hostname(server),
            country_code,
            country,
            region,
            city,
            gaming: flags & 0b11 == 0,
            streaming: flags & 0b100 == 0,
            paid: flags & 0b11000 != 0,
        }
    }

    /// What the target is in a `file_sd` file.
    pub(super) fn file_sd_group(&self) -> impl Serialize + '_ {
        let text = |flag| if flag { "true" } else { "false" };
        Group {
            targets: [&self.address],
            labels: GroupLabels {
                hostname: &self.hostname,
                country_code: self.country_code,
                country: self.country,
                region: self.region,
                city: self.city,
                gaming: text(self.gaming),
                streaming: text(self.streaming),
                paid: text(self.paid),
            },
        }
    }
}

#[derive(Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: GroupLabels<'a>,
}

#[derive(Serialize)]
struct GroupLabels<'a> {
    hostname: &'a str,
    country_code: &'a str,
    country: &'a str,
    region: &'a str,
    city: &'a str,
    gaming: &'a str,
    streaming: &'a str,
    paid: &'a str,
}

/// The address of a server below [`MAX_SERVERS`].
pub(super) fn address(server: u32) -> Ipv4Addr {
    let octet = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    let within = server % PER_OCTET;
    let second = octet(FIRST_SECOND_OCTET + server / PER_OCTET);
    Ipv4Addr::new(127, second, octet(1 + within % NETWORKS), octet(1 + within / NETWORKS))
}

/// The server at an address; `None` where none stands.
pub(super) fn server_at(address: Ipv4Addr) -> Option<u32> {
    let [127, second, third, fourth] = address.octets() else { return None };
    let second = u32::from(second).checked_sub(FIRST_SECOND_OCTET)?;
    let network = u32::from(third).checked_sub(1).filter(|network| *network < NETWORKS)?;
    let host = u32::from(fourth).checked_sub(1).filter(|host| *host < HOSTS)?;
    Some(second * PER_OCTET + host * NETWORKS + network)
}

pub(super) fn city(server: u32) -> &'static City {
    &CITIES[server as usize % CITIES.len()]
}

pub(super) fn hostname(server: u32) -> String {
    let City { code, country_code, .. } = city(server);
    let number = server as usize / CITIES.len() + 1;
    format!("{}-{code}-{number:03}", country_code.to_ascii_lowercase())
}
