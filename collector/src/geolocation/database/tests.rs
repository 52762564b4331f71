//! Databases of every kind, written here and read as an operator's are.

use mect_testkit::mmdb::{self, Value};

use super::*;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

fn city_database() -> mmdb::Database {
    mmdb::Database::new("GeoLite2-City", true)
        .with("198.51.100.0/24", &mmdb::city("DE", "Germany", "Hesse", "Frankfurt am Main", (50.1109, 8.6821)))
        .with("2001:db8::/32", &mmdb::city("FI", "Finland", "Uusimaa", "Helsinki", (60.1695, 24.9354)))
}

fn databases(paths: &[PathBuf]) -> Databases {
    let mut databases = Databases::new(paths);
    databases.refresh();
    databases
}

fn place(databases: &Databases, address: &str) -> Place {
    databases.place_of(address.parse().unwrap()).unwrap()
}

#[test]
fn cities_are_found_for_both_kinds_of_address() {
    let files = Files::new();
    let databases = databases(&[files.write("city.mmdb", &city_database().bytes())]);
    let frankfurt = place(&databases, "198.51.100.7");
    assert_eq!((frankfurt.country_code.as_str(), frankfurt.country.as_str()), ("DE", "Germany"));
    assert_eq!((frankfurt.region.as_str(), frankfurt.city.as_str()), ("Hesse", "Frankfurt am Main"));
    assert_eq!(frankfurt.coordinates.unwrap().latitude(), 50.1109);
    assert_eq!(place(&databases, "2001:db8:1::1").city, "Helsinki");
    assert_eq!(place(&databases, "::ffff:198.51.100.7").city, "Frankfurt am Main");
}

#[test]
fn unroutable_and_unknown_addresses_are_nowhere() {
    let files = Files::new();
    let databases = databases(&[files.write("city.mmdb", &city_database().bytes())]);
    for address in
        ["10.0.0.1", "127.0.0.1", "169.254.1.1", "0.0.0.0", "203.0.113.1", "::1", "fe80::1", "fd00::1", "ff02::1"]
    {
        assert_eq!(place(&databases, address), Place::default(), "{address}");
    }
}

#[test]
fn a_country_database_for_ipv4_alone_knows_no_ipv6() {
    let files = Files::new();
    let country =
        mmdb::Database::new("DBIP-Country-Lite", false).with("198.51.100.0/25", &mmdb::country("SE", "Sweden"));
    let databases = databases(&[files.write("country.mmdb", &country.bytes())]);
    let sweden = place(&databases, "198.51.100.7");
    assert_eq!((sweden.country_code.as_str(), sweden.country.as_str(), sweden.city.as_str()), ("SE", "Sweden", ""));
    assert_eq!(place(&databases, "198.51.100.200"), Place::default());
    assert_eq!(place(&databases, "2001:db8::1"), Place::default());
}

#[test]
fn the_first_database_decides_and_the_next_adds_of_the_same_country() {
    let files = Files::new();
    let country = mmdb::Database::new("GeoLite2-Country", false)
        .with("198.51.100.0/25", &mmdb::country("DE", "Germany"))
        .with("198.51.100.128/25", &mmdb::country("AT", "Austria"));
    let paths = [files.write("country.mmdb", &country.bytes()), files.write("city.mmdb", &city_database().bytes())];
    let databases = databases(&paths);
    assert_eq!(place(&databases, "198.51.100.7").city, "Frankfurt am Main");
    let austria = place(&databases, "198.51.100.200");
    assert_eq!((austria.country.as_str(), austria.city.as_str(), austria.coordinates), ("Austria", "", None));
    assert_eq!(place(&databases, "2001:db8::1").country, "Finland");
}

#[test]
fn the_flat_shape_is_read_too() {
    let files = Files::new();
    let lite = Value::Map(vec![("country", "Japan".into()), ("country_code", "JP".into())]);
    let full = Value::Map(vec![
        ("country", "NL".into()),
        ("region", "North Holland".into()),
        ("city", "Amsterdam".into()),
        ("lat", "52.374".into()),
        ("lng", "4.8897".into()),
    ]);
    let database = mmdb::Database::new("ipinfo", false).with("192.0.2.0/25", &lite).with("192.0.2.128/25", &full);
    let databases = databases(&[files.write("flat.mmdb", &database.bytes())]);
    assert_eq!(place(&databases, "192.0.2.1").country_code, "JP");
    let amsterdam = place(&databases, "192.0.2.200");
    assert_eq!((amsterdam.country.as_str(), amsterdam.city.as_str()), ("Netherlands", "Amsterdam"));
    assert_eq!(amsterdam.coordinates.unwrap().longitude(), 4.8897);
}

#[test]
fn a_missing_or_damaged_file_leaves_the_others_and_what_was_known() {
    let files = Files::new();
    let good = files.write("good.mmdb", &city_database().bytes());
    let bytes = city_database().bytes();
    let mut paths = vec![files.path("missing.mmdb")];
    let flipped: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    for (name, content) in [
        ("empty.mmdb", &b""[..]),
        ("html.mmdb", b"<html>404</html>"),
        ("cut.mmdb", &bytes[..bytes.len() / 2]),
        ("flipped.mmdb", &flipped),
    ] {
        paths.push(files.write(name, content));
    }
    // A tree that points beyond the data: only the whole check finds it.
    let mut wild = bytes;
    wild[0..3].copy_from_slice(&[0xff, 0xff, 0x00]);
    paths.push(files.write("wild.mmdb", &wild));
    assert_eq!(databases(&paths).place_of("198.51.100.7".parse().unwrap()), None, "none can be used");
    paths.push(good.clone());
    let mut databases = databases(&paths);
    assert_eq!(place(&databases, "198.51.100.7").city, "Frankfurt am Main");
    assert!(!databases.refresh(), "nothing changed");
    std::fs::write(&good, b"spoilt").unwrap();
    assert!(!databases.refresh());
    assert_eq!(place(&databases, "198.51.100.7").city, "Frankfurt am Main", "its last good content stays");
    std::fs::remove_file(&good).unwrap();
    assert!(!databases.refresh());
    assert_eq!(place(&databases, "198.51.100.7").city, "Frankfurt am Main");
    let newer =
        mmdb::Database::new("GeoLite2-Country", false).with("198.51.100.0/24", &mmdb::country("CH", "Switzerland"));
    std::fs::write(&good, newer.bytes()).unwrap();
    assert!(databases.refresh());
    assert_eq!(place(&databases, "198.51.100.7").country_code, "CH");
}
