//! OpenVPN: one instance, a server or a client.
//!
//! What it should do is read from its command line and configuration ([`settings`]), what it does from its
//! status file ([`status`]) or, where the operator says so, from its management ([`management`]), which
//! serves one client at a time and is therefore left to others by default.

pub mod management;
pub mod settings;
pub mod status;

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

use super::{Details, Instance, Reading};
use settings::Settings;
use status::Status;

/// A status file is stale when it was not written for this many of its intervals.
const STALE_INTERVALS: u64 = 3;

/// Never stale before this, in seconds: a busy host may write a little late.
const STALE_AT_LEAST: u64 = 10;

/// How often a file that ends early is read again: OpenVPN overwrites it in place.
const READS: u32 = 3;

/// Pause between these reads; writing takes far less.
const READ_PAUSE: Duration = Duration::from_millis(10);

/// What an instance says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenVpn {
    /// When the status was written, Unix time.
    pub written: u64,
    /// What it says.
    pub status: Status,
}

/// Reads the configuration and the status of `instance`.
pub async fn read(root: &Root, instance: &Instance, now: u64, budget: Duration) -> Reading {
    let mut reading = Reading::default();
    let settings = settings(root, instance, &mut reading);
    if !settings.is_client && !settings.is_guess {
        reading.ports.push(settings.port());
        reading.session_limit = Some(settings.max_clients);
    }
    let named = instance.device().map(str::to_owned).or_else(|| settings.named_device());
    if named.is_none() {
        reading.guessed_device = settings.only_device(root);
    }
    match named.or_else(|| reading.guessed_device.clone()) {
        Some(device) => reading.take_traffic(root, &device),
        None => reading.gaps.push("its tunnel device is not known: set `device`".to_owned()),
    }
    let mut found = None;
    if let Some(endpoint) = &instance.options.control {
        let password = instance.options.control_password_file.as_deref();
        match management::ask(root, endpoint, password, budget).await {
            Ok(status) => {
                reading.control = Some(true);
                found = Some(OpenVpn { written: status.time.unwrap_or(now), status });
            }
            Err(error) => {
                reading.control = (!error.is_permission()).then_some(false);
                reading.problem = Some(error);
            }
        }
    }
    if found.is_none() {
        let file = status_file(instance, &settings);
        match read_status(root, &file).await {
            Ok(read) => {
                let limit = (settings.status_seconds * STALE_INTERVALS).max(STALE_AT_LEAST);
                let age = now.saturating_sub(read.written);
                if age > limit {
                    reading.gaps.push(format!(
                        "{} is {age} s old, written every {} s",
                        file.display(),
                        settings.status_seconds
                    ));
                }
                reading.control.get_or_insert(age <= limit);
                found = Some(read);
            }
            // With the management's failure told, this one is its consequence at most.
            Err(error) => reading.problem = reading.problem.take().or(Some(error)),
        }
    }
    if let Some(found) = found {
        // A stale file says who was connected once.
        if reading.control == Some(true) && !found.status.is_client {
            reading.sessions = Some(found.status.sessions.len() as u64);
        }
        reading.details = Details::OpenVpn(found);
    }
    reading
}

fn settings(root: &Root, instance: &Instance, reading: &mut Reading) -> Settings {
    let directory = directory(&instance.unit);
    let mut settings = Settings::default();
    let arguments = instance.processes.iter().flatten().find(|process| process.is("openvpn*"));
    let mut files = settings.apply_arguments(arguments.map_or(&[], |process| process.arguments.as_slice()), directory);
    if let Some(file) = &instance.options.config {
        files = vec![file.clone()];
    }
    if files.is_empty() {
        files.push(directory.join(format!("{}.conf", instance.name)));
    }
    for file in files {
        match root.text(&file) {
            Ok(text) => settings.apply_file(&text, directory),
            Err(error) => {
                reading.gaps.push(format!("its port, device and limit are guessed: {error}"));
                settings.is_guess = true;
            }
        }
    }
    settings
}

/// Where the distributions' units run an instance.
fn directory(unit: &str) -> &'static Path {
    Path::new(match unit.split('@').next() {
        Some("openvpn-server") => "/etc/openvpn/server",
        Some("openvpn-client") => "/etc/openvpn/client",
        _ => "/etc/openvpn",
    })
}

fn status_file(instance: &Instance, settings: &Settings) -> PathBuf {
    let named = instance.options.status.clone().or_else(|| settings.status.clone());
    named.unwrap_or_else(|| match instance.unit.split('@').next() {
        Some("openvpn-server") => format!("/run/openvpn-server/status-{}.log", instance.name).into(),
        _ => format!("/run/openvpn/{}.status", instance.name).into(),
    })
}

async fn read_status(root: &Root, file: &Path) -> Result<OpenVpn, SampleError> {
    let mut read = 1;
    loop {
        let text = root.text(file)?;
        match status::parse(&text) {
            Ok(status) => {
                let written = status.time.unwrap_or_else(|| modified(&root.path(file)));
                return Ok(OpenVpn { written, status });
            }
            Err(status::StatusError::Unfinished) if read < READS => read += 1,
            Err(error) => return Err(SampleError::parse(file.display(), error)),
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
}

/// Version 1 gives the time as local text; when the file was written says the same.
fn modified(path: &Path) -> u64 {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

/// Writes the families of all instances.
pub fn render(instances: &[(&str, &OpenVpn)], page: &mut Page) {
    let mut family = page.family(
        "vpn_openvpn_status_timestamp_seconds",
        Kind::Gauge,
        "When the instance wrote its status, in Unix time.",
    );
    for (instance, found) in instances {
        family.sample(&[("instance", instance)], found.written);
    }
    let mut family = page.family("vpn_openvpn_routes", Kind::Gauge, "Entries of the instance's routing table.");
    for (instance, found) in instances.iter().filter(|(_, found)| !found.status.is_client) {
        family.sample(&[("instance", instance)], found.status.routes);
    }
}
