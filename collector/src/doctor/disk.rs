//! Room on the disk of the data directory.

use std::path::Path;

use super::{Finding, Site};

const CHECK: &str = "disk";
const MIB: u64 = 1 << 20;
/// With less, the next hours are not recorded.
const LEAST_BYTES: u64 = 256 * MIB;
/// With less, days of a large fleet do not fit.
const COMFORTABLE_BYTES: u64 = 2048 * MIB;

pub(super) fn check(site: &Site) -> Finding {
    let (store, is_spool) = (&site.config.store, site.config.secrets.mongo_url.is_some());
    let wanted = if is_spool { store.spool_mib as u64 * MIB } else { COMFORTABLE_BYTES };
    let place = store.data_dir.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    // A relative path ends in the empty one, which stands for the current directory.
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    judge(&place.display().to_string(), free_bytes(place), wanted, is_spool)
}

fn free_bytes(place: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(place)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn judge(place: &str, free: std::io::Result<u64>, wanted: u64, is_spool: bool) -> Finding {
    let what = if is_spool { "a full spool (`spool_mib`)" } else { "the store to grow" };
    let advice = "make room there, or choose another `data_dir`";
    match free {
        Err(error) => Finding::problem(CHECK, format!("{place}: {error}"), "see that it exists and can be read"),
        Ok(free) if free < LEAST_BYTES => {
            Finding::problem(CHECK, format!("{place}: only {} MiB are free", free / MIB), advice)
        }
        Ok(free) if free < wanted => {
            let (free, wanted) = (free / MIB, wanted / MIB);
            Finding::warning(CHECK, format!("{place}: {free} MiB are free, {wanted} are wanted for {what}"), advice)
        }
        Ok(free) => Finding::ok(CHECK, format!("{place}: {} MiB are free", free / MIB)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Ok as Fine, Problem, Warning};
    use super::*;

    #[test]
    fn room_is_measured_by_what_is_to_be_kept() {
        let verdict = |free_mib: u64| judge("/data", Ok(free_mib * MIB), COMFORTABLE_BYTES, false).verdict;
        assert_eq!((verdict(10_000), verdict(1000), verdict(200)), (Fine, Warning, Problem));
        let spool = judge("/data", Ok(10_000 * MIB), 20_000 * MIB, true);
        assert!(spool.verdict == Warning && spool.text.contains("spool_mib"), "{spool}");
        assert_eq!(judge("/data", Err(std::io::ErrorKind::NotFound.into()), 0, false).verdict, Problem);
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
    }
}
