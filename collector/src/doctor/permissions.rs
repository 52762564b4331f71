//! Who else may read secrets and the data directory.
//!
//! A file that others may read by its mode is still private where a directory on the way to it lets nobody through.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, Site, Verdict};
use crate::config::KNOWN_VARIABLES;

const CHECK: &str = "permissions";
/// Entries of a data directory that hold what nobody else may see.
const ENTRIES: [&str; 5] = ["", "fleet.redb", "secret.key", "spool", "control.sock"];
/// Read and write, of the group and of others.
const GROUP: u32 = 0o060;
const OTHERS: u32 = 0o006;
/// Going through a directory, of the group and of others.
const GROUP_THROUGH: u32 = 0o010;
const OTHERS_THROUGH: u32 = 0o001;

/// Who may read or change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exposure {
    /// Its owner.
    Private,
    /// A group.
    Group,
    /// Everybody on this machine.
    Everybody,
}

/// Something that should be private.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    path: PathBuf,
    mode: u32,
    exposure: Exposure,
}

pub(super) fn check(site: &Site) -> Finding {
    let data_dir = &site.config.store.data_dir;
    let entries = ENTRIES.iter().map(|entry| data_dir.join(entry));
    // What a variable names is never given in clear.
    let secrets = KNOWN_VARIABLES.iter().filter(|name| name.ends_with("_FILE"));
    let secrets = secrets.filter_map(|name| site.variables.get(name)).map(PathBuf::from);
    let secrets = secrets.chain(site.config.web.tls_key.clone());
    judge(&entries.chain(secrets).filter_map(|path| look(&path)).collect::<Vec<_>>())
}

/// `None` for what is not there: whoever needs it says so.
fn look(path: &Path) -> Option<Item> {
    let path = path.canonicalize().ok()?;
    let mode = |path: &Path| path.metadata().ok().map(|found| found.mode() & 0o7777);
    let around: Option<Vec<_>> = path.ancestors().skip(1).map(mode).collect();
    let mode = mode(&path)?;
    Some(Item { exposure: exposure(mode, &around?), mode, path })
}

/// Of something with that mode in directories with those.
fn exposure(mode: u32, around: &[u32]) -> Exposure {
    let opens = |bit: u32| around.iter().all(|mode| mode & bit != 0);
    if mode & OTHERS != 0 && opens(OTHERS_THROUGH) {
        return Exposure::Everybody;
    }
    // Whose group it is on the way is not asked: where others get through, so does the group.
    if mode & GROUP != 0 && around.iter().all(|mode| mode & (GROUP_THROUGH | OTHERS_THROUGH) != 0) {
        return Exposure::Group;
    }
    Exposure::Private
}

fn judge(items: &[Item]) -> Finding {
    let worst = items.iter().map(|item| item.exposure).max().unwrap_or(Exposure::Private);
    let named: Vec<_> = items.iter().filter(|item| item.exposure > Exposure::Private).collect();
    let list = named.iter().map(|item| format!("{} (mode {:04o})", item.path.display(), item.mode));
    let list = list.collect::<Vec<_>>().join(", ");
    let paths: Vec<_> = named.iter().map(|item| item.path.display().to_string()).collect();
    let advice = format!("chmod go= {}", paths.join(" "));
    match worst {
        Exposure::Private if items.is_empty() => Finding::ok(CHECK, "no secret and no data is there yet"),
        Exposure::Private => Finding::ok(CHECK, format!("{} files and directories are private", items.len())),
        Exposure::Group => {
            Finding { verdict: Verdict::Warning, ..Finding::problem(CHECK, format!("a group may read {list}"), advice) }
        }
        Exposure::Everybody => Finding::problem(CHECK, format!("others may read or change {list}"), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Ok as Fine, Problem, Warning};
    use super::*;

    #[test]
    fn a_closed_directory_hides_what_is_in_it() {
        let open = [0o755, 0o755];
        assert_eq!(exposure(0o600, &open), Exposure::Private);
        assert_eq!(exposure(0o640, &open), Exposure::Group);
        assert_eq!(exposure(0o644, &open), Exposure::Everybody);
        assert_eq!(exposure(0o602, &open), Exposure::Everybody, "to be changed is as bad");
        assert_eq!(exposure(0o644, &[0o700, 0o755]), Exposure::Private);
        assert_eq!(exposure(0o644, &[0o755, 0o700, 0o755]), Exposure::Private);
        assert_eq!(exposure(0o644, &[0o750, 0o755]), Exposure::Group);
    }

    #[test]
    fn the_worst_counts_and_every_path_is_named() {
        let item = |path: &str, exposure| Item { path: path.into(), mode: 0o644, exposure };
        let private = item("/a", Exposure::Private);
        assert_eq!(judge(&[]).verdict, Fine);
        assert_eq!(judge(std::slice::from_ref(&private)).verdict, Fine);
        assert_eq!(judge(&[private.clone(), item("/b", Exposure::Group)]).verdict, Warning);
        let told = judge(&[item("/b", Exposure::Group), private, item("/c", Exposure::Everybody)]);
        assert_eq!(told.verdict, Problem);
        assert_eq!(told.advice.as_deref(), Some("chmod go= /b /c"));
    }
}
