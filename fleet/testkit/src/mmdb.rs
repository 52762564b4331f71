//! Writes small geolocation databases in MaxMind's published format (version 2.0), for tests of whoever reads them.
//!
//! A search tree over address bits with records of 24 bits, sixteen zero bytes, the data, and the metadata behind its
//! marker. Every value is written where it is used: nothing is shared by pointers.

use std::net::{IpAddr, Ipv6Addr};

/// What stands in front of the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Bytes between tree and data.
const SEPARATOR: [u8; 16] = [0; 16];

/// A value of the format, as far as geolocation needs it.
#[derive(Debug, Clone)]
pub enum Value {
    /// UTF-8.
    Text(String),
    /// IEEE 754.
    Double(f64),
    /// 16 bits.
    U16(u16),
    /// 32 bits.
    U32(u32),
    /// 64 bits.
    U64(u64),
    /// Values in their order.
    Array(Vec<Value>),
    /// Values by key.
    Map(Vec<(&'static str, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(2, text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Double(number) => {
                control(3, 8, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::U16(number) => {
                control(5, 2, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::U32(number) => {
                control(6, 4, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::U64(number) => {
                control(9, 8, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Array(values) => {
                control(11, values.len(), out);
                values.iter().for_each(|value| value.write(out));
            }
            Self::Map(entries) => {
                control(7, entries.len(), out);
                for (key, value) in entries {
                    Self::from(*key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// Type and size of a value. Types beyond 7 stand in a byte of their own, sizes from 29 on too.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    assert!(size < 285, "longer values are not needed");
    let short = u8::try_from(size.min(29)).expect("at most 29");
    if kind <= 7 {
        out.push(kind << 5 | short);
    } else {
        out.extend_from_slice(&[short, kind - 7]);
    }
    if size >= 29 {
        out.push(u8::try_from(size - 29).expect("less than 256"));
    }
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database in the making.
pub struct Database {
    kind: &'static str,
    is_v6: bool,
    nodes: Vec<[Record; 2]>,
    data: Vec<u8>,
}

impl Database {
    /// An empty database of that type, for example `GeoLite2-City`: for IPv6, which holds IPv4 too, or for IPv4 alone.
    pub fn new(kind: &'static str, is_v6: bool) -> Self {
        Self { kind, is_v6, nodes: vec![[Record::Nothing; 2]], data: Vec::new() }
    }

    /// Says something of a network, written as `address/bits`.
    #[must_use]
    pub fn with(mut self, network: &str, value: &Value) -> Self {
        let (address, length) = network.split_once('/').expect("address/bits");
        let length: usize = length.parse().expect("a number of bits");
        let bits = match (address.parse().expect("an address"), self.is_v6) {
            (IpAddr::V4(v4), false) => bits(&v4.octets(), length),
            // IPv4 lies in ::/96.
            (IpAddr::V4(v4), true) => {
                let [a, b, c, d] = v4.octets();
                bits(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d], 96 + length)
            }
            (IpAddr::V6(v6), true) => bits(&v6.octets(), length),
            (IpAddr::V6(_), false) => panic!("a database for IPv4 holds no {}", Ipv6Addr::UNSPECIFIED),
        };
        let offset = self.data.len();
        value.write(&mut self.data);
        let (last, path) = bits.split_last().expect("a network is smaller than everything");
        let mut node = 0;
        for bit in path {
            node = match self.nodes[node][*bit] {
                Record::Node(next) => next,
                Record::Nothing => {
                    self.nodes.push([Record::Nothing; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][*bit] = Record::Node(next);
                    next
                }
                Record::Data(_) => panic!("{network} lies in a network that is there"),
            };
        }
        self.nodes[node][*last] = Record::Data(offset);
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let mut out = Vec::new();
        for record in self.nodes.iter().flatten() {
            let value = match *record {
                Record::Nothing => count,
                Record::Node(node) => node,
                Record::Data(offset) => count + SEPARATOR.len() + offset,
            };
            let [_, a, b, c] = u32::try_from(value).expect("small").to_be_bytes();
            out.extend_from_slice(&[a, b, c]);
        }
        out.extend_from_slice(&SEPARATOR);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(MARKER);
        let metadata = Value::Map(vec![
            ("binary_format_major_version", Value::U16(2)),
            ("binary_format_minor_version", Value::U16(0)),
            ("build_epoch", Value::U64(1_795_000_000)),
            ("database_type", self.kind.into()),
            ("description", Value::Map(vec![("en", "for tests".into())])),
            ("ip_version", Value::U16(if self.is_v6 { 6 } else { 4 })),
            ("languages", Value::Array(vec!["en".into()])),
            ("node_count", Value::U32(u32::try_from(count).expect("small"))),
            ("record_size", Value::U16(24)),
        ]);
        metadata.write(&mut out);
        out
    }
}

fn bits(octets: &[u8], length: usize) -> Vec<usize> {
    let bits = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| usize::from(octet >> bit & 1)));
    bits.take(length).collect()
}

/// A record of a country database, in MaxMind's shape.
pub fn country(code: &str, name: &str) -> Value {
    let names = Value::Map(vec![("en", name.into())]);
    Value::Map(vec![("country", Value::Map(vec![("iso_code", code.into()), ("names", names)]))])
}

/// A record of a city database, in MaxMind's shape.
pub fn city(code: &str, country_name: &str, region: &str, city: &str, point: (f64, f64)) -> Value {
    let named = |name: &str| Value::Map(vec![("names", Value::Map(vec![("en", name.into())]))]);
    let Value::Map(mut record) = country(code, country_name) else { unreachable!("a record is a map") };
    record.push(("subdivisions", Value::Array(vec![named(region)])));
    record.push(("city", named(city)));
    let point = vec![("latitude", Value::Double(point.0)), ("longitude", Value::Double(point.1))];
    record.push(("location", Value::Map(point)));
    Value::Map(record)
}
