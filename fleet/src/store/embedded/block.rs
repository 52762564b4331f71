//! A block: the points of one server and day, column by column, compressed with pco.
//!
//! ```text
//! version u8 │ crc32 u32 of all that follows │ points u32 │ ten times: length u32, column
//! ```
//! Numbers are little endian. pco has no checksum of its own, and trusting damaged input costs time and memory: the
//! checksum is verified before anything is decoded, and the number of points is capped.

use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use super::row::Row;

const VERSION: u8 = 1;
const COLUMNS: usize = 10;
/// Columns whose values say nothing of the next one (duration) or hardly ever change (codes): differences would only
/// add noise.
const WITHOUT_MEMORY: [usize; 3] = [1, 2, 3];
/// pco's level. 8, its default, takes half as long again for 0.4 % less.
const LEVEL: usize = 4;
/// Most points in a block: a scrape every 0.7 s for a whole day. A damaged count costs at most 10 MiB.
pub(super) const MAX_POINTS: usize = 1 << 17;
/// Turns signed order into unsigned order.
const SIGN_BIT: u64 = 1 << 63;

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    #[error("it is cut short")]
    Short,
    #[error("unknown version {0}")]
    Version(u8),
    #[error("its checksum differs")]
    Checksum,
    #[error("it claims {0} points")]
    Count(u32),
    #[error("a column does not hold as many values as it should")]
    Column,
    #[error(transparent)]
    Codec(#[from] pco::errors::PcoError),
}

/// Compresses `rows`, at most [`MAX_POINTS`] of them.
pub(super) fn encode(rows: &[Row]) -> Result<Vec<u8>, BlockError> {
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    if rows.len() > MAX_POINTS {
        return Err(BlockError::Count(count));
    }
    let mut body = count.to_le_bytes().to_vec();
    let mut values = Vec::with_capacity(rows.len());
    for column in 0..COLUMNS {
        values.clear();
        values.extend(rows.iter().map(|row| columns(row)[column]));
        let compressed = simple_compress(&values, &config(column))?;
        body.extend_from_slice(&u32::try_from(compressed.len()).map_err(|_| BlockError::Column)?.to_le_bytes());
        body.extend_from_slice(&compressed);
    }
    let mut block = Vec::with_capacity(1 + 4 + body.len());
    block.push(VERSION);
    block.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    block.extend_from_slice(&body);
    Ok(block)
}

/// The rows of a block, in the order in which they were encoded.
pub(super) fn decode(block: &[u8]) -> Result<Vec<Row>, BlockError> {
    let (&version, rest) = block.split_first().ok_or(BlockError::Short)?;
    if version != VERSION {
        return Err(BlockError::Version(version));
    }
    let (checksum, body) = split_u32(rest)?;
    if crc32fast::hash(body) != checksum {
        return Err(BlockError::Checksum);
    }
    decode_body(body)
}

fn decode_body(body: &[u8]) -> Result<Vec<Row>, BlockError> {
    let (count, mut rest) = split_u32(body)?;
    let length = usize::try_from(count).ok().filter(|length| *length <= MAX_POINTS).ok_or(BlockError::Count(count))?;
    let mut decoded: [Vec<u64>; COLUMNS] = Default::default();
    for values in &mut decoded {
        let (bytes, tail) = split_u32(rest)?;
        let (compressed, tail) = tail.split_at_checked(bytes as usize).ok_or(BlockError::Short)?;
        values.resize(length, 0);
        let progress = simple_decompress_into(compressed, values)?;
        if progress.n_processed != length || !progress.finished {
            return Err(BlockError::Column);
        }
        rest = tail;
    }
    (0..length).map(|index| row(std::array::from_fn(|column| decoded[column][index]))).collect()
}

fn split_u32(bytes: &[u8]) -> Result<(u32, &[u8]), BlockError> {
    bytes.split_first_chunk().map(|(head, tail)| (u32::from_le_bytes(*head), tail)).ok_or(BlockError::Short)
}

/// How a column is compressed. Said outright: letting pco search costs four times the time and gains nothing on these
/// series. A block is compressed again with every hour of its day.
fn config(column: usize) -> ChunkConfig {
    let delta = if WITHOUT_MEMORY.contains(&column) { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(1) };
    ChunkConfig::default().with_compression_level(LEVEL).with_mode_spec(ModeSpec::Classic).with_delta_spec(delta)
}

fn columns(row: &Row) -> [u64; COLUMNS] {
    [
        row.at_ms.cast_unsigned() ^ SIGN_BIT,
        row.duration_ms.into(),
        row.failure.into(),
        row.health.into(),
        row.cpu.into(),
        row.ram.into(),
        row.net.into(),
        row.receive,
        row.transmit,
        row.sessions.into(),
    ]
}

fn row(values: [u64; COLUMNS]) -> Result<Row, BlockError> {
    let [at, duration, failure, health, cpu, ram, net, receive, transmit, sessions] = values;
    let small = |value: u64| u32::try_from(value).map_err(|_| BlockError::Column);
    let code = |value: u64| u8::try_from(value).map_err(|_| BlockError::Column);
    Ok(Row {
        at_ms: (at ^ SIGN_BIT).cast_signed(),
        duration_ms: small(duration)?,
        failure: code(failure)?,
        health: code(health)?,
        cpu: small(cpu)?,
        ram: small(ram)?,
        net: small(net)?,
        receive,
        transmit,
        sessions: small(sessions)?,
    })
}

#[cfg(test)]
mod tests;
