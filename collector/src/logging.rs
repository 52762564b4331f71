//! Logs: to standard error, one line each, without colours where nobody looks.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;

/// What is logged when `MECT_LOG` says nothing.
const DEFAULT_FILTER: &str = "info";

/// Starts logging with a filter such as `info` or `mect_collector=debug`.
///
/// # Errors
/// The filter cannot be understood.
pub fn start(filter: Option<&str>) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER)).map_err(|error| {
        ConfigError::at("environment: MECT_LOG", format!("{error}; give for example info or debug"))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}
