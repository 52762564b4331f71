//! What goes into the audit: changes with what was before and after, sign-ins, and what was refused.
//!
//! A change is written before its answer is sent. What strangers can cause in any number, failed sign-ins and refusals,
//! is written beside the request and at a bounded rate: what is left out is counted and told by the next entry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mect_fleet::store::{AuditEntry, Event, EventKind, Journal};
use mect_fleet::{Server, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::ClientAddress;
use crate::patience;

/// A sign-in that worked. The collector finds known addresses by it.
pub const LOGIN_OK: &str = "login.ok";
/// A password or one-time code that was wrong.
pub(crate) const LOGIN_FAILED: &str = "login.failed";
/// A request that its sender may not make.
pub(crate) const REFUSED: &str = "access.refused";

/// Entries that wait to be written.
const QUEUE: usize = 256;
/// Entries written beside requests per [`WINDOW`]: with 300 bytes each, 500 MB a day at most.
const PER_WINDOW: u32 = 200;
const WINDOW: Duration = Duration::from_secs(10);
/// Characters kept of a text that a stranger chose.
const MAX_CHARACTERS: usize = 200;

/// A change that a handler made, put into its response; [`crate::access::guard`] writes it down with who made it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    action: &'static str,
    subject: String,
    detail: String,
    before: Option<Value>,
    after: Option<Value>,
    /// What the fleet's journal is told.
    event: Option<Event>,
}

/// Several changes that one request made.
#[derive(Debug, Clone)]
pub(crate) struct Changes(pub(crate) Vec<Change>);

impl Change {
    /// `action` as in `user.create`, done to `subject`.
    pub(crate) fn new(action: &'static str, subject: impl Into<String>) -> Self {
        Self { action, subject: subject.into(), detail: String::new(), before: None, after: None, event: None }
    }

    /// A change of a server: of what it was and is, the fields that differ.
    pub(crate) fn of_server(action: &'static str, before: Option<&Server>, after: Option<&Server>) -> Self {
        let subject = before.or(after).map_or_else(String::new, |server| server.id.to_string());
        let event = match (before, after) {
            (None, Some(added)) => Some(event(EventKind::ServerAdded, added)),
            (Some(removed), None) => Some(event(EventKind::ServerRemoved, removed)),
            _ => None,
        };
        let (before, after) = differing(before, after);
        let shown = |fields: Map<String, Value>| (!fields.is_empty()).then_some(Value::Object(fields));
        Self { before: shown(before), after: shown(after), event, ..Self::new(action, subject) }
    }

    /// The same change of many servers, as they were and are: of each the fields that differ, by its identity.
    pub(crate) fn of_servers(action: &'static str, servers: &[(Option<&Server>, &Server)]) -> Self {
        let (mut before, mut after) = (Map::new(), Map::new());
        for (was, is) in servers {
            let (old, new) = differing(*was, Some(is));
            before.insert(is.id.to_string(), Value::Object(old));
            after.insert(is.id.to_string(), Value::Object(new));
        }
        Self::new(action, format!("{} servers", servers.len())).before(before).after(after)
    }

    /// What else is to say.
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The changed part as it was. No secrets.
    pub(crate) fn before(self, before: impl Serialize) -> Self {
        Self { before: serde_json::to_value(before).ok(), ..self }
    }

    /// The changed part as it is. No secrets.
    pub(crate) fn after(self, after: impl Serialize) -> Self {
        Self { after: serde_json::to_value(after).ok(), ..self }
    }

    /// The entry; `who` made the change.
    fn entry(self, client: ClientAddress, who: String) -> AuditEntry {
        let json = |value: Option<Value>| value.map_or_else(String::new, |value| value.to_string());
        AuditEntry {
            who,
            detail: self.detail,
            before: json(self.before),
            after: json(self.after),
            ..entry(client, self.action, &self.subject)
        }
    }
}

fn name_of(who: &str) -> &str {
    if who.is_empty() { "itself" } else { who }
}

/// Of two states of a server the fields that differ.
fn differing(before: Option<&Server>, after: Option<&Server>) -> (Map<String, Value>, Map<String, Value>) {
    let fields = |server: Option<&Server>| match serde_json::to_value(server) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (mut before, mut after) = (fields(before), fields(after));
    before.retain(|name, value| {
        let differs = after.get(name) != Some(value);
        if !differs {
            after.remove(name);
        }
        differs
    });
    (before, after)
}

fn event(kind: EventKind, server: &Server) -> Event {
    let detail = format!("{} ({})", server.hostname, server.ip);
    Event { at: Timestamp::now(), kind, server: Some(server.id), detail }
}

/// An entry of now.
pub(crate) fn entry(client: ClientAddress, action: &str, subject: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp::now(),
        address: client.0.map_or_else(String::new, |address| address.to_string()),
        action: action.to_owned(),
        subject: subject.chars().take(MAX_CHARACTERS).collect(),
        ..AuditEntry::default()
    }
}

/// Writes entries.
pub(crate) struct Audit {
    journal: Arc<dyn Journal>,
    queue: OnceLock<mpsc::Sender<AuditEntry>>,
    window: Mutex<(Instant, u32)>,
    left_out: Arc<AtomicU64>,
}

impl Audit {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, queue: OnceLock::new(), window: Mutex::new((Instant::now(), 0)), left_out: Arc::default() }
    }

    /// The entries themselves.
    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    /// Writes down what `who` changed, and tells the fleet's journal of servers that came and went.
    pub(crate) async fn write_changes(&self, changes: Vec<Change>, client: ClientAddress, who: &str) {
        let by = |event: Event| Event { detail: format!("{}, by {}", event.detail, name_of(who)), ..event };
        let events: Vec<_> = changes.iter().filter_map(|change| change.event.clone()).map(by).collect();
        for change in changes {
            self.write(change.entry(client, who.to_owned())).await;
        }
        if !events.is_empty()
            && let Err(error) = patience::long(self.journal.append_events(events)).await
        {
            tracing::warn!(%error, "the journal does not know of servers that came or went");
        }
    }

    /// Writes down a change that was made. Should that fail, the change stands all the same: the log has it then.
    pub(crate) async fn write(&self, entry: AuditEntry) {
        let kept = entry.clone();
        if let Err(error) = patience::long(self.journal.append_audit(entry)).await {
            tracing::error!(%error, entry = ?kept, "a change could not be written into the audit");
        }
    }

    /// Has an entry written beside the request, unless there are too many.
    pub(crate) fn note(&self, entry: AuditEntry) {
        let taken = self.has_room() && self.queue().try_send(entry).is_ok();
        if !taken {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn has_room(&self) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0.elapsed() >= WINDOW {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        window.1 <= PER_WINDOW
    }

    fn queue(&self) -> &mpsc::Sender<AuditEntry> {
        self.queue.get_or_init(|| {
            let (queue, waiting) = mpsc::channel(QUEUE);
            // Ends with the sender, that is with the site.
            tokio::spawn(write_all(Arc::clone(&self.journal), waiting, Arc::clone(&self.left_out)));
            queue
        })
    }
}

async fn write_all(journal: Arc<dyn Journal>, mut waiting: mpsc::Receiver<AuditEntry>, left_out: Arc<AtomicU64>) {
    while let Some(mut entry) = waiting.recv().await {
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            entry.detail.push_str(&format!(" ({missing} entries before this one were left out)"));
        }
        if let Err(error) = patience::long(journal.append_audit(entry)).await {
            left_out.fetch_add(missing + 1, Ordering::Relaxed);
            tracing::warn!(%error, "an entry could not be written into the audit");
        }
    }
}
