//! The command line of the collector: parses it, starts the runtime, maps errors to exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mect_collector::config::{Config, ConfigError, Variables};
use mect_collector::{logging, run};

/// Exit code of a configuration that cannot be used.
const BAD_CONFIG: u8 = 2;

/// Scrapes a fleet of VPN hosts, judges their health and serves it.
#[derive(Parser)]
#[command(name = "mect-collector", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Scrape, record and serve until stopped.
    Serve(ConfigPath),
    /// Read the configuration and the target files, say what is wrong, start nothing.
    CheckConfig(ConfigPath),
}

#[derive(Args)]
struct ConfigPath {
    /// Configuration file; without one the defaults hold.
    #[arg(long, short, env = "MECT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let ended = match command {
        Command::Serve(path) => load(&path).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            run::serve(config)
        }),
        Command::CheckConfig(path) => load(&path).and_then(|(config, _)| run::check(&config)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mect-collector: {error:#}");
            if error.is::<ConfigError>() { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn load(path: &ConfigPath) -> anyhow::Result<(Config, Variables)> {
    let variables = Variables::of_process()?;
    let config = Config::load(path.config.as_deref(), &variables)?;
    Ok((config, variables))
}
