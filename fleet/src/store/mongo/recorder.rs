//! The recorder role. Three collections that no transaction spans, so the order matters:
//!
//! 1. heartbeats, of servers that no newer epoch has taken: what a standing shows is in the history, always;
//! 2. standings, each fenced by its epoch and kept only if newer. A flip waits in the same update, see `pending`;
//! 3. the flips, from where they wait into the log of events.
//!
//! A live batch is barred by the epoch that was granted last, a replay by the first epoch of whoever holds the server:
//! what the same collector recorded under an earlier one is the beginning of what it goes on with.
//!
//! A batch that broke off in between is sent again and falls on itself; what of it nobody sends again is repaired when
//! the standings are next read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use bson::{Bson, Document, doc};

use super::{Mongo, OURS, heartbeat, journal, server};
use crate::health::Transition;
use crate::report::Outcome;
use crate::server::ServerId;
use crate::store::{Maintenance, Record, Recorded, Recorder, Result, StoreError};
use crate::time::Timestamp;
use crate::view::{Age, Standing};

/// Path of flips that may not be in the log yet.
const PENDING: &str = "mect.pending";
/// Documents that one insert carries at most. The server takes 100,000 or 48 MB.
pub(super) const INSERTS: usize = 10_000;

#[async_trait]
impl Recorder for Mongo {
    async fn record(&self, batch: Arc<Vec<Record>>) -> Result<Recorded> {
        self.keep(&batch, server::EPOCH).await
    }

    async fn replay(&self, batch: Arc<Vec<Record>>) -> Result<Recorded> {
        self.keep(&batch, server::SINCE).await
    }

    async fn standings(&self) -> Result<Vec<(ServerId, Standing)>> {
        let read = self.read_standings(Document::new()).await?;
        Ok(read.into_iter().map(|(server, standing)| (server.id, standing)).collect())
    }

    async fn maintain(&self, now: Timestamp, oldest: Timestamp) -> Result<Maintenance> {
        self.keep_up(now, oldest).await
    }
}

/// True when the server's bar is above the record's epoch.
fn is_overtaken(record: &Record, bars: &HashMap<ServerId, u64>) -> bool {
    bars.get(&record.report.server).is_some_and(|epoch| *epoch > record.epoch)
}

/// What a batch holds of one server.
struct OfServer<'a> {
    records: Vec<&'a Record>,
    newest: &'a Record,
    /// The highest epoch.
    epoch: u64,
}

fn by_server<'a>(records: impl Iterator<Item = &'a Record>) -> HashMap<ServerId, OfServer<'a>> {
    let mut servers: HashMap<ServerId, OfServer<'_>> = HashMap::new();
    for record in records {
        let of_server = servers.entry(record.report.server).or_insert_with(|| OfServer {
            records: Vec::new(),
            newest: record,
            epoch: record.epoch,
        });
        of_server.records.push(record);
        of_server.epoch = of_server.epoch.max(record.epoch);
        if of_server.newest.standing.age() < record.standing.age() {
            of_server.newest = record;
        }
    }
    servers
}

