//! Target files in Prometheus' `file_sd` format: a list of groups, each with `targets` and `labels`, in JSON or YAML.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use mect_fleet::shard::stable_hash;
use mect_fleet::{TargetGroup, TargetPolicy};

use super::{Candidate, copies, groups};

/// A target file of 100,000 servers has about 20 MB; beyond this size it is something else.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A file that cannot be used; says which, where and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    path: PathBuf,
    problem: String,
}

/// One file and its last good content.
pub struct FileSource {
    path: PathBuf,
    policy: Arc<TargetPolicy>,
    seen: Option<(SystemTime, u64)>,
    candidates: Vec<Candidate>,
    /// Where its last good content is kept over a restart.
    copy: Option<PathBuf>,
    /// Why it cannot be used as it is now.
    problem: Option<String>,
}

impl FileSource {
    /// A file that was not read yet, which may name targets that `policy` allows.
    pub fn new(path: impl Into<PathBuf>, policy: Arc<TargetPolicy>) -> Self {
        Self { path: path.into(), policy, seen: None, candidates: Vec::new(), copy: None, problem: None }
    }

    /// Keeps a copy of its last good content in `data_dir`.
    pub fn with_copy_in(mut self, data_dir: &Path) -> Self {
        let name = stable_hash(self.path.as_os_str().as_bytes());
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        self.copy = Some(copies::path(data_dir, name, &extension));
        self
    }

    /// Takes the copy for the file.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn use_copy(&mut self) -> Result<(), FileError> {
        let Some(copy) = &self.copy else { return Err(self.error("has no copy".into())) };
        self.candidates = read(copy, &self.policy)?;
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its targets as last read.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Makes the next [`refresh`](Self::refresh) read the file whatever its time.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Reads the file if it changed; true when it did. After an error it is read again only when it changes again,
    /// so that one mistake is logged once.
    ///
    /// # Errors
    /// The file cannot be read or understood; the last good content stays.
    pub fn refresh(&mut self) -> Result<bool, FileError> {
        let read = self.look();
        match &read {
            Ok(true) => self.problem = None,
            Ok(false) => {}
            Err(error) => self.problem = Some(error.to_string()),
        }
        read
    }

    /// Why it cannot be used as it is now, with its name; `None` while it can.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn look(&mut self) -> Result<bool, FileError> {
        let metadata = std::fs::metadata(&self.path).and_then(|metadata| Ok((metadata.modified()?, metadata.len())));
        let seen = match metadata {
            Ok(seen) => seen,
            // Told once, until the file is back.
            Err(_) if self.seen == Some((SystemTime::UNIX_EPOCH, 0)) => return Ok(false),
            Err(error) => {
                self.seen = Some((SystemTime::UNIX_EPOCH, 0));
                return Err(self.error(format!("cannot be read: {error}")));
            }
        };
        if self.seen == Some(seen) {
            return Ok(false);
        }
        self.seen = Some(seen);
        self.candidates = read(&self.path, &self.policy)?;
        self.keep_copy();
        Ok(true)
    }

    fn keep_copy(&self) {
        let Some(copy) = &self.copy else { return };
        if let Err(error) = copies::keep(copy, |draft| std::fs::copy(&self.path, draft).map(drop)) {
            tracing::warn!(copy = %copy.display(), %error, "no copy of the target file was kept");
        }
    }

    fn error(&self, problem: String) -> FileError {
        FileError { path: self.path.clone(), problem }
    }
}

