//! Writing an archive, from front to back.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::{Head, MAGIC, Tally, VERSION, kind};

/// Rows are gathered up to about this size: fewer, larger pieces for whoever is at the other end.
const ROWS_BYTES: usize = 64 * 1024;

/// An archive that is being written.
pub struct Writer<W> {
    to: W,
    digest: Sha256,
    /// Rows of the current table that no section holds yet.
    rows: Vec<u8>,
    tally: Tally,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    ///
    /// # Errors
    /// `to` takes no more bytes; so for every method.
    pub fn new(to: W, head: &Head) -> io::Result<Self> {
        let mut writer = Self { to, digest: Sha256::new(), rows: Vec::new(), tally: Tally::default() };
        writer.put(MAGIC)?;
        writer.put(&[VERSION])?;
        writer.section(kind::HEAD, &serde_json::to_vec(head)?)?;
        Ok(writer)
    }

    /// Adds a small file.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut section = framed(name.as_bytes())?;
        section.extend_from_slice(bytes);
        self.section(kind::FILE, &section)
    }

    /// Begins a table.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn table(&mut self, name: &str) -> io::Result<()> {
        self.flush_rows()?;
        self.tally.tables += 1;
        self.section(kind::TABLE, name.as_bytes())
    }

    /// Adds a row to the table begun last.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            self.rows.extend_from_slice(&framed(part)?);
        }
        self.tally.rows += 1;
        if self.rows.len() >= ROWS_BYTES { self.flush_rows() } else { Ok(()) }
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn finish(mut self) -> io::Result<Tally> {
        self.flush_rows()?;
        let tally = self.tally;
        self.section(kind::END, &serde_json::to_vec(&tally)?)?;
        let digest = self.digest.finalize();
        self.to.write_all(&digest)?;
        self.to.flush()?;
        Ok(tally)
    }

    fn flush_rows(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut rows = std::mem::take(&mut self.rows);
        self.section(kind::ROWS, &rows)?;
        // Its memory serves the next rows.
        rows.clear();
        self.rows = rows;
        Ok(())
    }

    fn section(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        self.put(&[kind])?;
        self.put(&length(bytes)?)?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.to.write_all(bytes)
    }
}

/// Bytes with their length in front.
fn framed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut framed = length(bytes)?.to_vec();
    framed.extend_from_slice(bytes);
    Ok(framed)
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a row is larger than 4 GiB"))?;
    Ok(length.to_le_bytes())
}