impl OfServer<'_> {
    fn transitions(&self) -> impl Iterator<Item = &Transition> {
        self.records.iter().filter_map(|record| record.transition.as_ref())
    }

    /// Replaces the stored standing by a newer one, and notes the flips, unless the epoch at `bar` is newer.
    fn update(&self, id: ServerId, bar: &str) -> Result<Document> {
        let standing = &self.newest.standing;
        let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let epoch = long(self.epoch);
        let Age { epoch: judged_under, transitions, scrapes, at } = standing.age();
        let stored = |field: &str| format!("${}.{field}", server::STANDING);
        // What is missing comes before every number; older programs wrote neither epoch nor scrapes.
        let age_stored: [Bson; 4] = [
            doc! { "$ifNull": [stored("epoch"), 0i64] }.into(),
            stored("state.transitions").into(),
            doc! { "$ifNull": [stored("scrapes"), 0i64] }.into(),
            stored("last_scrape").into(),
        ];
        let age_now: [Bson; 4] = [
            long(judged_under).into(),
            long(transitions).into(),
            long(scrapes).into(),
            at.map(Timestamp::as_millis).into(),
        ];
        let is_newer = doc! { "$lt": [age_stored.to_vec(), age_now.to_vec()] };
        let transitions = self.transitions().map(document).collect::<Result<Vec<_>>>()?;
        let ours = doc! { "$mergeObjects": [
            format!("${OURS}"),
            { "standing": { "$literal": document(standing)? }, "updated_at": "$$NOW" },
            // A replay may come under an earlier epoch.
            { "epoch": { "$max": [format!("${}", server::EPOCH), epoch] } },
            pending(transitions),
        ] };
        let mut old = server::old_fields(standing);
        let first = old.remove("first_heartbeat");
        // The first stays the first, in whatever form the old system wrote it.
        let first = first.map_or(doc! {}, |at| doc! { "first_heartbeat": { "$ifNull": ["$first_heartbeat", at] } });
        let newer = doc! { "$mergeObjects": ["$$ROOT", { "$literal": old }, first, { OURS: ours }] };
        Ok(doc! {
            "q": { server::ID: id.to_string(), bar: { "$not": { "$gt": epoch } } },
            "u": [{ "$replaceWith": { "$cond": [is_newer, newer, "$$ROOT"] } }],
        })
    }
}

fn pending(transitions: Vec<Document>) -> Document {
    if transitions.is_empty() {
        return Document::new();
    }
    let so_far = doc! { "$ifNull": [format!("${PENDING}"), []] };
    doc! { "pending": { "$concatArrays": [so_far, { "$literal": transitions }] } }
}

impl Mongo {
    /// Keeps what is not of an older epoch than the one at `bar`. Of the rest, a replay keeps the heartbeats.
    async fn keep(&self, batch: &[Record], bar: &'static str) -> Result<Recorded> {
        if batch.is_empty() {
            return Ok(Recorded::default());
        }
        let mut bars = self.bars(batch, bar).await?;
        let is_known = |record: &&Record| bars.contains_key(&record.report.server);
        let (overtaken, current): (Vec<_>, Vec<_>) =
            batch.iter().filter(is_known).partition(|record| is_overtaken(record, &bars));
        let mut mine = by_server(current.iter().copied());
        let heartbeats = overtaken
            .into_iter()
            .filter(|record| bar == server::SINCE && matches!(record.report.outcome, Outcome::Up(_)));
        self.insert_heartbeats(&current, &heartbeats.collect::<Vec<_>>()).await?;
        if self.set_standings(&mine, bar).await? < mine.len() {
            // Taken over, or deleted, since we looked.
            bars = self.bars(batch, bar).await?;
            mine.retain(|id, records| bars.get(id).is_some_and(|epoch| *epoch <= records.epoch));
        }
        self.log_transitions(&mine).await?;
        let refused = (0..).zip(batch).filter(|(_, record)| is_overtaken(record, &bars)).map(|(place, _)| place);
        Ok(Recorded { refused: refused.collect() })
    }

    /// The epochs at `bar` of a batch's servers; a server that is gone is missing.
    async fn bars(&self, batch: &[Record], bar: &str) -> Result<HashMap<ServerId, u64>> {
        let ids: HashSet<_> = batch.iter().map(|record| record.report.server).collect();
        let ids: Vec<_> = ids.iter().map(ServerId::to_string).collect();
        let projection = doc! { "_id": 0, server::ID: 1, bar: 1 };
        let found = self.servers.find(doc! { server::ID: { "$in": ids } }).projection(projection);
        let found: Vec<Document> = self.all(found).await?;
        let epoch = |found: &Document| {
            let id = found.get_document(OURS).ok()?.get_str("id").ok()?.parse().ok()?;
            Some((id, server::epoch(found, bar)))
        };
        Ok(found.iter().filter_map(epoch).collect())
    }

