//! One call of the stats API: `QueryStats` over gRPC, which is HTTP/2 with a length before each message.
//!
//! Written by hand because a gRPC stack would be larger than the rest of the exporter: a request is five
//! frames, headers are sent as plain literals, and those of the answer need not be understood, because the
//! counters are all in its data. RFC 9113 (frames), RFC 7541 (headers), gRPC over HTTP2 (messages).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config::Endpoint;
use crate::sampler::SampleError;
use crate::vpn::ask::{self, MAX_ANSWER_BYTES};

use super::stats::Stats;

/// The method under the names of Xray and of V2Ray.
const PATHS: [&str; 2] =
    ["/xray.app.stats.command.StatsService/QueryStats", "/v2ray.core.app.stats.command.StatsService/QueryStats"];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Largest frame that a peer may send unless told otherwise.
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// Room that we grant the answer: all that we take.
const WINDOW_BYTES: u32 = MAX_ANSWER_BYTES as u32;

// Frame types and flags, RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

/// Asks for all counters.
///
/// # Errors
/// Nobody answers in time, or the answer is not of this protocol.
pub async fn query_stats(endpoint: &Endpoint, budget: Duration) -> Result<Stats, SampleError> {
    let conversation = async {
        for path in PATHS {
            // A core that knows the method by the other name answers without data.
            if let Some(message) = call(endpoint, path).await? {
                return parse_response(&message)
                    .ok_or_else(|| SampleError::parse(endpoint, "the answer is no list of counters"));
            }
        }
        Err(SampleError::parse(endpoint, "it does not offer the StatsService"))
    };
    ask::within(budget, endpoint, conversation).await
}

/// One call on a connection of its own. `None` when the answer holds no message.
async fn call(endpoint: &Endpoint, path: &str) -> Result<Option<Vec<u8>>, SampleError> {
    let mut stream = ask::connect(endpoint).await?;
    ask::send(&mut stream, endpoint, &request(path)).await?;
    let broken = |source| SampleError::Connect { endpoint: endpoint.to_string(), source };
    let mut data = Vec::new();
    loop {
        let (kind, flags, id, payload) = read_frame(&mut stream).await.map_err(broken)?;
        match kind {
            SETTINGS if flags & ACK == 0 => ask::send(&mut stream, endpoint, &frame(SETTINGS, ACK, 0, &[])).await?,
            PING if flags & ACK == 0 => ask::send(&mut stream, endpoint, &frame(PING, ACK, 0, &payload)).await?,
            RST_STREAM | GOAWAY => return Err(SampleError::parse(endpoint, "it ends the call")),
            DATA if id == 1 => data.extend_from_slice(unpadded(flags, &payload)),
            _ => {}
        }
        if data.len() > MAX_ANSWER_BYTES {
            return Err(SampleError::parse(endpoint, format_args!("answers with more than {MAX_ANSWER_BYTES} bytes")));
        }
        if id == 1 && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            break;
        }
    }
    Ok(message(&data).map(<[u8]>::to_vec))
}

fn request(path: &str) -> Vec<u8> {
    let window = [&SETTINGS_INITIAL_WINDOW_SIZE.to_be_bytes()[..], &WINDOW_BYTES.to_be_bytes()].concat();
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A literal that is not remembered, with a new name; lengths below 127 are one byte.
        headers.push(0);
        for text in [name, value] {
            headers.push(text.len() as u8);
            headers.extend_from_slice(text.as_bytes());
        }
    }
    // No compression, and an empty QueryStatsRequest: every counter, none reset.
    let message = [0; 5];
    [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &window),
        frame(WINDOW_UPDATE, 0, 0, &WINDOW_BYTES.to_be_bytes()),
        frame(HEADERS, END_HEADERS, 1, &headers),
        frame(DATA, END_STREAM, 1, &message),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(std::io::Error::other("this is not HTTP/2, or a frame is too long"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok((kind, flags, u32::from_be_bytes(id) & 0x7FFF_FFFF, payload))
}

fn unpadded(flags: u8, payload: &[u8]) -> &[u8] {
    match payload.split_first() {
        Some((padding, rest)) if flags & PADDED != 0 => {
            rest.get(..rest.len().saturating_sub(usize::from(*padding))).unwrap_or_default()
        }
        _ => payload,
    }
}

/// The first message: a flag for compression, which we do not offer, its length, and itself.
fn message(data: &[u8]) -> Option<&[u8]> {
    let (head, rest) = data.split_at_checked(5)?;
    let length = u32::from_be_bytes(head.get(1..)?.try_into().ok()?) as usize;
    if head.first() == Some(&0) { rest.get(..length) } else { None }
}

/// `QueryStatsResponse { repeated Stat stat = 1; }`, `Stat { string name = 1; int64 value = 2; }`.
fn parse_response(message: &[u8]) -> Option<Stats> {
    let mut stats = Stats::default();
    let mut rest = message;
    while !rest.is_empty() {
        let Field::Bytes(1, stat) = field(&mut rest)? else { continue };
        let (mut name, mut value, mut rest) = ("", 0, stat);
        while !rest.is_empty() {
            match field(&mut rest)? {
                Field::Bytes(1, text) => name = std::str::from_utf8(text).ok()?,
                Field::Number(2, number) => value = number,
                _ => {}
            }
        }
        // Negative ones would be a mistake of the core.
        stats.add(name, if value > i64::MAX as u64 { 0 } else { value });
    }
    Some(stats)
}

/// A field of a protobuf message: its number and value.
enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
    Other,
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = varint(rest)?;
    let number = key >> 3;
    let mut take = |count: usize| {
        let (taken, tail) = rest.split_at_checked(count)?;
        *rest = tail;
        Some(taken)
    };
    match key & 7 {
        0 => varint(rest).map(|value| Field::Number(number, value)),
        1 => take(8).map(|_| Field::Other),
        5 => take(4).map(|_| Field::Other),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (taken, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Some(Field::Bytes(number, taken))
        }
        _ => None,
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, value: &[u8]) -> Vec<u8> {
        let inner = [&[0x0A, name.len() as u8][..], name.as_bytes(), &[0x10], value].concat();
        [&[0x0A, inner.len() as u8][..], &inner].concat()
    }

    #[test]
    fn counters_are_read() {
        let mut message = stat("inbound>>>in>>>traffic>>>uplink", &[0xAC, 0x02]);
        message.extend(stat("user>>>a>>>traffic>>>downlink", &[5]));
        // A later version's field of its own.
        message.extend([0x18, 7, 0x22, 1, 9]);
        let stats = parse_response(&message).unwrap();
        assert_eq!((stats.inbounds["in"].uplink, stats.users["a"].downlink), (300, 5));
        for end in 0..message.len() {
            let _ = parse_response(&message[..end]);
        }
        assert!(parse_response(&[0x0A, 0xFF]).is_none() && parse_response(&[0xFF; 11]).is_none());
    }

    #[test]
    fn messages_are_framed() {
        assert_eq!(message(&[0, 0, 0, 0, 2, 8, 9, 1]), Some(&[8, 9][..]));
        assert_eq!(message(&[]), None);
        assert_eq!(message(&[0, 0, 0, 0, 9, 1]), None);
        assert_eq!(message(&[1, 0, 0, 0, 0]), None, "compressed");
        assert_eq!(unpadded(PADDED, &[2, 7, 0, 0]), [7]);
        assert!(unpadded(PADDED, &[9, 7]).is_empty());
    }

    #[tokio::test]
    async fn what_is_not_http2_ends_soon() {
        let mut text: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert!(read_frame(&mut text).await.is_err());
    }
}
