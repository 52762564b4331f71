//! What numbers and texts of the configuration are allowed.

use std::path::Path;

use super::{Config, ConfigError, Series, diagnose};

/// Shortest interval and timeout: below, scraping is a load test.
const MIN_INTERVAL_SECONDS: f64 = 0.1;
/// Longest interval: beyond an hour a heartbeat says little.
const MAX_INTERVAL_SECONDS: f64 = 3600.0;
/// Below, a lease runs out by an election in the store; above, a dead collector is missed for too long.
const LEASE_SECONDS: std::ops::RangeInclusive<f64> = 3.0..=300.0;
/// More connections, scrapes or samples than one machine handles: a slip of the finger.
pub(super) const MAX_COUNT: usize = 1_000_000;
/// A page of this size is none.
const MAX_PAGE_BYTES: usize = 1 << 30;
/// A year: a token that lives longer is a password.
const MAX_TOKEN_HOURS: usize = 8760;
/// A day.
const MAX_ACCESS_MINUTES: usize = 1440;
/// A year.
const MAX_REFRESH_DAYS: usize = 365;
/// A TiB.
const MAX_MIB: usize = 1 << 20;
/// Ten years.
const MAX_RETENTION_DAYS: usize = 3660;
/// Each is asked when a witness is wanted.
const MAX_CANARIES: usize = 8;
/// At two minutes each, more than a day of checks before a flip.
const MAX_CHECKS: usize = 1000;

