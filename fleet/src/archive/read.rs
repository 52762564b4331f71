//! Reading an archive: first all of it against its digest, then section by section.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{ArchiveError, DIGEST_BYTES, Head, MAGIC, MAX_SECTION_BYTES, Section, Tally, VERSION, kind};

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// An archive whose digest was found to be right.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    from: BufReader<File>,
    head: Head,
    /// What came so far.
    seen: Tally,
}

impl Reader {
    /// Opens an archive and reads it from end to end against its digest.
    ///
    /// # Errors
    /// It is no archive, not whole, or of a newer program; or the file system fails.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let io = |error| ArchiveError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut from = BufReader::with_capacity(BUFFER_BYTES, file);
        check_beginning(path, &mut from)?;
        from.seek(SeekFrom::Start(0)).map_err(io)?;
        let covered = length.saturating_sub(DIGEST_BYTES as u64);
        let mut digest = Sha256::new();
        let mut rest = (&mut from).take(covered);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match rest.read(&mut buffer).map_err(io)? {
                0 => break,
                bytes => digest.update(&buffer[..bytes]),
            }
        }
        let mut told = Vec::new();
        from.read_to_end(&mut told).map_err(io)?;
        if digest.finalize().as_slice() != told {
            let detail = "its checksum differs, so it was cut short or changed";
            return Err(ArchiveError::Damaged { path: path.to_owned(), detail });
        }
        from.seek(SeekFrom::Start((MAGIC.len() + 1) as u64)).map_err(io)?;
        let head = Head { schema: 0, taken_at: crate::Timestamp::default(), program: String::new() };
        let mut reader = Self { path: path.to_owned(), from, head, seen: Tally::default() };
        let (kind, bytes) = reader.section()?;
        reader.head = match kind {
            kind::HEAD => serde_json::from_slice(&bytes).map_err(|_| reader.damaged("its head cannot be read"))?,
            _ => return Err(reader.damaged("it has no head")),
        };
        Ok(reader)
    }

    /// What it says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Sections, rows and tables read so far.
    pub fn seen(&self) -> Tally {
        self.seen
    }

    /// The next section; `None` at the end.
    ///
    /// # Errors
    /// It is not of the form that [`Writer`](super::Writer) gives, though its digest is right.
    pub fn next_section(&mut self) -> Result<Option<Section>, ArchiveError> {
        let (kind, bytes) = self.section()?;
        let section = match kind {
            kind::FILE => {
                let mut rest = bytes.as_slice();
                let name = part(&mut rest).and_then(|name| std::str::from_utf8(name).ok());
                let name = name.ok_or_else(|| self.damaged("a file has no name"))?;
                Section::File { name: name.to_owned(), bytes: rest.to_vec() }
            }
            kind::TABLE => {
                self.seen.tables += 1;
                Section::Table(String::from_utf8(bytes).map_err(|_| self.damaged("a table has no name"))?)
            }
            kind::ROWS => {
                let rows = rows(&bytes).ok_or_else(|| self.damaged("a row is cut short"))?;
                self.seen.rows += rows.len() as u64;
                Section::Rows(rows)
            }
            kind::END => {
                let told: Option<Tally> = serde_json::from_slice(&bytes).ok();
                if told != Some(self.seen) {
                    return Err(self.damaged("it holds another number of rows than it says"));
                }
                return Ok(None);
            }
            _ => return Err(self.damaged("it has a part that is not known")),
        };
        Ok(Some(section))
    }

    fn section(&mut self) -> Result<(u8, Vec<u8>), ArchiveError> {
        let mut head = [0; 5];
        self.read(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > MAX_SECTION_BYTES {
            return Err(self.damaged("a part is too large"));
        }
        let mut bytes = vec![0; length as usize];
        self.read(&mut bytes)?;
        Ok((kind, bytes))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), ArchiveError> {
        self.from.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it ends in the middle"),
            _ => ArchiveError::Io { path: self.path.clone(), error },
        })
    }

    fn damaged(&self, detail: &'static str) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.clone(), detail }
    }
}

/// Tells an archive from anything else, and one that a newer program wrote from one of ours, before a long file is read.
fn check_beginning(path: &Path, from: &mut impl Read) -> Result<(), ArchiveError> {
    let mut beginning = Vec::new();
    let wanted = MAGIC.len() + 1;
    let read = from.take(wanted as u64).read_to_end(&mut beginning);
    read.map_err(|error| ArchiveError::Io { path: path.to_owned(), error })?;
    match beginning.strip_prefix(MAGIC) {
        Some([VERSION]) => Ok(()),
        Some([found]) if *found > VERSION => Err(ArchiveError::Newer { path: path.to_owned(), found: *found }),
        _ => Err(ArchiveError::Foreign { path: path.to_owned() }),
    }
}

fn rows(mut bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let key = part(&mut bytes)?.to_vec();
        rows.push((key, part(&mut bytes)?.to_vec()));
    }
    Some(rows)
}

/// The next bytes with their length in front.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk()?;
    let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(part)
}
