//! One page, packed.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::parse::Format;
use crate::scrape;

/// A page as a gzip stream. One with the 120 series of an exporter takes about 4 KiB, unpacked 15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    gzip: Box<[u8]>,
    /// Its length when unpacked.
    bytes: usize,
    pub(super) format: Format,
}

/// All pages of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedPages {
    /// Of its main endpoint.
    pub main: Packed,
    /// Of further endpoints, by URL.
    pub further: Box<[(Box<str>, Packed)]>,
}

impl From<Packed> for PackedPages {
    fn from(main: Packed) -> Self {
        Self { main, further: Box::default() }
    }
}

impl PackedPages {
    /// Bytes that they take.
    pub(super) fn len(&self) -> usize {
        self.main.len() + self.further.iter().map(|(url, page)| url.len() + page.len()).sum::<usize>()
    }
}

impl Packed {
    /// Packs a page. One that came packed stays as it came, and costs nothing here.
    pub fn of(page: scrape::Page) -> Self {
        let (bytes, format) = (page.bytes.len(), page.format);
        let gzip = page.gzip.unwrap_or_else(|| pack(&page.bytes));
        Self { gzip: gzip.into(), bytes, format }
    }

    /// Bytes that it takes.
    pub(super) const fn len(&self) -> usize {
        self.gzip.len()
    }

    #[cfg(test)]
    pub(super) fn gzip_for_tests(&self) -> &[u8] {
        &self.gzip
    }

    /// The page. Empty if it cannot be unpacked, which cannot be: it was once before, or was packed here.
    pub(super) fn unpack(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.bytes);
        let unpacked = MultiGzDecoder::new(&*self.gzip).take(self.bytes as u64).read_to_end(&mut page);
        if unpacked.is_err() {
            page.clear();
        }
        page
    }
}

/// The fastest way: it is done beside scrapes, and the best one would save an eighth.
fn pack(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default()
}
