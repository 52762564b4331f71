//! Framing: a fixed header, header fields, and a body.

use super::DbusError;
use super::wire::{Decoder, Encoder};

/// Bytes before the header fields, up to and including their length.
pub const PREFIX_BYTES: usize = 16;

/// Largest message accepted. A unit takes about 300 bytes, so this is room for some 3,000 of them; the
/// specification would allow 128 MiB, which no exporter should hold.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Most header fields; the specification knows nine.
const MAX_FIELDS: usize = 32;

/// A method to call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Bus name of the receiver.
    pub destination: &'a str,
    /// Object.
    pub path: &'a str,
    /// Interface of the method.
    pub interface: &'a str,
    /// Name of the method.
    pub member: &'a str,
    /// Types of the arguments, and the arguments.
    pub arguments: Option<(&'static str, Vec<u8>)>,
}

impl Call<'_> {
    /// The message, with the serial that its reply will name.
    pub fn encode(&self, serial: u32) -> Vec<u8> {
        let (signature, body) = self.arguments.as_ref().map_or(("", &[][..]), |(types, body)| (types, body));
        let mut encoder = Encoder::new();
        encoder.byte(b'l');
        encoder.byte(Kind::CALL);
        // NO_AUTO_START: asking for a state must not start a service.
        encoder.byte(0x2);
        encoder.byte(1);
        encoder.u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        encoder.u32(serial);
        encoder.array(8, |fields| {
            let mut field = |code: u8, kind: &str, value: &str| {
                fields.align(8);
                fields.byte(code);
                fields.signature(kind);
                if kind == "g" { fields.signature(value) } else { fields.string(value) }
            };
            field(1, "o", self.path);
            field(2, "s", self.interface);
            field(3, "s", self.member);
            field(6, "s", self.destination);
            if !signature.is_empty() {
                field(8, "g", signature);
            }
        });
        encoder.align(8);
        let mut message = encoder.finish();
        message.extend_from_slice(body);
        message
    }
}

/// Kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A method's result.
    Return,
    /// A method's failure.
    Error,
    /// Anything else: signals, calls, kinds of the future. All are ignored, as the specification asks.
    Other,
}

impl Kind {
    const CALL: u8 = 1;
}

/// The fixed part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    big_endian: bool,
    kind: Kind,
    fields_bytes: usize,
    body_bytes: usize,
}

impl Prefix {
    /// Reads the fixed part and checks the sizes that it announces.
    ///
    /// # Errors
    /// It is not D-Bus, or the message is larger than 1 MiB.
    pub fn parse(bytes: &[u8; PREFIX_BYTES]) -> Result<Self, DbusError> {
        let big_endian = match bytes[0] {
            b'l' => false,
            b'B' => true,
            _ => return Err(DbusError::Malformed("unknown byte order")),
        };
        if bytes[3] != 1 {
            return Err(DbusError::Malformed("unknown protocol version"));
        }
        let kind = match bytes[1] {
            0 => return Err(DbusError::Malformed("message kind 0")),
            2 => Kind::Return,
            3 => Kind::Error,
            _ => Kind::Other,
        };
        let mut decoder = Decoder::new(&bytes[4..], big_endian);
        let body_bytes = decoder.u32()? as usize;
        let _serial = decoder.u32()?;
        let fields_bytes = decoder.u32()? as usize;
        if fields_bytes > MAX_MESSAGE_BYTES || body_bytes > MAX_MESSAGE_BYTES {
            return Err(DbusError::Malformed("it is larger than 1 MiB"));
        }
        Ok(Self { big_endian, kind, fields_bytes, body_bytes })
    }

    /// Bytes that follow the prefix: header fields, padding to 8, body.
    pub fn rest_bytes(&self) -> usize {
        self.fields_bytes.next_multiple_of(8) + self.body_bytes
    }
}

/// A received message.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Serial of the call that it answers; 0 for none.
    pub reply_serial: u32,
    /// Name of the error, for [`Kind::Error`].
    pub error_name: String,
    /// Types of the body.
    pub signature: String,
    rest: Vec<u8>,
    body_start: usize,
    big_endian: bool,
}

