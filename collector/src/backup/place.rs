//! Where a backup is written: under another name until it is whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mect_fleet::Timestamp;

/// A file in the making. Gone when it is dropped before it was kept.
pub(super) struct Draft {
    file: File,
    draft: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Draft {
    /// Begins the file `to`, or one with the time in its name in the directory `to`.
    pub(super) fn begin(to: &Path, force: bool) -> anyhow::Result<Self> {
        let path = if to.is_dir() { to.join(name_at(Timestamp::now())) } else { to.to_owned() };
        // Said now, not after a long while; made sure of at the end.
        if !force && path.try_exists().with_context(|| path.display().to_string())? {
            bail!("{} exists; choose another name, or --force to replace it", path.display());
        }
        let name = path.file_name().with_context(|| format!("{}: no name for a file", path.display()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(hidden);
        // It holds password hashes: nobody else needs to look in.
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&draft);
        let file = file.with_context(|| format!("{} cannot be made", draft.display()))?;
        Ok(Self { file, draft, path, kept: false })
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Brings it to the disk; returns where it is until it is kept.
    pub(super) fn sync(&self) -> anyhow::Result<&Path> {
        self.file.sync_all().with_context(|| format!("{} cannot be written", self.draft.display()))?;
        Ok(&self.draft)
    }

    /// Gives it its name, which nobody may have taken meanwhile unless `force`.
    pub(super) fn keep(mut self, force: bool) -> anyhow::Result<PathBuf> {
        let named = if force { std::fs::rename(&self.draft, &self.path) } else { self.link() };
        named.with_context(|| format!("{} cannot be given its name", self.path.display()))?;
        self.kept = true;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).context("the directory cannot be synced")?;
        Ok(self.path.clone())
    }

    fn link(&self) -> io::Result<()> {
        match std::fs::hard_link(&self.draft, &self.path) {
            Ok(()) => std::fs::remove_file(&self.draft),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without links: the best that can be done there.
            Err(_) if !self.path.try_exists()? => std::fs::rename(&self.draft, &self.path),
            Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.draft);
        }
    }
}

/// `mect-20261125T161100Z.backup`.
fn name_at(now: Timestamp) -> String {
    let digits: String =
        Timestamp::from_secs(now.as_secs()).to_string().chars().filter(|c| !"-:".contains(*c)).collect();
    format!("mect-{}.backup", digits.replace(".000", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_time() {
        assert_eq!(name_at(Timestamp::from_millis(1_790_035_200_123)), "mect-20260922T000000Z.backup");
    }

    #[test]
    fn a_draft_that_is_not_kept_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::begin(dir.path(), false).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(draft);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_that_is_taken_meanwhile_stays_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let draft = Draft::begin(&path, false).unwrap();
        std::fs::write(&path, "somebody else's").unwrap();
        draft.keep(false).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody else's");
        assert!(Draft::begin(&path, false).is_err());
        Draft::begin(&path, true).unwrap().keep(true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
