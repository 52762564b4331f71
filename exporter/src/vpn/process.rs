//! The processes of a unit, from its control group and `/proc`.
//!
//! Both are open to every user, unlike `/proc/PID/fd` and `/proc/PID/exe`, which would need CAP_SYS_PTRACE.

use std::path::Path;

use crate::config::glob_matches;
use crate::root::Root;

/// Where control groups are, in order: unified, and the two places of a hybrid set-up.
const MOUNTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// Most processes looked at per unit; Squid has a handful, the others one or two.
const MAX_PROCESSES: usize = 64;

/// A living process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name, cut to 15 bytes by the kernel.
    pub name: String,
    /// Its command line, the program first.
    pub arguments: Vec<String>,
}

impl Process {
    /// Whether its name or its program's file name matches the pattern.
    pub fn is(&self, pattern: &str) -> bool {
        let program = self.arguments.first().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
        glob_matches(pattern, &self.name) || glob_matches(pattern, program)
    }
}

/// The living processes of a control group, e.g. `/system.slice/squid.service`. `None` when it cannot be
/// found out; a group without processes has none, which is something else.
pub fn of_group(root: &Root, group: &str) -> Option<Vec<Process>> {
    let group = group.trim_start_matches('/');
    // The group's name comes from systemd; a path that climbs would not be one.
    if group.is_empty() || group.split('/').any(|part| part == "..") {
        return None;
    }
    let list = MOUNTS.iter().find_map(|mount| root.text(Path::new(mount).join(group).join("cgroup.procs")).ok())?;
    let pids = list.lines().filter_map(|line| line.trim().parse::<u32>().ok()).take(MAX_PROCESSES);
    Some(pids.filter_map(|pid| look(root, pid)).collect())
}

/// `None` when it is gone meanwhile, or is dead and only waits for its parent to notice.
fn look(root: &Root, pid: u32) -> Option<Process> {
    let stat = root.text(format!("/proc/{pid}/stat")).ok()?;
    let (name, state) = parse_stat(&stat)?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let command_line = root.text(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = command_line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
    Some(Process { name: name.to_owned(), arguments })
}

/// Name and state, proc_pid_stat(5). The name may itself hold parentheses and spaces.
fn parse_stat(stat: &str) -> Option<(&str, char)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name, after.trim_start().chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(processes: &[(u32, &str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("sys/fs/cgroup/unified/system.slice/x.service");
        std::fs::create_dir_all(&group).unwrap();
        let mut list = String::from("999999\n");
        for (pid, stat, command_line) in processes {
            let process = dir.path().join(format!("proc/{pid}"));
            std::fs::create_dir_all(&process).unwrap();
            std::fs::write(process.join("stat"), stat).unwrap();
            std::fs::write(process.join("cmdline"), command_line).unwrap();
            list += &format!("{pid}\n");
        }
        std::fs::write(group.join("cgroup.procs"), list).unwrap();
        let root = Root::new(dir.path());
        (dir, root)
    }

    #[test]
    fn the_living_are_told_from_the_dead() {
        let (_dir, root) = host(&[
            (7, "7 (x-ui) S 1 7", "/usr/local/x-ui/x-ui\0"),
            (8, "8 (xray-linux-amd6) R 7", "bin/xray-linux-amd64\0-c\0bin/config.json\0"),
            (9, "9 (odd) name)) Z 7", ""),
        ]);
        let found = of_group(&root, "/system.slice/x.service").unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[1].is("xray*") && !found[0].is("xray*"));
        assert_eq!(found[1].arguments, ["bin/xray-linux-amd64", "-c", "bin/config.json"]);
    }

    #[test]
    fn an_unknown_group_is_not_an_empty_one() {
        let (_dir, root) = host(&[]);
        assert_eq!(of_group(&root, "/system.slice/x.service"), Some(vec![]));
        for unknown in ["/system.slice/y.service", "", "/", "/../system.slice/x.service"] {
            assert_eq!(of_group(&root, unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn nonsense_is_no_process() {
        for bad in ["", "7", "7 (x", "7 x) S", "7 (x)"] {
            assert_eq!(parse_stat(bad), None, "{bad:?}");
        }
    }
}
