//! The command line of the collector: parses it, starts the runtime, maps errors to exit codes.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mect_collector::config::{Config, ConfigError, Variables};
use mect_collector::discovery::Endpoint;
use mect_collector::parse::Format;
use mect_collector::run::by_hand;
use mect_collector::{backup, doctor, export_targets, healthcheck, logging, migrate, run, shell, simulate};
use mect_fleet::{Role, ScrapeTarget};
use mect_web::Secret;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Ask the collector that runs here whether it lives; exit status 1 when it does not answer.
    Healthcheck(ConfigPath),
    /// Look at configuration, store, clock, limits and targets, and say what is wrong; exit status 1 when something is.
    Doctor(Doctor),
    /// Write the embedded store to one file, also while the collector runs.
    Backup(Backup),
    /// Make the data directory, which must be empty, from a backup.
    Restore(Restore),
    /// Move the fleet from the embedded store to MongoDB, or back.
    Migrate(Migrate),
    /// Add, list, lock and unlock users, and reset passwords, for who is locked out of the pages.
    User(UserCommand),
    /// Look at the audit.
    Audit(AuditCommand),
    /// Write the targets of the running collector as a file for Prometheus' file_sd_configs.
    ExportTargets(ExportTargets),
    /// Read a page from a file and print its samples as JSON, one a line; exit status 1 and the place of the first fault
    /// when it breaks a rule of its format.
    Parse(Parse),
    /// Scrape one target as the collector does, twice, and show what it says; exit status 1 when it fails.
    Scrape(Scrape),
    /// Serve many simulated exporters on 127.x.y.z, for demonstrations and load tests.
    Simulate(Simulate),
}

