//! One command to one `mongod`, over a connection of its own: OP_MSG of MongoDB's wire protocol, without a driver that
//! would look for the rest of the set first.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use bson::Document;

const OP_MSG: i32 = 2013;
/// Length, request number, number it answers, kind of message.
const HEADER_BYTES: usize = 16;
/// Flags, and the kind of section: one document.
const PREFIX: [u8; 5] = [0; 5];
/// A node that hangs is as good as gone after this long.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn ask(port: u16, mut command: Document) -> Result<Document, String> {
    command.entry("$db").or_insert("admin".into());
    let answer = exchange(port, &command).map_err(|error| error.to_string())?;
    let ok = answer.get("ok").and_then(|ok| ok.as_f64().or(ok.as_i32().map(f64::from)));
    if ok == Some(1.0) { Ok(answer) } else { Err(answer.to_string()) }
}

fn exchange(port: u16, command: &Document) -> std::io::Result<Document> {
    let body = command.to_vec().map_err(std::io::Error::other)?;
    let length = HEADER_BYTES + PREFIX.len() + body.len();
    let mut message = Vec::with_capacity(length);
    for number in [i32::try_from(length).map_err(std::io::Error::other)?, 1, 0, OP_MSG] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.extend_from_slice(&PREFIX);
    message.extend_from_slice(&body);

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&message)?;
    let mut header = [0; HEADER_BYTES + PREFIX.len()];
    stream.read_exact(&mut header)?;
    Document::from_reader(&mut stream).map_err(std::io::Error::other)
}
