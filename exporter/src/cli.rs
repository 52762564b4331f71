//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;

/// What `--help` prints.
pub const HELP: &str = "\
Prometheus exporter for hosts that run WireGuard, OpenVPN, Squid or Xray.

Usage: mect-exporter [OPTIONS] [check|check-config|healthcheck]

Commands:
  check             Say what each sampler sees here, what it lacks and how to mend that, and exit; status 1 when
                    a sampler fails. Run it as the exporter runs, or with sudo
  check-config      Check all settings, say what they come to, and exit
  healthcheck       Ask the exporter that runs here whether it lives, and exit; status 1 when it does not answer

Options:
  --config FILE     Read settings from FILE (default: /etc/mect/exporter.toml, which may be missing)
  --listen ADDR     Listen on ADDR, e.g. 127.0.0.1:9776 (the default) or [::]:9776
  --root DIR        Find proc, sys and etc below DIR (default: /)
  -h, --help        Print this help
  -V, --version     Print the version

Environment:
  AGENT_API_KEY            Token that a scraper must present
  AGENT_API_KEY_FILE       File that holds the token
  MECT_EXPORTER_LISTEN     As --listen, which wins
  DBUS_SYSTEM_BUS_ADDRESS  Where to ask systemd (default: unix:path=/run/dbus/system_bus_socket)

Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot listen, 2 when a setting is wrong.
";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Serve metrics.
    Run,
    /// Say what each sampler sees.
    Check,
    /// Check the settings only.
    CheckConfig,
    /// Ask a running exporter whether it lives.
    Healthcheck,
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What to do.
    pub command: Command,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--root`.
    pub root: PathBuf,
}

/// Parses the arguments, the first being the program's name.
///
/// # Errors
/// An option is unknown, or its value is missing or not text.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut parsed = Arguments { command: Command::Run, config: None, listen: None, root: PathBuf::from("/") };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("config") => parsed.config = Some(parser.value()?.into()),
            Long("listen") => parsed.listen = Some(parser.value()?.string()?),
            Long("root") => parsed.root = parser.value()?.into(),
            Long("help") | Short('h') => parsed.command = Command::Help,
            Long("version") | Short('V') => parsed.command = Command::Version,
            Value(value) if value == "check-config" && parsed.command == Command::Run => {
                parsed.command = Command::CheckConfig;
            }
            Value(value) if value == "check" && parsed.command == Command::Run => parsed.command = Command::Check,
            Value(value) if value == "healthcheck" && parsed.command == Command::Run => {
                parsed.command = Command::Healthcheck;
            }
            other => return Err(other.unexpected()),
        }
        // They answer at once, whatever else is there.
        if matches!(parsed.command, Command::Help | Command::Version) {
            break;
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments, String> {
        let all = std::iter::once("mect-exporter").chain(arguments.iter().copied()).map(OsString::from);
        parse(all).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_understood() {
        let arguments = parsed(&["--config=/c", "check-config", "--listen", "[::1]:1", "--root", "/h"]).unwrap();
        assert_eq!(arguments.command, Command::CheckConfig);
        assert_eq!(arguments.config.unwrap(), PathBuf::from("/c"));
        assert_eq!(arguments.listen.unwrap(), "[::1]:1");
        assert_eq!(arguments.root, PathBuf::from("/h"));
        assert_eq!(parsed(&["check"]).unwrap().command, Command::Check);
        assert_eq!(parsed(&["-V", "--nonsense"]).unwrap().command, Command::Version);
        assert_eq!(parsed(&[]).unwrap().root, PathBuf::from("/"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [&["--lisen", "x"][..], &["--listen"], &["serve"], &["check-config", "again"], &["-x"]] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }
}
