//! The directory below which samplers find `proc`, `sys` and `etc`.
//!
//! It is `/` on a host, `/host` in a container with the host's root mounted there, and a fixture in tests.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::sampler::SampleError;

/// Most bytes taken from one file. The largest file read is `/proc/stat`, a few hundred KiB on the
/// biggest machines; more than this is refused rather than parsed in part.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// First guess of a file's size: files in `/proc` report a length of 0.
const TYPICAL_FILE_BYTES: usize = 4096;

/// A directory that stands for `/`.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// Reads everything below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path of `relative` below the root. A leading `/` is allowed and means the root itself.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        let relative = relative.as_ref();
        self.0.join(relative.strip_prefix("/").unwrap_or(relative))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than 4 MiB.
    pub fn bytes(&self, relative: impl AsRef<Path>) -> Result<Vec<u8>, SampleError> {
        let path = self.path(relative);
        let mut bytes = Vec::with_capacity(TYPICAL_FILE_BYTES);
        let read = File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Ok(read) if read as u64 > MAX_FILE_BYTES => Err(SampleError::parse(path.display(), "larger than 4 MiB")),
            Ok(_) => Ok(bytes),
            Err(source) => Err(SampleError::Read { path, source }),
        }
    }

    /// Reads a whole file as text. Bytes that are not UTF-8 are replaced: an odd device or mount name
    /// must not hide all the others.
    ///
    /// # Errors
    /// As [`Root::bytes`].
    pub fn text(&self, relative: impl AsRef<Path>) -> Result<String, SampleError> {
        let bytes = self.bytes(relative)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Whether this is the host's own root, so that the kernel may be asked as well as its files.
    pub fn is_own(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Whether something exists at this path.
    pub fn exists(&self, relative: impl AsRef<Path>) -> bool {
        self.path(relative).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_stay_below_the_root() {
        let root = Root::new("/fixture");
        assert_eq!(root.path("/proc/stat"), Path::new("/fixture/proc/stat"));
        assert_eq!(root.path("proc/stat"), Path::new("/fixture/proc/stat"));
        assert_eq!(root.path("/"), Path::new("/fixture"));
    }

    #[test]
    fn invalid_utf8_is_replaced_and_a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("odd"), b"a\xffb").unwrap();
        let root = Root::new(dir.path());
        assert_eq!(root.text("odd").unwrap(), "a\u{fffd}b");
        assert!(root.text("absent").unwrap_err().to_string().contains("absent"));
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = Root::new("/").bytes("/dev/zero").unwrap_err();
        assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
    }
}
