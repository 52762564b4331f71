//! `GET /api/v1/sd/prometheus`: the targets as Prometheus' HTTP service discovery wants them (`http_sd_configs`), for a
//! Prometheus that scrapes the exporters itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use mect_fleet::collecting::{ActiveTarget, TargetsSnapshot};
use mect_fleet::instance::{self, address};
use mect_fleet::shard::stable_hash;
use mect_fleet::{FleetView, ServerId, ServerView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::Shared;
use crate::error::Error;
use crate::rest::params::Params;

/// More Prometheus servers than share one fleet.
const MAX_SHARDS: usize = 1024;

/// Which part of the targets is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct ShardParams {
    /// Into so many parts the fleet is divided, by server; with `shard`.
    #[param(required = false, minimum = 1, maximum = 1024)]
    shards: usize,
    /// This part of them, from 0.
    #[param(required = false, minimum = 0)]
    shard: usize,
}

/// Part of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    shards: usize,
    shard: usize,
}

impl Part {
    /// All of it.
    const WHOLE: Self = Self { shards: 1, shard: 0 };

    fn take(params: &mut Params) -> Result<Self, Error> {
        let shards = params.take_count("shards", MAX_SHARDS)?;
        let most = shards.unwrap_or(MAX_SHARDS) - 1;
        let shard = params.take_as("shard", format_args!("a whole number from 0 to {most}"), |text| {
            text.parse().ok().filter(|shard| *shard <= most)
        })?;
        match (shards, shard) {
            (None, None) => Ok(Self::WHOLE),
            (Some(shards), Some(shard)) => Ok(Self { shards, shard }),
            _ => Err(Error::Invalid("shards and shard: give both or none".to_owned())),
        }
    }

    /// Always the same for a server: one that comes or goes moves no other.
    fn holds(self, server: ServerId) -> bool {
        stable_hash(&server.key()) % self.shards as u64 == self.shard as u64
    }
}

/// One target and what is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TargetGroup)]
pub(crate) struct Group {
    /// `host:port`, always one.
    targets: [String; 1],
    /// `__scheme__`, `__metrics_path__` and `__meta_vpn_*`; relabelling keeps what it names. Also `instance`, where an
    /// earlier target of the server is at the same host and port.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Cow<'static, str>, String>,
}

/// Targets for Prometheus' HTTP service discovery.
#[utoipa::path(
    get, path = "/api/v1/sd/prometheus", tag = "machinery", operation_id = "discover_targets", params(ShardParams),
    responses(
        (status = 200, description = "Every target that is scraped; servers that agents report have none", body = [Group]),
        (status = 400, description = "A parameter is unknown, wrong, or given without the other"),
    )
)]
pub(crate) async fn prometheus(State(app): State<Shared>, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri)?;
    let part = Part::take(&mut params).and_then(|part| params.finish().map(|()| part)).map_err(malformed)?;
    let (view, targets) = (app.fleet.view(), app.collecting.targets.clone());
    let made = tokio::task::spawn_blocking(move || {
        let targets = targets.map(|targets| targets.snapshot()).unwrap_or_default();
        serde_json::to_vec(&groups(&view, &targets, part))
    });
    let json = made.await.map_err(|error| Error::Internal(Box::new(error)))?;
    let json = json.map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// A question that is wrong is none: whoever asks must not take the answer for a part of the fleet.
fn malformed(error: Error) -> Error {
    match error {
        Error::Invalid(detail) => Error::Malformed(detail),
        error => error,
    }
}

/// The whole answer as a file for Prometheus' `file_sd_configs`.
pub fn target_file(view: &FleetView, targets: &TargetsSnapshot) -> String {
    // Texts are always JSON.
    let json = serde_json::to_string_pretty(&groups(view, targets, Part::WHOLE)).unwrap_or_default();
    json + "\n"
}

fn groups(view: &FleetView, targets: &TargetsSnapshot, part: Part) -> Vec<Group> {
    let mut found: Vec<_> = targets.active.iter().filter(|target| part.holds(target.server)).collect();
    found.sort_unstable_by_key(|target| target.server);
    let groups = |target: &&ActiveTarget| {
        let view = view.by_id(target.server)?;
        let group = |(place, url): (usize, &str)| {
            let (address, instance) = (address(url), instance::of(url, target.urls().take(place)));
            let mut labels = labels(view, url);
            if instance != address {
                labels.insert("instance".into(), instance.to_owned());
            }
            Group { targets: [address.to_owned()], labels }
        };
        Some(target.urls().enumerate().map(group).collect::<Vec<_>>())
    };
    found.iter().filter_map(groups).flatten().collect()
}