/// Reads a target file.
///
/// # Errors
/// It cannot be read, is no list of groups, or names a target that is none or that `policy` does not allow.
pub fn read(path: &Path, policy: &TargetPolicy) -> Result<Vec<Candidate>, FileError> {
    let error = |problem: String| FileError { path: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(|io| error(format!("cannot be read: {io}")))?.len();
    if size > MAX_FILE_BYTES {
        return Err(error(format!("has {size} bytes; at most {MAX_FILE_BYTES} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|io| error(format!("cannot be read: {io}")))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let groups: Vec<TargetGroup> = if is_json {
        TargetGroup::from_json(&text).map_err(|json| error(json.to_string()))?
    } else if text.trim().is_empty() {
        Vec::new()
    } else {
        serde_saphyr::from_str(&text).map_err(|yaml| error(yaml.to_string().replace("<input>", "line")))?
    };
    groups::all(&groups, policy).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Format;

    fn read(path: &Path) -> Result<Vec<Candidate>, FileError> {
        super::read(path, &TargetPolicy::default())
    }

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = "# fleet\n- targets: ['192.0.2.1:9776', \"192.0.2.2:9776\"]\n  labels:\n    country_code: de\n    gaming: 'true'\n    anything: else\n";
        let json = r#"[{"targets":["192.0.2.1:9776","192.0.2.2:9776"],"labels":{"country_code":"de","gaming":"true","anything":"else"}}]"#;
        let (_yaml, yaml) = file("targets.yml", yaml);
        let (_json, json) = file("targets.json", json);
        let candidates = read(&yaml).unwrap();
        assert_eq!(candidates, read(&json).unwrap());
        assert_eq!(candidates.len(), 2);
        assert_eq!(candidates[0].labels.place.country_code, "DE");
        assert_eq!(candidates[0].labels.flags.gaming, Some(true));
    }

    #[test]
    fn another_path_may_be_given_as_prometheus_does() {
        let (_keep, path) = file("t.yml", "- targets: [a:1]\n  labels: {__metrics_path__: /probe}\n");
        assert_eq!(read(&path).unwrap()[0].endpoint.to_string(), "http://a:1/probe");
    }

    #[test]
    fn a_label_says_what_a_page_is_in_that_does_not_say_so() {
        let (_keep, path) =
            file("t.yml", "- targets: [a:1]\n  labels: {fallback_format: openmetrics}\n- targets: [b:1]\n");
        let formats: Vec<_> = read(&path).unwrap().into_iter().map(|each| each.labels.fallback_format).collect();
        assert_eq!(formats, [Some(Format::OpenMetrics), None]);
    }

    #[test]
    fn a_file_without_targets_is_an_empty_set() {
        for text in ["", "\n", "[]", "# nothing yet\n"] {
            let (_keep, path) = file("t.yml", text);
            assert_eq!(read(&path).map_err(|error| error.to_string()), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (name, text, part) in [
            ("t.json", "[{\"targets\": [}", "line 1"),
            ("t.yml", "- target: [a:1]\n", "target"),
            ("t.yml", "- targets: [a:1\n", "line"),
            ("t.yml", "- targets: [nonsense]\n", "group 1, target `nonsense`: needs a port"),
            (
                "t.yml",
                "- targets: ['127.0.0.1:1']\n",
                "group 1, target `127.0.0.1:1`: a loopback address is scraped only if",
            ),
            (
                "t.yml",
                "- targets: [a:1]\n  labels: {paid: maybe}\n",
                "group 1, which starts with target `a:1`: label `paid`: `maybe` is not allowed",
            ),
            (
                "t.yml",
                "- targets: [a:1]\n  labels: {fallback_format: xml}\n",
                "label `fallback_format`: `xml` is not allowed; give text or openmetrics",
            ),
        ] {
            let (_keep, path) = file(name, text);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.starts_with(path.to_str().unwrap()) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_last_good_content_survives_a_restart() {
        let (home, path) = file("t.yml", "- targets: [a:1]\n");
        let source = || FileSource::new(&path, Arc::default()).with_copy_in(home.path());
        assert!(source().use_copy().is_err(), "nothing was read yet");
        assert!(source().refresh().unwrap());
        std::fs::write(&path, "- targets: [a").unwrap();
        let mut restarted = source();
        assert!(restarted.refresh().is_err());
        restarted.use_copy().unwrap();
        assert_eq!(restarted.candidates().len(), 1);
    }

    #[test]
    fn a_broken_change_keeps_the_last_good_content_and_is_told_once() {
        let (_keep, path) = file("t.yml", "- targets: [a:1]\n");
        let mut source = FileSource::new(&path, Arc::default());
        assert!(source.refresh().unwrap());
        assert!(!source.refresh().unwrap());
        std::fs::write(&path, "- targets: [a:1, b]\n").unwrap();
        assert!(source.refresh().is_err());
        assert!(!source.refresh().unwrap());
        assert_eq!(source.candidates().len(), 1);
        std::fs::remove_file(&path).unwrap();
        assert!(source.refresh().is_err());
        assert!(!source.refresh().unwrap());
        assert_eq!(source.candidates().len(), 1);
        std::fs::write(&path, "- targets: [a:1, b:1]\n").unwrap();
        assert!(source.refresh().unwrap());
        assert_eq!(source.candidates().len(), 2);
    }
}
