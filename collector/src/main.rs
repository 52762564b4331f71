//! The command line of the collector: parses it, starts the runtime, maps errors to exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mect_collector::config::{Config, ConfigError, Variables};
use mect_collector::{logging, run, simulate};

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
    /// Serve many simulated exporters on 127.x.y.z, for demonstrations and load tests.
    Simulate(Simulate),
}

#[derive(Args)]
struct ConfigPath {
    /// Configuration file; without one the defaults hold.
    #[arg(long, short, env = "MECT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Simulate {
    /// Number of simulated servers.
    #[arg(long, default_value_t = 200)]
    servers: u32,
    /// Port on which all of them listen, each at its own loopback address.
    #[arg(long, default_value_t = 19776)]
    port: u16,
    /// Samples on each page, about.
    #[arg(long)]
    samples: Option<usize>,
    /// `demo`: some are slow, failing or flapping. `load`: all are healthy and cheap.
    #[arg(long, value_enum, default_value_t = Profile::Demo)]
    profile: Profile,
    /// Makes another fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the target file, in `file_sd` format.
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    Demo,
    Load,
}

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let ended = match command {
        Command::Serve(path) => load(&path).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            run::serve(config)
        }),
        Command::CheckConfig(path) => load(&path).and_then(|(config, _)| run::check(&config)),
        Command::Simulate(options) => run::simulate(
            simulate::Options {
                servers: options.servers,
                port: options.port,
                samples: options.samples,
                profile: match options.profile {
                    Profile::Demo => simulate::Profile::Demo,
                    Profile::Load => simulate::Profile::Load,
                },
                seed: options.seed,
            },
            options.targets.as_deref(),
        ),
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
