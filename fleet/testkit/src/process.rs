//! A child process that never outlives the test, however the test ends.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running program. Killed when dropped, and also when the test's process is killed.
pub struct Process {
    child: Child,
    /// Waits for the end of its input, which comes with the end of this process, and kills the child then.
    guard: Child,
}

impl Process {
    /// Starts `command` without input.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Self::start_in(command, None)
    }

    /// Starts `command` without input. `directory` is its own: removed, and the one around it when it is empty, if the
    /// test's process ends without having dropped the handle, as happens to one in a `static`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_in(command: &mut Command, directory: Option<&Path>) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let mut guard = Command::new("sh");
        let last_rites = r#"read -r _; kill -9 "$0"; [ -z "$1" ] || { rm -rf "$1"; rmdir "${1%/*}"; }"#;
        guard.args(["-c", last_rites, &child.id().to_string()]).arg(directory.unwrap_or(Path::new("")));
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        match guard.spawn() {
            Ok(guard) => Ok(Self { child, guard }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        // The guard first: it must not kill whoever gets the number of a child that is gone. That one of them has
        // ended already is as good.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name, for example `STOP`.
    ///
    /// # Panics
    /// It cannot be sent.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([format!("-{name}"), id.clone()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {id}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
