//! Marshalling of the few D-Bus types that are needed, with the specification's alignment rules.
//!
//! The encoder writes little-endian; the decoder reads either order, because a reply has its sender's.

use super::DbusError;

/// Longest string accepted; systemd's unit names, paths and descriptions are far shorter.
const MAX_STRING_BYTES: usize = 64 * 1024;

/// Writes values in little-endian order.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills up with zeros to a multiple of `alignment`.
    pub fn align(&mut self, alignment: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
    }

    /// `y`: a byte.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// `u`: an unsigned 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `s` or `o`: text with its length before it and a NUL after it.
    pub fn string(&mut self, value: &str) {
        self.u32(length(value.len()));
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    /// `g`: a signature, with a length of one byte.
    pub fn signature(&mut self, value: &str) {
        debug_assert!(value.len() < 256, "signatures are ours and short");
        self.bytes.push(value.len() as u8);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    /// `a…`: an array whose elements `write` adds; `alignment` is that of its elements.
    pub fn array(&mut self, alignment: usize, write: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_end = self.bytes.len();
        self.align(alignment);
        let start = self.bytes.len();
        write(self);
        // The length counts the elements, not the padding before the first one.
        let counted = length(self.bytes.len() - start).to_le_bytes();
        self.bytes[length_end - 4..length_end].copy_from_slice(&counted);
    }

    /// `as`: an array of strings.
    pub fn strings(&mut self, values: &[&str]) {
        self.array(4, |encoder| values.iter().for_each(|value| encoder.string(value)));
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Lengths are ours and small; the clamp only keeps the conversion total.
fn length(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Reads values out of bytes that somebody else sent.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
    big_endian: bool,
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`, which must be aligned like the start of a message or body.
    pub fn new(bytes: &'a [u8], big_endian: bool) -> Self {
        Self { bytes, position: 0, big_endian }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Skips padding up to a multiple of `alignment`.
    ///
    /// # Errors
    /// The bytes end before it.
    pub fn align(&mut self, alignment: usize) -> Result<(), DbusError> {
        let padding = self.position.next_multiple_of(alignment) - self.position;
        self.take(padding).map(drop)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DbusError> {
        let end = self.position.checked_add(count).ok_or(DbusError::Malformed("a length overflows"))?;
        let taken = self.bytes.get(self.position..end).ok_or(DbusError::Malformed("it ends early"))?;
        self.position = end;
        Ok(taken)
    }

    /// `y`: a byte.
    ///
    /// # Errors
    /// The bytes end before it; as for all that follow.
    pub fn byte(&mut self) -> Result<u8, DbusError> {
        self.take(1)?.first().copied().ok_or(DbusError::Malformed("it ends early"))
    }

    /// `u`: an unsigned 32-bit number.
    ///
    /// # Errors
    /// As [`Decoder::byte`].
    pub fn u32(&mut self) -> Result<u32, DbusError> {
        self.align(4)?;
        let bytes = <[u8; 4]>::try_from(self.take(4)?).map_err(|_| DbusError::Malformed("it ends early"))?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn length(&mut self) -> Result<usize, DbusError> {
        usize::try_from(self.u32()?).map_err(|_| DbusError::Malformed("a length overflows"))
    }

    /// `s` or `o`.
    ///
    /// # Errors
    /// As [`Decoder::byte`]; also text that is too long, not UTF-8 or without its final NUL.
    pub fn string(&mut self) -> Result<&'a str, DbusError> {
        let length = self.length()?;
        self.text(length)
    }

    /// `g`.
    ///
    /// # Errors
    /// As [`Decoder::string`].
    pub fn signature(&mut self) -> Result<&'a str, DbusError> {
        let length = usize::from(self.byte()?);
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, DbusError> {
        if length > MAX_STRING_BYTES {
            return Err(DbusError::Malformed("a string is too long"));
        }
        let bytes = self.take(length)?;
        if self.byte()? != 0 {
            return Err(DbusError::Malformed("a string does not end in NUL"));
        }
        std::str::from_utf8(bytes).map_err(|_| DbusError::Malformed("a string is not UTF-8"))
    }

    /// `a…`: reads elements with `read` until the array's length is used up.
    ///
    /// # Errors
    /// As [`Decoder::byte`]; also elements that do not fill the array exactly, or more than `most`.
    pub fn array<T>(
        &mut self,
        alignment: usize,
        most: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DbusError>,
    ) -> Result<Vec<T>, DbusError> {
        let length = self.length()?;
        self.align(alignment)?;
        let end = self.position.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(DbusError::Malformed("an array is longer than the message"))?;
        let mut elements = Vec::new();
        while self.position < end {
            if elements.len() == most {
                return Err(DbusError::Malformed("an array has too many elements"));
            }
            let before = self.position;
            elements.push(read(self)?);
            if self.position == before {
                return Err(DbusError::Malformed("an element is empty"));
            }
        }
        if self.position == end {
            Ok(elements)
        } else {
            Err(DbusError::Malformed("an element crosses its array's end"))
        }
    }

    /// Skips a value of a basic type.
    ///
    /// # Errors
    /// As [`Decoder::string`]; also any other type.
    pub fn skip(&mut self, signature: &str) -> Result<(), DbusError> {
        let size = match signature {
            "y" => 1,
            "n" | "q" => 2,
            "b" | "i" | "u" | "h" => 4,
            "x" | "t" | "d" => 8,
            "s" | "o" => return self.string().map(drop),
            "g" => return self.signature().map(drop),
            _ => return Err(DbusError::Malformed("a value has an unexpected type")),
        };
        self.align(size)?;
        self.take(size).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_written() {
        let mut encoder = Encoder::new();
        encoder.byte(7);
        encoder.u32(0x0102_0304);
        encoder.string("ключ");
        encoder.signature("a(s)");
        encoder.strings(&["a", "bcd", ""]);
        let bytes = encoder.finish();
        assert_eq!(bytes[..8], [7, 0, 0, 0, 4, 3, 2, 1], "padding and byte order");

        let mut decoder = Decoder::new(&bytes, false);
        assert_eq!(decoder.byte().unwrap(), 7);
        assert_eq!(decoder.u32().unwrap(), 0x0102_0304);
        assert_eq!(decoder.string().unwrap(), "ключ");
        assert_eq!(decoder.signature().unwrap(), "a(s)");
        assert_eq!(decoder.array(4, 9, Decoder::string).unwrap(), ["a", "bcd", ""]);
        assert_eq!(decoder.position(), bytes.len());
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        let mut encoder = Encoder::new();
        encoder.strings(&["one", "two", "three"]);
        let bytes = encoder.finish();
        for end in 0..bytes.len() {
            assert!(Decoder::new(&bytes[..end], false).array(4, 9, Decoder::string).is_err());
        }
        for position in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[position] = value;
                let _ = Decoder::new(&bad, false).array(4, 9, Decoder::string);
                let _ = Decoder::new(&bad, true).array(4, 9, Decoder::string);
            }
        }
    }

    #[test]
    fn hostile_lengths_are_refused() {
        let huge = [0xff, 0xff, 0xff, 0xff, b'x', 0];
        assert!(Decoder::new(&huge, false).string().is_err());
        assert!(Decoder::new(&huge, false).array(4, 9, Decoder::byte).is_err());
        let no_nul = [1, 0, 0, 0, b'x', b'y'];
        assert!(Decoder::new(&no_nul, false).string().is_err());
        let three = [3, 0, 0, 0, 1, 2, 3];
        assert!(Decoder::new(&three, false).array(1, 2, Decoder::byte).is_err());
        assert!(Decoder::new(&three, false).array(1, 9, |_| Ok(())).is_err(), "an endless loop");
        assert!(Decoder::new(&[5; 64], false).skip("a{sv}").is_err());
    }
}