fn labels(view: &ServerView, url: &str) -> BTreeMap<Cow<'static, str>, String> {
    let server = &view.server;
    let scheme = if url.starts_with("https://") { "https" } else { "http" };
    let (path, parameters) = path_and_parameters(url);
    let tags: String = server.tags.iter().map(|tag| format!("{tag},")).collect();
    let mut labels = BTreeMap::from([
        ("__scheme__", scheme.to_owned()),
        ("__metrics_path__", path),
        ("__meta_vpn_server_id", server.id.to_string()),
        ("__meta_vpn_hostname", server.hostname.clone()),
        ("__meta_vpn_ip", server.ip.clone()),
        ("__meta_vpn_country_code", server.place.country_code.clone()),
        ("__meta_vpn_country", server.place.country.clone()),
        ("__meta_vpn_region", server.place.region.clone()),
        ("__meta_vpn_city", server.place.city.clone()),
        ("__meta_vpn_state", view.health().name().to_owned()),
    ]);
    if !tags.is_empty() {
        // Between separators, so that a rule can look for `.*,word,.*`, as in Prometheus' other discoveries.
        labels.insert("__meta_vpn_tags", format!(",{tags}"));
    }
    let flags = [
        ("__meta_vpn_gaming", server.gaming),
        ("__meta_vpn_streaming", server.streaming),
        ("__meta_vpn_paid", server.paid),
        ("__meta_vpn_static", server.is_static),
        ("__meta_vpn_enabled", server.enabled),
        ("__meta_vpn_draining", view.draining),
        ("__meta_vpn_maintenance", view.in_maintenance),
    ];
    labels.extend(flags.map(|(name, holds)| (name, holds.to_string())));
    let named = labels.into_iter().map(|(name, value)| (Cow::Borrowed(name), value));
    let parameters = parameters.into_iter().map(|(name, value)| (Cow::Owned(format!("__param_{name}")), value));
    named.chain(parameters).collect()
}

/// Path and query of a URL as Prometheus expects them: apart, because it would escape the question mark.
fn path_and_parameters(url: &str) -> (String, Vec<(String, String)>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs: Vec<(String, String)> = format!("/?{query}")
        .parse()
        .ok()
        .map_or_else(Vec::new, |uri: Uri| Query::try_from_uri(&uri).map_or_else(|_| Vec::new(), |Query(pairs)| pairs));
    // A label of another name would make Prometheus refuse the whole answer.
    let is_label = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (path.to_owned(), pairs.into_iter().filter(|(name, _)| is_label(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_parameters() {
        assert_eq!(path_and_parameters("http://[2001:db8::1]:9776/metrics"), ("/metrics".to_owned(), vec![]));
        let (path, parameters) = path_and_parameters("https://a:1/probe?target=b%3A1&collect[]=cpu");
        assert_eq!((path.as_str(), parameters), ("/probe", vec![("target".to_owned(), "b:1".to_owned())]));
    }

    #[test]
    fn every_server_is_in_one_part_and_stays_there() {
        let servers: Vec<ServerId> = (0..200).map(|n| format!("srv-{n:08}").parse().unwrap()).collect();
        let holders =
            |server: &ServerId| (0..3).filter(|shard| Part { shards: 3, shard: *shard }.holds(*server)).count();
        assert!(servers.iter().all(|server| holders(server) == 1));
        let first = servers.iter().filter(|server| Part { shards: 3, shard: 0 }.holds(**server)).count();
        assert!((40..100).contains(&first), "{first} of 200");
        assert!(servers.iter().all(|server| Part::WHOLE.holds(*server)));
    }

    #[test]
    fn a_part_is_given_whole_or_not_at_all() {
        let part = |query: &str| Part::take(&mut Params::of(&format!("/x?{query}").parse().unwrap()).unwrap());
        assert_eq!(part("").unwrap(), Part::WHOLE);
        assert_eq!(part("shards=3&shard=2").unwrap(), Part { shards: 3, shard: 2 });
        for (query, says) in [
            ("shards=3", "shards and shard: give both or none"),
            ("shard=0", "shards and shard: give both or none"),
            ("shards=3&shard=3", "shard: `3` is not allowed; give a whole number from 0 to 2"),
            ("shards=0&shard=0", "shards: `0` is not allowed; give a whole number from 1 to 1024"),
        ] {
            assert_eq!(part(query).unwrap_err().to_string(), says);
        }
    }
}
