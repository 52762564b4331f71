//! Limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of scrapes: store, web connections, logs.
pub(crate) const OTHER_FILES: u64 = 8192;

/// Descriptors that scrapes and connections between them may hold: what is left beside [`OTHER_FILES`], or half of a low
/// limit. Beyond it, pages could not accept anybody.
pub(super) fn files_for_scrapes() -> usize {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(allowed.saturating_sub(OTHER_FILES).max(allowed / 2)).unwrap_or(usize::MAX)
}

/// Files that are open now.
pub(crate) fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

/// Files that may be open; `None`: any number.
pub(crate) fn open_files_allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit of open files as far as the system allows.
pub(super) fn raise_open_files() {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // What cannot be raised stays as it was; the check speaks of what is.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Says when the limit of open files may not be enough for so many scrapes at once.
pub(super) fn check_open_files(scrapes: usize) {
    let wanted = scrapes as u64 + OTHER_FILES;
    if let Some(now) = getrlimit(Resource::Nofile).current.filter(|now| *now < wanted) {
        tracing::warn!(allowed = now, wanted, "few open files allowed; raise LimitNOFILE, or `ulimit -n`");
    }
}