#[derive(Args)]
struct ConfigPath {
    /// Configuration file; without one the defaults hold.
    #[arg(long, short, env = "MECT_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Doctor {
    #[command(flatten)]
    config: ConfigPath,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Backup {
    #[command(flatten)]
    config: ConfigPath,
    /// Where to write it; in a directory it is named after the time.
    #[arg(value_name = "FILE|DIR")]
    to: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct Restore {
    #[command(flatten)]
    config: ConfigPath,
    /// The backup.
    #[arg(value_name = "FILE")]
    from: PathBuf,
}

#[derive(Args)]
struct Migrate {
    #[command(flatten)]
    config: ConfigPath,
    /// Where the fleet is.
    #[arg(long, value_enum)]
    from: StoreKind,
    /// Where it goes: an empty store, or one to which it was moved before.
    #[arg(long, value_enum)]
    to: StoreKind,
}

#[derive(Clone, Copy, ValueEnum)]
enum StoreKind {
    /// The data directory.
    Embedded,
    /// The database that MONGO_URL names.
    Mongo,
}

impl From<StoreKind> for migrate::Kind {
    fn from(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Embedded => Self::Embedded,
            StoreKind::Mongo => Self::Mongo,
        }
    }
}

#[derive(Args)]
struct UserCommand {
    #[command(flatten)]
    config: ConfigPath,
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Subcommand)]
enum UserAction {
    /// Add a user, who must change the password at the first sign-in.
    Add {
        username: String,
        /// readonly, admin or superadmin.
        #[arg(long, default_value_t = Role::Readonly)]
        role: Role,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Give a user another password, to be changed at the next sign-in. Ends every sign-in of the user.
    ResetPassword {
        username: String,
        /// Also remove the user's one-time codes.
        #[arg(long)]
        without_codes: bool,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Lock a user out. Ends every sign-in of the user.
    Disable { username: String },
    /// Let a user in again who was locked out.
    Enable { username: String },
    /// Show every user.
    List,
}

/// Where a password comes from; by default it is drawn and printed once. Never an argument: everybody on the machine
/// can see those.
#[derive(Args)]
struct PasswordSource {
    /// File that holds the password.
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,
    /// Read the password from the standard input.
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    fn read(&self) -> anyhow::Result<by_hand::Password> {
        by_hand::Password::read(self.password_file.as_deref(), self.password_stdin)
    }
}

#[derive(Args)]
struct AuditCommand {
    #[command(flatten)]
    config: ConfigPath,
    #[command(subcommand)]
    action: AuditAction,
}

#[derive(Subcommand)]
enum AuditAction {
    /// Walk the whole chain and name the first entry that was edited, removed or moved; exit status 1 when there is one.
    Verify,
}

#[derive(Args)]
struct ExportTargets {
    #[command(flatten)]
    config: ConfigPath,
    /// File that is replaced as a whole; without it the list is printed.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args)]
struct Parse {
    /// The page's format; without it a page whose last line is `# EOF` is OpenMetrics, any other one text.
    #[arg(long, value_name = "text|openmetrics")]
    format: Option<Format>,
    /// The page; `-` for the standard input.
    #[arg(value_name = "FILE|-")]
    page: PathBuf,
}

/// The key comes from a file or from AGENT_API_KEY, never from an argument: everybody on the machine can see those.
#[derive(Args)]
struct Scrape {
    /// `host:port`, or a URL with a path.
    #[arg(value_name = "URL")]
    url: Endpoint,
    /// Page of another exporter on the same host, read together with it: `:port`, `:port/path` or a URL. May be repeated.
    #[arg(long = "endpoint", value_name = "ADDRESS")]
    endpoints: Vec<String>,
    /// Seconds from connecting to the last byte.
    #[arg(long, default_value_t = 10.0, value_parser = seconds, value_name = "SECONDS")]
    timeout: f64,
    /// The page's format if it does not say so itself.
    #[arg(long, value_name = "text|openmetrics")]
    format: Option<Format>,
    /// File whose first line is the agent key; without it AGENT_API_KEY holds the key, if there is one.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// `[[access]]` of the configuration by which the target is reached, instead of the agent key.
    #[arg(long, value_name = "NAME", requires = "config")]
    access: Option<String>,
    #[command(flatten)]
    config: ConfigPath,
    /// Show the key although the connection is not encrypted; over loopback it is shown anyway.
    #[arg(long)]
    insecure_credentials: bool,
    /// Seconds from the first scrape to the second, which shows rates; 0 for one scrape.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, value_name = "SECONDS")]
    pause: f64,
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
    /// `demo`: some are slow, failing or flapping. `load`: all are healthy and cheap. `hostile`: one in ten is odd.
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
    Hostile,
}

fn main() -> ExitCode {
    // Only the first one counts, and nobody was before us.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let command = CommandLine::parse().command;
    let ended = match command {
        Command::Serve(path) => load(&path).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            run::serve(config)
        }),
        Command::CheckConfig(path) => load(&path).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            run::check(&config)
        }),
        Command::Healthcheck(path) => load(&path).and_then(|(config, _)| healthcheck::ask(&config.web)),
        Command::Doctor(options) => return examine(&options),
        Command::Backup(options) => load(&options.config).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            say(&backup::take(&config, &options.to, options.force)?)
        }),
        Command::Restore(options) => load(&options.config).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            say(&backup::restore(&config, &options.from)?)
        }),
        Command::Migrate(options) => load(&options.config).and_then(|(config, variables)| {
            logging::start(variables.get("MECT_LOG"))?;
            say(&migrate::migrate(&config, options.from.into(), options.to.into())?)
        }),
        Command::User(UserCommand { config, action }) => {
            load(&config).and_then(|(config, _)| user_command(&config, action))
        }
        Command::Audit(AuditCommand { config, action: AuditAction::Verify }) => {
            load(&config).and_then(|(config, _)| by_hand::verify_audit(&config))
        }
        Command::ExportTargets(options) => load(&options.config).and_then(|(config, _)| {
            let list = export_targets::export(&config, options.output.as_deref())?;
            list.map_or(Ok(()), |list| say(list.trim_end()))
        }),
        Command::Parse(Parse { format, page }) => shell::parse::print(&page, format, std::io::stdout().lock()),
        Command::Scrape(options) => scrape(options),
        Command::Simulate(options) => start_logging().and_then(|()| {
            run::simulate(
                simulate::Options {
                    servers: options.servers,
                    port: options.port,
                    samples: options.samples,
                    profile: match options.profile {
                        Profile::Demo => simulate::Profile::Demo,
                        Profile::Load => simulate::Profile::Load,
                        Profile::Hostile => simulate::Profile::Hostile,
                    },
                    seed: options.seed,
                },
                options.targets.as_deref(),
            )
        }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mect-collector: {error:#}");
            if error.is::<ConfigError>() { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

/// Whatever is wrong, the configuration included, is told as a finding.
fn examine(options: &Doctor) -> ExitCode {
    let told = doctor::examine(load(&options.config)).and_then(|report| {
        let text = if options.json { serde_json::to_string_pretty(&report)? } else { report.to_string() };
        say(text.trim_end())?;
        Ok(report.is_well())
    });
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mect-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line, or fails where nobody reads it.
fn say(text: &(impl fmt::Display + ?Sized)) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn user_command(config: &Config, action: UserAction) -> anyhow::Result<()> {
    match action {
        UserAction::Add { username, role, password } => by_hand::add(config, &username, role, password.read()?),
        UserAction::ResetPassword { username, without_codes, password } => {
            by_hand::reset_password(config, &username, password.read()?, without_codes)
        }
        UserAction::Disable { username } => by_hand::set_disabled(config, &username, true),
        UserAction::Enable { username } => by_hand::set_disabled(config, &username, false),
        UserAction::List => by_hand::list(config),
    }
}

/// Seconds of a day at most.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds, from 0 to 86400".to_owned())
}

fn scrape(options: Scrape) -> anyhow::Result<()> {
    let key = match &options.key_file {
        Some(file) => Some(shell::scrape::key(file)?),
        None => Variables::of_process()?.get("AGENT_API_KEY").map(Secret::new),
    };
    let accesses = match &options.access {
        Some(_) => load(&options.config)?.0.access,
        None => Vec::new(),
    };
    let (insecure_credentials, access) = (options.insecure_credentials, options.access);
    let target = ScrapeTarget { insecure_credentials, access, ..ScrapeTarget::at(options.url) };
    let options = shell::scrape::Options {
        target: target.with_endpoints(&options.endpoints)?,
        timeout: Duration::from_secs_f64(options.timeout),
        fallback: options.format,
        key,
        accesses,
        pause: (options.pause > 0.0).then(|| Duration::from_secs_f64(options.pause)),
    };
    shell::scrape::show(&options, std::io::stdout().lock(), std::io::stderr().lock())
}

fn start_logging() -> anyhow::Result<()> {
    Ok(logging::start(Variables::of_process()?.get("MECT_LOG"))?)
}

fn load(path: &ConfigPath) -> anyhow::Result<(Config, Variables)> {
    let variables = Variables::of_process()?;
    let config = Config::load(path.config.as_deref(), &variables)?;
    Ok((config, variables))
}
