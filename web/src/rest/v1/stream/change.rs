//! Two views told apart, as events.

use std::sync::Arc;

use mect_fleet::{FleetView, Health, ServerView, Timestamp, Transition};
use serde::Serialize;

use super::ring::{Draft, MAX_EVENTS};
use crate::rest::v1::events::EventView;
use crate::rest::v1::servers::shape::ServerView1;

/// Data of `removed`.
#[derive(Serialize)]
struct Removed<'a> {
    id: String,
    ip: &'a str,
}

/// Data of `view`.
#[derive(Serialize)]
struct View {
    version: u64,
    published_at: String,
    servers: usize,
    store_lost_since: Option<String>,
}

/// What leads from `old` to `new`: servers first, then `view`. Stops when it is too much to be told.
pub(super) fn between(old: &FleetView, new: &FleetView, store_lost_since: Option<Timestamp>) -> Draft {
    let mut draft = Draft::default();
    let mut known = 0;
    for (place, server) in new.servers().iter().enumerate() {
        if draft.len() > MAX_EVENTS {
            return draft;
        }
        // Nearly always the server has the place that it had, and is the very same.
        let same_place = old.servers().get(place).filter(|before| before.server.id == server.server.id);
        let before = same_place.or_else(|| old.by_id(server.server.id));
        known += usize::from(before.is_some());
        if before.is_none_or(|before| !Arc::ptr_eq(before, server) && before != server) {
            draft.put("server", json(&ServerView1::of(server)));
            if let Some(flip) = before.and_then(|before| flip(before, server)) {
                draft.put("event", json(&EventView::from(&flip)));
            }
        }
    }
    if known < old.servers().len() {
        for gone in old.servers().iter().filter(|server| new.by_id(server.server.id).is_none()) {
            draft.put("removed", json(&Removed { id: gone.server.id.to_string(), ip: &gone.server.ip }));
        }
    }
    draft.put("view", view(new, store_lost_since));
    draft
}

/// Data of the event `view`.
pub(super) fn view(view: &FleetView, store_lost_since: Option<Timestamp>) -> Vec<u8> {
    json(&View {
        version: view.version(),
        published_at: view.published_at().to_string(),
        servers: view.servers().len(),
        store_lost_since: store_lost_since.map(|since| since.to_string()),
    })
}

/// The latest flip of a server's health between two views. Of several, which only a halt of a second or more can bring
/// into one view, the last one counts.
fn flip(old: &ServerView, new: &ServerView) -> Option<Transition> {
    let (before, after) = (&old.standing.state, &new.standing.state);
    let at = after.since.filter(|_| after.transitions > before.transitions)?;
    let is_down = after.health == Health::Down;
    Some(Transition {
        server: new.server.id,
        number: after.transitions,
        at,
        from: before.health,
        to: after.health,
        reason: after.last_failure.filter(|_| is_down),
        checks: if is_down { after.failures } else { after.successes },
    })
}

/// Our shapes are texts and numbers, which are always JSON.
fn json(data: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(data).unwrap_or_default()
}
