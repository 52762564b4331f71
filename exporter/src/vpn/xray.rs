//! Xray and V2Ray, alone or below X-UI: the core process, its inbounds and its counters.
//!
//! X-UI is a panel that starts the core as a child: its unit stays active when the core has died, so that
//! only the core's process says whether anybody is served. Counters come from `/debug/vars` where the
//! configuration has `metrics`, else from the stats API over gRPC.

pub mod grpc;
pub mod settings;
pub mod stats;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Endpoint;
use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

use super::process::Process;
use super::{Details, Instance, Reading, Traffic, ask};
use settings::Settings;
use stats::Stats;

/// The core's program, whoever starts it.
const CORES: [&str; 2] = ["xray*", "v2ray*"];

/// Where the distributions and X-UI keep the core's configuration.
const CONFIGS: [&str; 5] = [
    "/usr/local/x-ui/bin/config.json",
    "/usr/local/etc/xray/config.json",
    "/etc/xray/config.json",
    "/usr/local/etc/v2ray/config.json",
    "/etc/v2ray/config.json",
];

/// What the core says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xray {
    /// Users that it counts.
    pub users: u64,
}

/// Looks for the core of `instance`, reads its configuration and asks for its counters.
pub async fn read(root: &Root, instance: &Instance, budget: Duration) -> Reading {
    let mut reading = Reading::default();
    let core = core(instance);
    reading.process = instance.processes.as_ref().map(|_| core.is_some());
    if reading.process == Some(false) {
        let wanted = instance.options.process.clone().unwrap_or_else(|| CORES.join(" or "));
        reading.gaps.push(format!("its unit runs no process {wanted}"));
    }
    let settings = match read_settings(root, instance, core) {
        Ok(settings) => settings,
        Err(error) => {
            reading.gaps.push(format!("its inbounds are not known: {error}"));
            Settings::default()
        }
    };
    reading.ports.clone_from(&settings.ports);
    reading.counts_connections = true;

    let vars = instance.options.control.clone().or(settings.metrics.map(Endpoint::Tcp));
    let api = instance.options.stats_api.clone().or(settings.api.map(Endpoint::Tcp));
    let stats = match (vars, api) {
        _ if reading.process == Some(false) => return reading,
        (Some(endpoint), _) => ask::http_get(&endpoint, "/debug/vars", budget)
            .await
            .and_then(|text| stats::parse_vars(&text).map_err(|reason| SampleError::parse(&endpoint, reason))),
        (None, Some(endpoint)) => grpc::query_stats(&endpoint, budget).await,
        (None, None) => {
            reading.gaps.push("it has neither `metrics` nor a stats API".to_owned());
            return reading;
        }
    };
    match stats {
        Ok(stats) => take(&mut reading, &stats, settings.api_tag.as_deref()),
        Err(error) => {
            reading.control = (!error.is_permission()).then_some(false);
            reading.problem = Some(error);
        }
    }
    reading
}

fn take(reading: &mut Reading, stats: &Stats, api_tag: Option<&str>) {
    reading.control = Some(true);
    // Without `policy.system.statsInboundUplink` the core counts nothing.
    let inbounds: Vec<_> = stats.inbounds.iter().filter(|(tag, _)| api_tag != Some(tag.as_str())).collect();
    if inbounds.is_empty() {
        reading.gaps.push(
            "it counts no traffic of its inbounds yet: set policy.system.statsInboundUplink and …Downlink".to_owned(),
        );
    } else {
        let sum = |direction: fn(&stats::Bytes) -> u64| {
            inbounds.iter().map(|(_, bytes)| direction(bytes)).fold(0, u64::saturating_add)
        };
        reading.traffic =
            Some(Traffic { receive_bytes: sum(|bytes| bytes.uplink), transmit_bytes: sum(|bytes| bytes.downlink) });
    }
    if !stats.users.is_empty() {
        reading.users = Some(stats.users.iter().map(|(name, bytes)| (name.clone(), bytes.total())).collect());
    }
    reading.details = Details::Xray(Xray { users: stats.users.len() as u64 });
}

fn core(instance: &Instance) -> Option<&Process> {
    let wanted: Vec<&str> = instance.options.process.as_deref().map_or(CORES.to_vec(), |pattern| vec![pattern]);
    instance.processes.iter().flatten().find(|process| wanted.iter().any(|pattern| process.is(pattern)))
}

fn read_settings(root: &Root, instance: &Instance, core: Option<&Process>) -> Result<Settings, SampleError> {
    let mut candidates: Vec<PathBuf> = instance.options.config.iter().cloned().collect();
    if candidates.is_empty() {
        let by_argument = core.and_then(|core| settings::config_argument(&core.arguments));
        // A relative one belongs to a directory that only root can ask for; the usual places are tried.
        candidates.extend(by_argument.map(PathBuf::from).filter(|path| path.is_absolute()));
    }
    if candidates.is_empty() {
        candidates.extend(CONFIGS.map(PathBuf::from));
        candidates.retain(|path| root.exists(path));
    }
    let Some(file) = candidates.first() else {
        return Err(SampleError::parse("its configuration", "none of the usual files is there: set `config`"));
    };
    settings::parse(&root.text(file)?).map_err(|reason| SampleError::parse(file.display(), reason))
}

/// Writes the families of all instances.
pub fn render(instances: &[(&str, &Xray)], page: &mut Page) {
    let mut family = page.family("vpn_xray_users", Kind::Gauge, "Users that the core has counted traffic of.");
    for (instance, found) in instances {
        family.sample(&[("instance", instance)], found.users);
    }
}
