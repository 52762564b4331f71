//! A program under measurement: the kernel's own account of its processor time and memory.

use std::fs;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A program that is killed when it is dropped.
pub struct Running {
    child: Child,
    /// Its standard output, when it was asked for.
    pub output: Option<ChildStdout>,
}

/// What a program has used so far.
pub struct Usage {
    cpu: Duration,
    pub resident_kib: u64,
}

impl Running {
    /// Starts `command`; ends the bench with one line that says what to install when it is not there.
    pub fn start(install: &str, command: &mut Command) -> Self {
        let spawned = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}; install it: {install}"));
        let output = child.stdout.take();
        Self { child, output }
    }

    /// Processor time of all its threads, in the scheduler's nanoseconds, and resident memory.
    pub fn usage(&self) -> Usage {
        let process = format!("/proc/{}", self.child.id());
        let threads = fs::read_dir(format!("{process}/task")).unwrap();
        let nanos: u64 = threads
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Usage { cpu: Duration::from_nanos(nanos), resident_kib: resident.unwrap().parse().unwrap() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Usage {
    /// Processor time between two moments.
    pub fn cpu_between(before: &Self, after: &Self) -> Duration {
        after.cpu.saturating_sub(before.cpu)
    }
}
