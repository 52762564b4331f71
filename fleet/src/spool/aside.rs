//! Records that no store takes, kept for a person: `refused.jsonl`, one record as JSON per line.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{FILE_MODE, Result, SpoolError};
use crate::store::Record;

/// File in the spool's directory.
const REFUSED_FILE: &str = "refused.jsonl";
/// Once the file is this long, nothing is added: by then it is not the records that need to be looked at.
const REFUSED_BYTES: u64 = 16 << 20;

pub(super) fn append(directory: &Path, records: &[Record]) -> Result<()> {
    let path = directory.join(REFUSED_FILE);
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).map_err(SpoolError::Encode)?;
        lines.push(b'\n');
    }
    let file = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(&path);
    let mut file = file.map_err(SpoolError::io("open", &path))?;
    if file.metadata().map_err(SpoolError::io("read", &path))?.len() < REFUSED_BYTES {
        file.write_all(&lines).and_then(|()| file.sync_data()).map_err(SpoolError::io("write", &path))?;
    }
    Ok(())
}
