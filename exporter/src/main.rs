//! `mect-exporter`: reads the command line and the environment, and hands over to the library.

use std::io::Write;
use std::process::ExitCode;

use mect_exporter::cli::{self, Arguments, Command};
use mect_exporter::config::{Config, ConfigError, Sources};
use mect_exporter::root::Root;
use mect_exporter::{VERSION, healthcheck, log, run};

/// Cannot listen, or cannot start at all.
const FAILED: u8 = 1;
/// A setting is wrong; starting again will not help.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            log::line(format_args!("{error}. See mect-exporter --help"));
            return ExitCode::from(MISCONFIGURED);
        }
    };
    match arguments.command {
        Command::Help => print(cli::HELP),
        Command::Version => print(&format!("mect-exporter {VERSION}\n")),
        Command::Check => match load(&arguments) {
            Ok(config) => check(config, arguments),
            Err(error) => misconfigured(&error),
        },
        Command::CheckConfig => match load(&arguments) {
            Ok(config) => print(&summary(&config)),
            Err(error) => misconfigured(&error),
        },
        Command::Healthcheck => match load(&arguments) {
            Ok(config) => asked(healthcheck::ask(config.listen, config.tls.is_some())),
            Err(error) => misconfigured(&error),
        },
        Command::Run => match load(&arguments) {
            Ok(config) => serve(config, arguments),
            Err(error) => misconfigured(&error),
        },
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn load(arguments: &Arguments) -> Result<Config, ConfigError> {
    Config::load(&Sources {
        file: arguments.config.as_deref(),
        listen: arguments.listen.as_deref(),
        environment: &environment,
    })
}

fn check(config: Config, arguments: Arguments) -> ExitCode {
    let bus_address = environment("DBUS_SYSTEM_BUS_ADDRESS");
    match run::check(config, Root::new(arguments.root), bus_address.as_deref()) {
        Ok(report) => {
            print(&report.text);
            if report.is_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(error) => {
            log::line(error);
            ExitCode::from(FAILED)
        }
    }
}

fn asked(answer: std::io::Result<()>) -> ExitCode {
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(format_args!("no exporter answers: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn serve(config: Config, arguments: Arguments) -> ExitCode {
    let bus_address = environment("DBUS_SYSTEM_BUS_ADDRESS");
    match run::run(config, Root::new(arguments.root), bus_address.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(error);
            ExitCode::from(FAILED)
        }
    }
}

fn misconfigured(error: &ConfigError) -> ExitCode {
    log::line(error);
    ExitCode::from(MISCONFIGURED)
}

fn summary(config: &Config) -> String {
    let or = |value: Option<String>, default: &str| value.unwrap_or_else(|| default.to_owned());
    format!(
        "configuration is fine\n  listen    {} (from {})\n  token     {}\n  tls       {}\n  allow     {}\n  services  {}{}\n  uplink    {}, {}\n",
        config.listen,
        config.listen_origin,
        if config.token.is_some() { "required" } else { "none" },
        match &config.tls {
            None => "off",
            Some(tls) if tls.client_ca.is_some() => "on, with certificates of clients",
            Some(_) => "on",
        },
        if config.allow.is_empty() {
            "every address".to_owned()
        } else {
            config.allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        },
        [config.services.names(), config.services.patterns()].concat().join(", "),
        if config.services.is_built_in() { " (built in)" } else { "" },
        or(config.uplink.device.clone(), "device of the default route"),
        or(config.uplink.capacity_mbit.map(|mbit| format!("{mbit} Mbit/s")), "capacity of the link"),
    )
}

/// A closed standard output is not worth a panic.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
