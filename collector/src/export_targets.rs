//! `export-targets`: the targets of the running collector for a Prometheus that cannot ask over HTTP.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::config::Config;
use crate::control::{self, AskError};

/// Asks the running collector for its targets. Puts them into `output` as a whole, or gives them back where there is none.
/// Blocks.
///
/// # Errors
/// No collector runs, or the file cannot be written; what was there before stays.
pub fn export(config: &Config, output: Option<&Path>) -> anyhow::Result<Option<String>> {
    let data_dir = &config.store.data_dir;
    let list = control::targets(data_dir).map_err(|error| match error {
        AskError::Nobody => anyhow::anyhow!(
            "{}: {error}; start it, or name its data directory by `data_dir` in [store], or MECT_DATA_DIR",
            data_dir.display()
        ),
        error => error.into(),
    })?;
    let Some(output) = output else { return Ok(Some(list)) };
    replace(output, &list).with_context(|| format!("{}: cannot be written", output.display()))?;
    Ok(None)
}

/// Written beside and renamed: Prometheus reads a file whenever it changes, and must never see half of one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_added_extension("draft");
    let written = std::fs::File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    });
    if written.is_err() {
        // The draft may not be there; why it was not written matters more.
        let _ = std::fs::remove_file(&draft);
    }
    written
}
