//! The chain of the audit, appended to by several collectors at once.
//!
//! ```text
//! audit  { number, seal, at, who, address, action, subject, detail, before, after }
//! meta   { _id: "audit", floor: { number, seal }, head: { number, seal } }
//! ```
//! An entry seals the one that its collector believes to be the newest. The unique index on `number` lets one of several
//! win; the others look again. The head may lag behind by the entries whose collectors died before they moved it.

use std::time::Duration;

use bson::{Bson, Document, doc};

use super::Mongo;
use super::command::number;
use super::journal::{dated, undated};
use crate::store::{AuditAnchor, AuditEntry, AuditMarks, AuditRecord, Result, StoreError};
use crate::time::Timestamp;

/// The document of the marks.
const MARKS: &str = "audit";
/// Times that another collector may be faster before an entry is given up.
const TRIES: u32 = 100;
/// Before another look: what was just written may not be on a majority yet.
const PAUSE: Duration = Duration::from_millis(5);
/// Old entries deleted by one command.
const DELETED_AT_ONCE: u64 = 10_000;

impl Mongo {
    pub(super) async fn chain(&self, entry: AuditEntry) -> Result<AuditRecord> {
        let mut head = self.audit_head.lock().await;
        for attempt in 0..TRIES {
            // Taken out: after an error in between nobody knows whether it still is the newest.
            let last = match head.take() {
                Some(last) => last,
                None => self.newest_anchor().await?,
            };
            let record = AuditRecord::after(&last, entry.clone());
            match self.call(self.audit.insert_one(dated(&record, record.entry.at)?)).await {
                Ok(_) => {
                    self.mark("head", &record.anchor()).await?;
                    *head = Some(record.anchor());
                    return Ok(record);
                }
                Err(error) if error.is_duplicate() => tokio::time::sleep(PAUSE * attempt.min(20)).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict("other collectors were faster to append to the audit, over and over".into()))
    }

    async fn newest_anchor(&self) -> Result<AuditAnchor> {
        let newest = self.records(doc! {}, -1, 1).await?;
        match newest.first() {
            Some(newest) => Ok(newest.anchor()),
            // Retention has deleted them all, or there never was one.
            None => self.marks().await.map(|marks| marks.floor),
        }
    }

    /// Entries by number, ascending or descending.
    pub(super) async fn records(&self, numbers: Document, order: i32, limit: usize) -> Result<Vec<AuditRecord>> {
        let mut numbers = numbers;
        numbers.entry("$gt").or_insert(0i64.into());
        let filter = doc! { "number": numbers };
        let Some(limit) = i64::try_from(limit).ok().filter(|limit| *limit > 0) else { return Ok(Vec::new()) };
        let found = self.audit.find(filter).sort(doc! { "number": order }).limit(limit);
        self.all(found).await?.into_iter().map(record).collect()
    }

    pub(super) async fn marks(&self) -> Result<AuditMarks> {
        let marks = self.call(self.meta.find_one(doc! { "_id": MARKS })).await?.unwrap_or_default();
        let mark = |name: &str| {
            let mark = marks.get_document(name).cloned().unwrap_or_default();
            let seal = mark.get_str("seal").unwrap_or_default().to_owned();
            AuditAnchor { number: number(mark.get("number")), seal }
        };
        Ok(AuditMarks { floor: mark("floor"), head: mark("head") })
    }

    /// Puts marks in the place of what is there, and deletes what lies up to the floor.
    pub(super) async fn replace_marks(&self, marks: &AuditMarks) -> Result<()> {
        let mut head = self.audit_head.lock().await;
        let document = |anchor: &AuditAnchor| {
            doc! { "number": i64::try_from(anchor.number).unwrap_or(i64::MAX), "seal": &anchor.seal }
        };
        let set = doc! { "$set": { "floor": document(&marks.floor), "head": document(&marks.head) } };
        self.call(self.meta.update_one(doc! { "_id": MARKS }, set).upsert(true)).await?;
        let floor = i64::try_from(marks.floor.number).unwrap_or(i64::MAX);
        self.call(self.audit.delete_many(doc! { "number": { "$gt": 0i64, "$lte": floor } })).await?;
        *head = None;
        Ok(())
    }

    /// Moves a mark forward, never back.
    async fn mark(&self, name: &str, to: &AuditAnchor) -> Result<()> {
        let number = i64::try_from(to.number).unwrap_or(i64::MAX);
        let known = doc! { "$ifNull": [format!("${name}.number"), 0i64] };
        let mark = doc! { "number": number, "seal": &to.seal };
        let newer = doc! { "$cond": [{ "$lt": [known, number] }, mark, format!("${name}")] };
        let set = vec![doc! { "$set": { name: newer } }];
        self.call(self.meta.update_one(doc! { "_id": MARKS }, set).upsert(true)).await?;
        Ok(())
    }

    /// Deletes the entries at the old end that are all from before `oldest`.
    pub(super) async fn delete_audit(&self, oldest: Timestamp) -> Result<()> {
        loop {
            let floor = self.marks().await?.floor.number;
            let kept = doc! { "number": { "$gt": 0i64 }, "at": { "$gte": super::server::date(oldest) } };
            let kept = self.audit.find_one(kept).sort(doc! { "number": 1 }).projection(doc! { "number": 1 });
            let kept = self.call(kept).await?.map_or(u64::MAX, |kept| number(kept.get("number")));
            let until = kept.min(floor.saturating_add(DELETED_AT_ONCE + 1));
            let last = self.records(doc! { "$lt": i64::try_from(until).unwrap_or(i64::MAX) }, -1, 1).await?;
            let Some(last) = last.first().filter(|last| last.number > floor) else { return Ok(()) };
            // First the mark: between the two, what lies below it does not count any more.
            self.mark("floor", &last.anchor()).await?;
            let below = doc! { "number": { "$gt": 0i64, "$lte": i64::try_from(last.number).unwrap_or(i64::MAX) } };
            self.call(self.audit.delete_many(below)).await?;
        }
    }
}

fn record(document: Document) -> Result<AuditRecord> {
    let number = number(document.get("number"));
    undated(document).map_err(|error| match error {
        StoreError::Damaged { detail, .. } => StoreError::Damaged { what: format!("audit entry {number}"), detail },
        other => other,
    })
}

/// Bounds of numbers for [`Mongo::records`].
pub(super) fn below(before: Option<u64>) -> Document {
    before.map_or_else(Document::new, |before| doc! { "$lt": Bson::Int64(i64::try_from(before).unwrap_or(i64::MAX)) })
}
