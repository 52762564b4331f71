//! The journal role: events, each entry as serde writes it, with its time as a date; and the audit.

use async_trait::async_trait;
use bson::{Document, doc};
use mongodb::Collection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::server::date;
use super::{Mongo, audit};
use crate::server::ServerId;
use crate::store::{AuditEntry, AuditMarks, AuditRecord, Event, EventKind, Journal, Result, StoreError};
use crate::time::Timestamp;

#[async_trait]
impl Journal for Mongo {
    async fn append_events(&self, events: Vec<Event>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let documents = events.iter().map(|event| dated(event, event.at)).collect::<Result<Vec<_>>>()?;
        self.call(self.events.insert_many(documents)).await?;
        Ok(())
    }

    async fn events(&self, server: Option<ServerId>, before: Timestamp, limit: usize) -> Result<Vec<Event>> {
        // Transitions lie in the same collection and are none of them.
        let kinds = bson::serialize_to_bson(&EventKind::ALL).map_err(|error| StoreError::Backend(Box::new(error)))?;
        let mut filter = doc! { "kind": { "$in": kinds }, "at": { "$lt": date(before) } };
        filter.extend(server.map(|server| ("server".to_owned(), server.to_string().into())));
        self.newest(&self.events, filter, doc! { "at": -1, "_id": -1 }, limit).await
    }

    async fn append_audit(&self, entry: AuditEntry) -> Result<AuditRecord> {
        self.chain(entry).await
    }

    async fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>> {
        self.records(audit::below(before), -1, limit).await
    }

    async fn audit_after(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>> {
        self.records(doc! { "$gt": i64::try_from(after).unwrap_or(i64::MAX) }, 1, limit).await
    }

    async fn audit_marks(&self) -> Result<AuditMarks> {
        self.marks().await
    }
}

impl Mongo {
    /// Entries in the given order, at most `limit`.
    pub(super) async fn newest<T: DeserializeOwned>(
        &self,
        collection: &Collection<Document>,
        filter: Document,
        order: Document,
        limit: usize,
    ) -> Result<Vec<T>> {
        // The server takes 0 for no limit.
        let Some(limit) = i64::try_from(limit).ok().or(Some(i64::MAX)).filter(|limit| *limit > 0) else {
            return Ok(Vec::new());
        };
        let found = collection.find(filter).sort(order).limit(limit);
        let found: Vec<Document> = self.all(found).await?;
        found.into_iter().map(undated).collect()
    }
}

/// An entry with its time as a date, by which the database can sort and delete it.
pub(super) fn dated(entry: &impl Serialize, at: Timestamp) -> Result<Document> {
    let mut document = bson::serialize_to_document(entry).map_err(|error| StoreError::Backend(Box::new(error)))?;
    document.insert("at", date(at));
    Ok(document)
}

/// The way back.
pub(super) fn undated<T: DeserializeOwned>(mut document: Document) -> Result<T> {
    if let Ok(at) = document.get_datetime("at").map(|at| at.timestamp_millis()) {
        document.insert("at", at);
    }
    bson::deserialize_from_document(document)
        .map_err(|error| StoreError::Damaged { what: "journal entry".into(), detail: error.to_string() })
}
