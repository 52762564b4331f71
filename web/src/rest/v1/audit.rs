//! Who changed what.

use axum::Json;
use axum::extract::State;
use http::Uri;
use mect_fleet::store::{AuditEntry, AuditRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::error::Error;
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};

/// Entries read at once where a filter leaves most of them out.
const CHUNK: usize = 1000;
/// Entries that one request reads at most, however few of them are wanted; the page then ends early.
const MAX_READ: usize = 20_000;

/// An entry.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct Shown {
    /// Counts from 1 without gaps.
    number: u64,
    #[schema(format = DateTime)]
    at: String,
    /// A user name, with the name of the API token behind a `/`.
    who: String,
    address: String,
    action: String,
    subject: String,
    detail: String,
    /// The changed part as it was; `null` where there was nothing.
    before: Value,
    /// The changed part as it became.
    after: Value,
    /// Seals this entry and all before it.
    seal: String,
}

impl From<AuditRecord> for Shown {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { number, seal, entry } = record;
        let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            number,
            at: entry.at.to_string(),
            before: json(&entry.before),
            after: json(&entry.after),
            who: entry.who,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            seal,
        }
    }
}

/// Entries that are asked for. A text that is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The user, whatever token was used.
    pub(crate) who: String,
    /// The action, or the part of it before its first dot.
    pub(crate) action: String,
    /// The subject.
    pub(crate) subject: String,
}

impl Filter {
    fn take(params: &mut Params) -> Result<Self, Error> {
        let mut text = |name| params.take(name).map(Option::unwrap_or_default);
        Ok(Self { who: text("who")?, action: text("action")?, subject: text("subject")? })
    }

    /// True when it leaves nothing out.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn admits(&self, entry: &AuditEntry) -> bool {
        let is_of = |text: &str, wanted: &str, end: char| {
            let rest = text.strip_prefix(wanted);
            wanted.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(end))
        };
        is_of(&entry.who, &self.who, '/')
            && is_of(&entry.action, &self.action, '.')
            && (self.subject.is_empty() || entry.subject == self.subject)
    }
}

/// One page of the entries that `filter` admits, newest first; it may hold fewer than asked for and still have a next
/// one.
pub(crate) async fn find(app: &App, filter: &Filter, window: &Window<u64>) -> Result<Page<AuditRecord>, Error> {
    let (mut found, mut before, mut read) = (Vec::new(), window.after, 0);
    loop {
        let chunk = if filter.is_empty() { window.limit + 1 } else { CHUNK };
        let records = patience::long(app.audit.journal().audit(before, chunk)).await?;
        let (is_over, last) = (records.len() < chunk, records.last().map(|record| record.number));
        read += records.len();
        found.extend(records.into_iter().filter(|record| filter.admits(&record.entry)));
        if found.len() > window.limit || is_over {
            return Ok(Page::of(found, window.limit, |record| record.number));
        }
        before = last;
        if read >= MAX_READ {
            return Ok(Page::up_to(found, &last));
        }
    }
}

/// Who changed what, newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "identity", operation_id = "list_audit",
    params(
        ("who" = Option<String>, Query, description = "Entries of this user alone"),
        ("action" = Option<String>, Query, description = "This action alone, or all of one kind: `user.edit` or `user`"),
        ("subject" = Option<String>, Query, description = "What was done to this alone: a user name, the identity of a server"),
        WindowParams,
    ),
    responses(
        (status = 200, description = "One page of entries; it may hold fewer than asked for and still have a next one", body = Page<Shown>),
    )
)]
pub(crate) async fn list(State(app): State<Shared>, uri: Uri) -> Result<Json<Page<Shown>>, Error> {
    let mut params = Params::of(&uri)?;
    let filter = Filter::take(&mut params)?;
    let window: Window<u64> = Window::take(&mut params)?;
    params.finish()?;
    Ok(Json(find(&app, &filter, &window).await?.map(Shown::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_know_tokens_and_kinds() {
        let entry = AuditEntry {
            who: "zoe/backup".into(),
            action: "user.edit".into(),
            subject: "adam".into(),
            ..AuditEntry::default()
        };
        let admits = |who: &str, action: &str, subject: &str| {
            Filter { who: who.into(), action: action.into(), subject: subject.into() }.admits(&entry)
        };
        assert!(admits("", "", "") && admits("zoe", "user", "adam") && admits("zoe/backup", "user.edit", ""));
        assert!(!admits("zo", "", "") && !admits("", "us", "") && !admits("", "", "ada") && !admits("", "server", ""));
    }
}
