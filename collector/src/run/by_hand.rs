//! What an operator does to the store at the command line. The embedded store must not be in use; a database may.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use mect_fleet::Role;
use mect_fleet::store::{self, Store};
use mect_web::{Secret, by_hand};
use tokio::runtime;

use crate::config::Config;

/// More than any password.
const MAX_BYTES: u64 = 4096;

/// A password that was given, or none: then one is drawn.
pub struct Password(Option<Secret>);

impl Password {
    /// Reads the first line of the file, or of the standard input.
    ///
    /// # Errors
    /// It cannot be read, or is empty.
    pub fn read(file: Option<&Path>, stdin: bool) -> anyhow::Result<Self> {
        let mut text = String::new();
        match file {
            Some(path) => std::fs::File::open(path)
                .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
                .with_context(|| format!("{} cannot be read", path.display()))?,
            None if stdin => std::io::stdin()
                .take(MAX_BYTES)
                .read_to_string(&mut text)
                .context("the standard input cannot be read")?,
            None => return Ok(Self(None)),
        };
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            bail!("the first line, where the password should stand, is empty");
        }
        Ok(Self(Some(Secret::new(password))))
    }
}

/// Adds a user.
///
/// # Errors
/// The store cannot be opened, or the name or password breaks a rule.
pub fn add(config: &Config, username: &str, role: Role, password: Password) -> anyhow::Result<()> {
    with_store(config, async |store| {
        let drawn = by_hand::add(store, username, role, password.0).await?;
        say(&format!("added {username} as {role}"), drawn.as_ref())
    })
}

/// Gives a user another password.
///
/// # Errors
/// As [`add`].
pub fn reset_password(config: &Config, username: &str, password: Password, without_codes: bool) -> anyhow::Result<()> {
    with_store(config, async |store| {
        let drawn = by_hand::reset_password(store, username, password.0, without_codes).await?;
        say(&format!("{username} has another password"), drawn.as_ref())
    })
}

/// Locks a user out, or lets one in again.
///
/// # Errors
/// The store cannot be opened, there is no such user, or nobody could manage users any more.
pub fn set_disabled(config: &Config, username: &str, disabled: bool) -> anyhow::Result<()> {
    with_store(config, async |store| {
        by_hand::set_disabled(store, username, disabled).await?;
        say(&format!("{username} is {}", if disabled { "locked out" } else { "let in again" }), None)
    })
}

/// Prints every user.
///
/// # Errors
/// The store cannot be opened or read.
pub fn list(config: &Config) -> anyhow::Result<()> {
    with_store(config, async |store| {
        for user in store.accounts.users().await? {
            let disabled = if user.disabled { ", locked out" } else { "" };
            let codes = if user.asks_for_code() { ", one-time codes" } else { "" };
            // Escaped: names of an old system may hold anything.
            say(&format!("{}  {}{disabled}{codes}", user.username.escape_debug(), user.role), None)?;
        }
        Ok(())
    })
}

/// Walks the audit's chain.
///
/// # Errors
/// The store cannot be opened or read, or the chain is broken.
pub fn verify_audit(config: &Config) -> anyhow::Result<()> {
    with_store(config, async |store| {
        let ends = store::verify_audit(store.journal.as_ref()).await??;
        let count = ends.head.number - ends.floor.number;
        say(
            &format!("the audit is whole: {count} entries, the newest is {} {}", ends.head.number, ends.head.seal),
            None,
        )
    })
}

fn with_store(config: &Config, work: impl AsyncFnOnce(&Store) -> anyhow::Result<()>) -> anyhow::Result<()> {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        let store = super::store::open_alone(config).await?;
        work(&store).await
    })
}

fn say(what: &str, drawn: Option<&Secret>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    if let Some(drawn) = drawn {
        let drawn = drawn.expose();
        writeln!(out, "password: {drawn} (shown this once; to be changed at the next sign-in)")?;
    }
    Ok(out.flush()?)
}