impl Message {
    /// Reads the header fields out of the [`Prefix::rest_bytes`] that followed the prefix.
    ///
    /// # Errors
    /// The fields are malformed, or there are too many.
    pub fn parse(prefix: &Prefix, rest: Vec<u8>) -> Result<Self, DbusError> {
        let fields = rest.get(..prefix.fields_bytes).ok_or(DbusError::Malformed("it ends early"))?;
        let mut message = Self {
            kind: prefix.kind,
            reply_serial: 0,
            error_name: String::new(),
            signature: String::new(),
            rest: Vec::new(),
            body_start: prefix.fields_bytes.next_multiple_of(8),
            big_endian: prefix.big_endian,
        };
        // The prefix is 16 bytes long, so alignment counted from here is the same as from the start.
        let mut decoder = Decoder::new(fields, prefix.big_endian);
        let mut count = 0;
        while decoder.position() < fields.len() {
            count += 1;
            if count > MAX_FIELDS {
                return Err(DbusError::Malformed("it has too many header fields"));
            }
            decoder.align(8)?;
            let code = decoder.byte()?;
            let signature = decoder.signature()?;
            match (code, signature) {
                (4, "s") => message.error_name = decoder.string()?.to_owned(),
                (5, "u") => message.reply_serial = decoder.u32()?,
                (8, "g") => message.signature = decoder.signature()?.to_owned(),
                (_, other) => decoder.skip(other)?,
            }
        }
        message.rest = rest;
        Ok(message)
    }

    /// Reads the body, which must be of the given types.
    ///
    /// # Errors
    /// It is of other types.
    pub fn body(&self, signature: &str) -> Result<Decoder<'_>, DbusError> {
        if self.signature != signature {
            return Err(DbusError::Malformed("the body is of an unexpected type"));
        }
        let body = self.rest.get(self.body_start..).ok_or(DbusError::Malformed("it ends early"))?;
        Ok(Decoder::new(body, self.big_endian))
    }

    /// The error that this message reports: its name, and its text when it has one.
    pub fn error(&self) -> DbusError {
        let text = self.body("s").and_then(|mut body| body.string().map(str::to_owned)).unwrap_or_default();
        DbusError::Remote { name: self.error_name.clone(), message: text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Vec<u8> {
        let mut body = Encoder::new();
        body.string("x");
        Call { destination: "a.b", path: "/p", interface: "i.f", member: "M", arguments: Some(("s", body.finish())) }
            .encode(9)
    }

    fn parse(bytes: &[u8]) -> Result<Message, DbusError> {
        let (prefix, rest) = bytes.split_first_chunk().ok_or(DbusError::Malformed("short"))?;
        let prefix = Prefix::parse(prefix)?;
        Message::parse(&prefix, rest.to_vec())
    }

    #[test]
    fn a_call_reads_back() {
        let message = parse(&call()).unwrap();
        assert_eq!(message.kind, Kind::Other);
        assert_eq!(message.body("s").unwrap().string().unwrap(), "x");
        assert!(message.body("u").is_err());
    }

    #[test]
    fn the_announced_size_is_the_real_one() {
        let bytes = call();
        let prefix = Prefix::parse(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(prefix.rest_bytes(), bytes.len() - PREFIX_BYTES);
    }

    #[test]
    fn hostile_messages_are_errors_or_harmless() {
        let good = call();
        for position in 0..good.len() {
            for value in [0, 1, 0x20, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[position] = value;
                if let Ok(message) = parse(&bad) {
                    let _ = message.body("s").and_then(|mut body| body.string().map(str::to_owned));
                    let _ = message.error();
                }
            }
        }
        for end in 0..good.len() {
            if let Ok(message) = parse(&good[..end]) {
                assert!(message.body("s").and_then(|mut body| body.string().map(drop)).is_err());
            }
        }
        assert!(Prefix::parse(&[b'l', 2, 0, 1, 0, 0, 0, 0xff, 1, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
