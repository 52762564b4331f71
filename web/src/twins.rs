//! Servers that are one host: what is said of them.

use mect_fleet::{FleetView, ServerView};

/// Names of other servers that are told; the rest is counted.
const MAX_TOLD: usize = 3;

/// What is to be said of a server that is the same host as another one, for a person, without a full stop.
pub(crate) fn warning(view: &FleetView, server: &ServerView) -> Option<String> {
    let twins: Vec<_> = view.twins_of(server).collect();
    let told = twins.iter().take(MAX_TOLD).map(|twin| {
        let (hostname, ip) = (&twin.server.hostname, &twin.server.ip);
        if hostname == ip { ip.clone() } else { format!("{hostname} ({ip})") }
    });
    let mut told = told.collect::<Vec<_>>().join(", ");
    if twins.len() > MAX_TOLD {
        told.push_str(&format!(" and {} more", twins.len() - MAX_TOLD));
    }
    let why = "one host under two addresses, or a copied system that kept its /etc/machine-id";
    (!twins.is_empty()).then(|| format!("has the same identity as {told}: {why}"))
}
