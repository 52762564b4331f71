//! Log lines on standard error, where systemd's journal picks them up.
//!
//! A logging framework would double the number of crates for the dozen lines that this program writes.

use std::fmt::Display;
use std::io::Write;

/// Writes one line: line breaks and other control characters become spaces, so that text from outside
/// cannot look like another line. A closed standard error is ignored: losing a log line must not stop
/// the exporter, which is what `eprintln!` would do.
pub fn line(message: impl Display) {
    let line = format!("mect-exporter: {message}").replace(char::is_control, " ");
    let _ = writeln!(std::io::stderr(), "{line}");
}
