//! One page, packed.

use std::cell::RefCell;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::parse::Format;
use crate::scrape;

/// A page, packed. One with the 120 series of an exporter takes 4 to 5 KiB, unpacked 15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    packed: Box<[u8]>,
    coding: Coding,
    /// Its length when unpacked.
    bytes: usize,
    pub(super) format: Format,
}

/// How a page is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// By the exporter, on the wire.
    Gzip,
    /// Here, where it came plain: a tenth of what gzip takes, for a third more room.
    Snappy,
}

thread_local! {
    /// One for all pages that a thread packs: its tables are larger than a page.
    static PACKER: RefCell<Packer> =
        RefCell::new(Packer { encoder: snap::raw::Encoder::new(), room: Vec::new() });
}

/// Packs pages, one after the other.
struct Packer {
    encoder: snap::raw::Encoder,
    /// As long as the longest page wanted it.
    room: Vec<u8>,
}

impl Packer {
    fn pack(&mut self, page: &[u8]) -> Box<[u8]> {
        let most = snap::raw::max_compress_len(page.len());
        if self.room.len() < most {
            self.room.resize(most, 0);
        }
        // It fails for pages of gigabytes, which no limit lets in.
        let bytes = self.encoder.compress(page, &mut self.room).unwrap_or_default();
        self.room.get(..bytes).unwrap_or_default().into()
    }
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
        let (packed, coding) = match page.gzip {
            Some(gzip) => (gzip.into(), Coding::Gzip),
            None => (PACKER.with_borrow_mut(|packer| packer.pack(&page.bytes)), Coding::Snappy),
        };
        Self { packed, coding, bytes, format }
    }

    /// Bytes that it takes.
    pub(super) const fn len(&self) -> usize {
        self.packed.len()
    }

    /// The page. Empty if it cannot be unpacked, which cannot be: it was once before, or was packed here.
    pub(super) fn unpack(&self) -> Vec<u8> {
        match self.coding {
            Coding::Gzip => {
                let mut page = Vec::with_capacity(self.bytes);
                let unpacked = MultiGzDecoder::new(&*self.packed).take(self.bytes as u64).read_to_end(&mut page);
                if unpacked.is_ok() { page } else { Vec::new() }
            }
            Coding::Snappy => snap::raw::Decoder::new().decompress_vec(&self.packed).unwrap_or_default(),
        }
    }
}
