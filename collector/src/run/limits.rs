//! Limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of scrapes: store, web connections, logs.
const OTHER_FILES: u64 = 8192;

/// Raises the limit of open files as far as the system allows, and says when that may not be enough.
pub(super) fn raise_open_files(scrapes: usize) {
    let before = getrlimit(Resource::Nofile);
    let wanted = scrapes as u64 + OTHER_FILES;
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // What cannot be raised stays as it was; the check below speaks of what is.
    let _ = setrlimit(Resource::Nofile, raised);
    if let Some(now) = getrlimit(Resource::Nofile).current.filter(|now| *now < wanted) {
        tracing::warn!(allowed = now, wanted, "few open files allowed; raise LimitNOFILE, or `ulimit -n`");
    }
}