    async fn insert_heartbeats(&self, current: &[&Record], overtaken: &[&Record]) -> Result<()> {
        let records: Vec<&Record> = current.iter().chain(overtaken).copied().collect();
        let late = self.mark_late(&records).await?;
        let documents = (0..).zip(&records).map(|(place, record)| heartbeat::document(record, place >= current.len()));
        let documents: Vec<_> = documents.collect();
        for documents in documents.chunks(INSERTS) {
            self.call(self.heartbeats.insert_many(documents).ordered(false)).await?;
        }
        // Again: whoever summed up the hour meanwhile has not seen them.
        if late { self.mark_late(&records).await.map(drop) } else { Ok(()) }
    }

    /// Returns how many of the servers exist under an epoch that may write them.
    async fn set_standings(&self, servers: &HashMap<ServerId, OfServer<'_>>, bar: &str) -> Result<usize> {
        let updates = servers.iter().map(|(id, of_server)| of_server.update(*id, bar)).collect::<Result<Vec<_>>>()?;
        let updated = self.update(self.servers.name(), updates).await?;
        Ok(usize::try_from(updated.matched).unwrap_or(usize::MAX))
    }

    async fn log_transitions(&self, servers: &HashMap<ServerId, OfServer<'_>>) -> Result<()> {
        let told: Vec<_> = servers.values().flat_map(OfServer::transitions).collect();
        self.log(&told).await
    }

    /// Puts flips into the log, where the first told stays, and no longer waits to do so.
    async fn log(&self, transitions: &[&Transition]) -> Result<()> {
        if transitions.is_empty() {
            return Ok(());
        }
        let documents = transitions.iter().map(|flip| transition_document(flip)).collect::<Result<Vec<_>>>()?;
        match self.call(self.events.insert_many(documents).ordered(false)).await {
            Err(error) if !error.is_duplicate() => return Err(error.into()),
            _ => {}
        }
        let done = transitions.iter().map(|transition| {
            let number = i64::try_from(transition.number).unwrap_or(i64::MAX);
            let filter = doc! { server::ID: transition.server.to_string(), format!("{PENDING}.number"): number };
            doc! { "q": filter, "u": { "$pull": { PENDING: { "number": number } } } }
        });
        self.update(self.servers.name(), done.collect()).await?;
        Ok(())
    }

    /// Servers that `filter` matches with their standings. Flips that wait are told first.
    pub(super) async fn read_standings(&self, filter: Document) -> Result<Vec<(crate::server::Server, Standing)>> {
        let documents = self.server_documents(filter).await?;
        let waiting =
            documents.iter().filter_map(|document| document.get_document(OURS).ok()?.get_array("pending").ok());
        let waiting = waiting.flatten().filter_map(|flip| bson::deserialize_from_bson::<Transition>(flip.clone()).ok());
        let waiting: Vec<Transition> = waiting.collect();
        self.log(&waiting.iter().collect::<Vec<_>>()).await?;
        let mut read = Vec::with_capacity(documents.len());
        for document in &documents {
            let Some(server) = server::server(document) else { continue };
            let standing = match server::standing(document) {
                Ok(standing) => standing,
                Err(error) => {
                    tracing::warn!(server = %server.id, %error, "standing lost; health restarts from the last transition");
                    Standing::after(self.last_transition(server.id).await?.as_ref())
                }
            };
            read.push((server, standing));
        }
        Ok(read)
    }
}

/// The word for a flip in the log of events.
pub(super) const TRANSITION: &str = "transition";

/// A flip as an entry of the log of events.
pub(super) fn transition_document(transition: &Transition) -> Result<Document> {
    let mut document = journal::dated(transition, transition.at)?;
    document.insert("kind", TRANSITION);
    Ok(document)
}

/// A value as serde writes it.
pub(super) fn document(value: &impl serde::Serialize) -> Result<Document> {
    bson::serialize_to_document(value).map_err(|error| StoreError::Rejected(Box::new(error)))
}
