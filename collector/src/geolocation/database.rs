//! Geolocation databases in MaxMind's format: read whole, checked, and read again when they change.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use maxminddb::Reader;
use mect_fleet::{Place, Timestamp, installation};

use super::record::Record;

/// The largest databases of their kind have some 150 MB; beyond this size a file is something else.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Databases in the order of the configuration: the first that knows an address decides on its country, the others may
/// add what it leaves out.
#[derive(Default)]
pub struct Databases(Vec<Database>);

struct Database {
    path: PathBuf,
    /// Time and size of what was read last, good or not.
    seen: Option<(SystemTime, u64)>,
    /// Its last good content.
    reader: Option<Reader<Vec<u8>>>,
}

impl Databases {
    /// Databases at these paths. Nothing is read yet.
    pub fn new(paths: &[PathBuf]) -> Self {
        let database = |path: &PathBuf| Database { path: path.clone(), seen: None, reader: None };
        Self(paths.iter().map(database).collect())
    }

    /// True without databases.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the files that changed; true when one of them says something new. One that is missing or damaged is told
    /// once, until it changes again, and what it said last stays in force.
    pub fn refresh(&mut self) -> bool {
        self.0.iter_mut().fold(false, |is_new, database| {
            let read = database.refresh();
            if let Err(problem) = &read {
                let (path, kept) = (database.path.display(), database.reader.is_some());
                tracing::warn!(%path, %problem, kept, "geolocation database not used; servers keep the place that is known");
            }
            read.unwrap_or(false) | is_new
        })
    }

    /// What people are told of them.
    pub fn told(&self) -> Vec<installation::Database> {
        let told = |database: &Database| {
            let metadata = database.reader.as_ref().map(|reader| reader.metadata());
            let built_at = |epoch: u64| Timestamp::from_secs(i64::try_from(epoch).unwrap_or(i64::MAX));
            installation::Database {
                file: database.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                content: metadata.map(|content| (content.database_type.clone(), built_at(content.build_epoch))),
            }
        };
        self.0.iter().map(told).collect()
    }

    /// Where an address is; `None` when no database could be read.
    pub fn place_of(&self, address: IpAddr) -> Option<Place> {
        let readers = self.0.iter().filter_map(|database| database.reader.as_ref()).collect::<Vec<_>>();
        if readers.is_empty() {
            return None;
        }
        Some(readers.into_iter().fold(Place::default(), |place, reader| complete(place, look_up(reader, address))))
    }
}

impl Database {
    fn refresh(&mut self) -> Result<bool, String> {
        let seen = match std::fs::metadata(&self.path).and_then(|file| Ok((file.modified()?, file.len()))) {
            Ok(seen) => seen,
            // Told once, until the file is back.
            Err(_) if self.seen == Some((SystemTime::UNIX_EPOCH, 0)) => return Ok(false),
            Err(error) => {
                self.seen = Some((SystemTime::UNIX_EPOCH, 0));
                return Err(format!("cannot be read: {error}"));
            }
        };
        if self.seen.replace(seen) == Some(seen) {
            return Ok(false);
        }
        let reader = read(&self.path, seen.1)?;
        let metadata = reader.metadata();
        let (kind, build_epoch) = (&metadata.database_type, metadata.build_epoch);
        tracing::info!(path = %self.path.display(), kind, build_epoch, "geolocation database read");
        self.reader = Some(reader);
        Ok(true)
    }
}

/// Reads a file and checks every node and record of it: a damaged one is found now, not at some address.
fn read(path: &Path, bytes: u64) -> Result<Reader<Vec<u8>>, String> {
    if bytes > MAX_FILE_BYTES {
        return Err(format!("has {bytes} bytes; at most {MAX_FILE_BYTES} are read"));
    }
    let content = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let damaged = |error| format!("is damaged, or no MaxMind database: {error}");
    let reader = Reader::from_source(content).map_err(damaged)?;
    reader.verify().map_err(damaged)?;
    Ok(reader)
}

/// What a database says of an address. One that it cannot hold, or does not know, is nowhere.
fn look_up(reader: &Reader<Vec<u8>>, address: IpAddr) -> Place {
    let address = address.to_canonical();
    if address.is_ipv6() && reader.metadata().ip_version == 4 {
        return Place::default();
    }
    let record = reader.lookup(address).and_then(|found| found.decode::<Record>());
    match record {
        Ok(record) => record.map(Record::place).unwrap_or_default(),
        Err(error) => {
            tracing::debug!(%address, %error, "a geolocation database cannot tell where an address is");
            Place::default()
        }
    }
}

/// Adds what `place` does not say, if it is about the same country.
fn complete(mut place: Place, other: Place) -> Place {
    if place.is_unknown() {
        return other;
    }
    if other.country_code != place.country_code {
        return place;
    }
    let is_same_city = place.city.is_empty() || other.city == place.city;
    for (known, said) in [(&mut place.country, other.country), (&mut place.region, other.region)] {
        if known.is_empty() {
            *known = said;
        }
    }
    if is_same_city {
        place.city = other.city;
        place.coordinates = place.coordinates.or(other.coordinates);
    }
    place
}

#[cfg(test)]
mod tests;