impl Config {
    /// Refuses the first value that is not allowed.
    pub(super) fn check(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let refuse = |key: &str, allowed: String| Err(diagnose::refuse(path, text, key, &allowed));
        let scrape = &self.scrape;
        let seconds = MIN_INTERVAL_SECONDS..=MAX_INTERVAL_SECONDS;
        if !seconds.contains(&scrape.interval_seconds) {
            return refuse("scrape.interval_seconds", format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}"));
        }
        if scrape.timeout_seconds.is_some_and(|s| !(MIN_INTERVAL_SECONDS..=scrape.interval_seconds).contains(&s)) {
            let allowed = format!("{MIN_INTERVAL_SECONDS} to the interval, {}", scrape.interval_seconds);
            return refuse("scrape.timeout_seconds", allowed);
        }
        if !seconds.contains(&scrape.recheck_seconds) {
            return refuse("scrape.recheck_seconds", format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}"));
        }
        for (key, value, most) in [
            ("scrape.max_in_flight", scrape.max_in_flight.unwrap_or(1), MAX_COUNT),
            ("scrape.max_wire_bytes", scrape.max_wire_bytes, MAX_PAGE_BYTES),
            ("scrape.max_page_bytes", scrape.max_page_bytes, MAX_PAGE_BYTES),
            ("scrape.max_samples", scrape.max_samples, MAX_COUNT),
            ("web.max_connections", self.web.max_connections, MAX_COUNT),
            ("web.max_connections_per_address", self.web.max_connections_per_address, MAX_COUNT),
            ("web.access_minutes", self.web.access_minutes as usize, MAX_ACCESS_MINUTES),
            ("web.refresh_days", self.web.refresh_days as usize, MAX_REFRESH_DAYS),
            ("web.token_hours", self.web.token_hours as usize, MAX_TOKEN_HOURS),
            ("store.cache_mib", self.store.cache_mib, MAX_MIB),
            ("store.spool_mib", self.store.spool_mib, MAX_MIB),
            ("store.retention_days", self.store.retention_days as usize, MAX_RETENTION_DAYS),
            ("federation.max_series", self.federation.max_series, MAX_COUNT),
            ("health.fall", self.health.fall as usize, MAX_CHECKS),
            ("health.rise", self.health.rise as usize, MAX_CHECKS),
        ] {
            if !(1..=most).contains(&value) {
                return refuse(key, format!("1 to {most}"));
            }
        }
        if self.web.tls_certificate.is_some() != self.web.tls_key.is_some() {
            let given = if self.web.tls_key.is_some() { "web.tls_key" } else { "web.tls_certificate" };
            return refuse(given, "only both of `tls_certificate` and `tls_key`, or none".into());
        }
        if !LEASE_SECONDS.contains(&self.collectors.lease_seconds) {
            let allowed = format!("{} to {}", LEASE_SECONDS.start(), LEASE_SECONDS.end());
            return refuse("collectors.lease_seconds", allowed);
        }
        if !seconds.contains(&self.web.legacy_push_silence_seconds) {
            let allowed = format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}");
            return refuse("web.legacy_push_silence_seconds", allowed);
        }
        if self.guard.canaries.len() > MAX_CANARIES {
            return refuse("guard.canaries", format!("up to {MAX_CANARIES} addresses"));
        }
        if let Some(canary) = self.guard.canaries.iter().find(|canary| canary.ip().is_loopback()) {
            return refuse("guard.canaries", format!("addresses outside of this machine, not {canary}"));
        }
        if let Err((key, allowed)) = self.federation.check() {
            return refuse(key, allowed.into());
        }
        if self.file_sd.iter().any(|file_sd| file_sd.files.is_empty()) {
            return refuse("file_sd.files", "one path or more".into());
        }
        if let Some(file_sd) = self.file_sd.iter().find(|file_sd| !seconds.contains(&file_sd.refresh_seconds)) {
            let allowed = format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}, not {}", file_sd.refresh_seconds);
            return refuse("file_sd.refresh_seconds", allowed);
        }
        for list in &self.http_sd {
            let refuse_value =
                |key, value: &str, problem: String| diagnose::refuse_value(path, text, key, value, &problem);
            if let Err(error) = list.endpoint() {
                return Err(refuse_value("http_sd.url", &list.url, format!("`{}`: {error}", list.url)));
            }
            if !seconds.contains(&list.refresh_seconds) {
                let allowed = format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}, not {}", list.refresh_seconds);
                return refuse("http_sd.refresh_seconds", allowed);
            }
            if let Some(name) = list.access.as_ref().filter(|name| !self.has_access(name)) {
                return Err(refuse_value("http_sd.access", name, format!("no [[access]] has the name `{name}`")));
            }
            if let Some(name) = list.target_access.iter().find(|name| !self.has_access(name)) {
                return Err(refuse_value(
                    "http_sd.target_access",
                    name,
                    format!("no [[access]] has the name `{name}`"),
                ));
            }
        }
        self.check_receivers(path, text)?;
        for (access, place) in self.access.iter().zip(0..) {
            if let Err((key, allowed)) = access.check() {
                return refuse(key, allowed.into());
            }
            if self.access.iter().take(place).any(|earlier| earlier.name == access.name) {
                return Err(diagnose::refuse_value(path, text, "access.name", &access.name, "given twice"));
            }
        }
        let policy = self.scrape.target_policy();
        for entry in &self.targets {
            if let Some(name) = entry.access.as_ref().filter(|name| !self.has_access(name)) {
                let problem = format!("no [[access]] has the name `{name}`");
                return Err(diagnose::refuse_value(path, text, "targets.access", name, &problem));
            }
            if let Err(problem) = entry.check(&policy) {
                return Err(diagnose::refuse_value(path, text, "targets.address", &entry.address, &problem));
            }
        }
        Ok(())
    }

    fn check_receivers(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        for (receiver, place) in self.remote_write.iter().zip(0..) {
            let refuse = |key, value: &str, problem: &str| diagnose::refuse_value(path, text, key, value, problem);
            receiver.check().map_err(|(key, value, problem)| refuse(key, value, &problem))?;
            if self.remote_write.iter().take(place).any(|earlier| earlier.name == receiver.name) {
                return Err(refuse("remote_write.name", &receiver.name, "given twice"));
            }
            if let Some(name) = receiver.access.as_ref().filter(|name| !self.has_access(name)) {
                return Err(refuse("remote_write.access", name, &format!("no [[access]] has the name `{name}`")));
            }
            if receiver.send == Series::All && !self.federation.raw {
                let problem = "`all` needs the pages of servers, which `federation.raw = false` does not keep";
                return Err(refuse("remote_write.send", "all", problem));
            }
        }
        Ok(())
    }

    /// True when an `[[access]]` has that name.
    pub(crate) fn has_access(&self, name: &str) -> bool {
        self.access.iter().any(|access| access.name == name)
    }
}
