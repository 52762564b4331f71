//! The move itself, and the look back.

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::future::join;
use serde::Serialize;

use super::digest::Digest;
use super::{MigrationError, Moved, Progress, Span, Stage, Watch, source, target};
use crate::account::{ApiToken, User};
use crate::health::Transition;
use crate::server::{Server, ServerId};
use crate::store::{AuditMarks, AuditRecord, Event, OfServer, Position, Result, Store};
use crate::time::Timestamp;
use crate::view::Standing;

/// Servers put at once.
const SERVERS: usize = 1000;
/// Entries of a log read and put at once.
const ENTRIES: usize = 5000;
/// Servers whose day of scrapes is read and put at once: at 720 a day, 46,000 scrapes, some 5 MB.
const SERVERS_OF_DAY: usize = 64;
/// Clocks of collectors may be ahead: this many days after today are looked at too.
const DAYS_AHEAD: i64 = 1;

/// The two stores.
pub(super) struct Copy<'a> {
    pub(super) from: &'a Store,
    pub(super) to: &'a Store,
    pub(super) span: Span,
    pub(super) watch: &'a mut dyn Watch,
}

/// What was read from the source.
pub(super) struct Copied {
    servers: Vec<(Server, Standing)>,
    users: Vec<User>,
    tokens: Vec<ApiToken>,
    transitions: Digest,
    events: Digest,
    audit: Digest,
    marks: AuditMarks,
    days: Vec<(i64, Digest)>,
}

impl Copied {
    pub(super) fn moved(&self) -> Moved {
        Moved {
            servers: self.servers.len() as u64,
            users: self.users.len() as u64,
            tokens: self.tokens.len() as u64,
            transitions: self.transitions.count,
            events: self.events.count,
            audit: self.audit.count,
            scrapes: self.days.iter().map(|(_, digest)| digest.count).sum(),
        }
    }
}

impl Copy<'_> {
    /// Copies stage by stage.
    pub(super) async fn everything(&mut self) -> Result<Copied, MigrationError> {
        let servers = self.servers().await?;
        let users = self.from.accounts.users().await.map_err(source)?;
        self.to.transfer.put_users(users.clone()).await.map_err(target)?;
        self.ended(Stage::Users, users.len() as u64);
        for (id, until) in self.from.transfer.revocations().await.map_err(source)? {
            self.to.accounts.revoke(&id, until).await.map_err(target)?;
        }
        let tokens = tokens(self.from, &users).await.map_err(source)?;
        self.to.transfer.put_tokens(tokens.clone()).await.map_err(target)?;
        self.ended(Stage::Tokens, tokens.len() as u64);
        let transitions = self.log(&Transitions(self.span.oldest), Stage::Transitions).await?;
        let events = self.log(&Events(self.span.oldest), Stage::Events).await?;
        let marks = self.from.journal.audit_marks().await.map_err(source)?;
        let audit = self.log(&Audit(marks.floor.number), Stage::Audit).await?;
        self.to.transfer.put_audit_marks(marks.clone()).await.map_err(target)?;
        let days = self.scrapes().await?;
        Ok(Copied { servers, users, tokens, transitions, events, audit, marks, days })
    }

    async fn servers(&mut self) -> Result<Vec<(Server, Standing)>, MigrationError> {
        let servers = servers(self.from).await.map_err(source)?;
        let mut done = 0;
        for batch in servers.chunks(SERVERS) {
            self.to.transfer.put_servers(batch.to_vec()).await.map_err(target)?;
            done += batch.len() as u64;
            self.tell(Stage::Servers, done, None);
        }
        self.ended(Stage::Servers, done);
        Ok(servers)
    }

    async fn log<L: Log>(&mut self, log: &L, stage: Stage) -> Result<Digest, MigrationError> {
        let (mut digest, mut last) = (Digest::default(), None);
        loop {
            let page = log.page(self.from, last.as_ref()).await.map_err(source)?;
            let Some(newest) = page.last() else { break };
            last = Some(newest.clone());
            page.iter().for_each(|entry| digest.add(&L::hashed(entry)));
            log.put(self.to, page).await.map_err(target)?;
            self.tell(stage, digest.count, None);
        }
        self.ended(stage, digest.count);
        Ok(digest)
    }

    /// While a batch is put, the next one is read.
    async fn scrapes(&mut self) -> Result<Vec<(i64, Digest)>, MigrationError> {
        let (mut days, mut done) = (Vec::new(), 0);
        for day in self.days() {
            let servers = self.from.transfer.servers_of(day).await.map_err(source)?;
            let mut batches = servers.chunks(SERVERS_OF_DAY);
            let mut digest = Digest::default();
            let mut batch = self.read(batches.next(), day).await?;
            while let Some(points) = batch {
                digest.add_points(&points);
                let (put, read) = join(self.to.transfer.put_points(day, points), self.read(batches.next(), day)).await;
                put.map_err(target)?;
                batch = read?;
                self.tell(Stage::Scrapes, done + digest.count, Some(day));
            }
            done += digest.count;
            days.push((day, digest));
        }
        self.ended(Stage::Scrapes, done);
        Ok(days)
    }

    async fn read(&self, servers: Option<&[ServerId]>, day: i64) -> Result<Option<Vec<OfServer>>, MigrationError> {
        match servers {
            Some(servers) => Ok(Some(self.from.transfer.points_of(servers, day).await.map_err(source)?)),
            None => Ok(None),
        }
    }

    /// Reads the target back.
    pub(super) async fn compare(&mut self, copied: &Copied) -> Result<(), MigrationError> {
        let servers = servers(self.to).await.map_err(target)?;
        same(Stage::Servers, &copied.servers, &servers)?;
        let users = self.to.accounts.users().await.map_err(target)?;
        same(Stage::Users, &copied.users, &users)?;
        same(Stage::Tokens, &copied.tokens, &tokens(self.to, &users).await.map_err(target)?)?;
        let oldest = self.span.oldest;
        self.compare_log(&Transitions(oldest), Stage::Transitions, copied.transitions).await?;
        self.compare_log(&Events(oldest), Stage::Events, copied.events).await?;
        self.compare_log(&Audit(copied.marks.floor.number), Stage::Audit, copied.audit).await?;
        same(Stage::Audit, &[&copied.marks], &[&self.to.journal.audit_marks().await.map_err(target)?])?;
        let mut done = 0;
        for (day, expected) in &copied.days {
            let found = self.digest_of_day(*day, done).await?;
            let on = format!(" of {}", date(*day));
            agree(Stage::Scrapes, on, *expected, found)?;
            done += found.count;
        }
        self.ended(Stage::Check, done);
        Ok(())
    }

    async fn compare_log<L: Log>(&self, log: &L, stage: Stage, expected: Digest) -> Result<(), MigrationError> {
        let (mut digest, mut last) = (Digest::default(), None);
        loop {
            let page = log.page(self.to, last.as_ref()).await.map_err(target)?;
            let Some(newest) = page.last() else { return agree(stage, String::new(), expected, digest) };
            last = Some(newest.clone());
            page.iter().for_each(|entry| digest.add(&L::hashed(entry)));
        }
    }

    async fn digest_of_day(&mut self, day: i64, done: u64) -> Result<Digest, MigrationError> {
        let servers = self.to.transfer.servers_of(day).await.map_err(target)?;
        let mut digest = Digest::default();
        for servers in servers.chunks(SERVERS_OF_DAY) {
            digest.add_points(&self.to.transfer.points_of(servers, day).await.map_err(target)?);
            self.tell(Stage::Check, done + digest.count, Some(day));
        }
        Ok(digest)
    }

    fn days(&self) -> impl Iterator<Item = i64> + use<> {
        self.span.oldest.day()..=self.span.now.day() + DAYS_AHEAD
    }

    fn tell(&mut self, stage: Stage, done: u64, day: Option<i64>) {
        self.watch.told(Progress { stage, done, day: day.map(start), is_end: false });
    }

    fn ended(&mut self, stage: Stage, done: u64) {
        self.watch.told(Progress { stage, done, day: None, is_end: true });
    }
}

/// Every server with its standing, by identity. One that was never scraped has none, or an empty one.
async fn servers(store: &Store) -> Result<Vec<(Server, Standing)>> {
    let mut standings: HashMap<_, _> = store.recorder.standings().await?.into_iter().collect();
    let servers = store.inventory.servers().await?.into_iter().map(|server| {
        let standing = standings.remove(&server.id).unwrap_or_default();
        // Leases of one store mean nothing to another, which grants its own from the beginning.
        (server, Standing { epoch: 0, ..standing })
    });
    let mut servers: Vec<_> = servers.collect();
    servers.sort_by_key(|(server, _)| server.id);
    Ok(servers)
}

async fn tokens(store: &Store, users: &[User]) -> Result<Vec<ApiToken>> {
    let mut tokens = Vec::new();
    for user in users {
        tokens.extend(store.accounts.tokens(&user.username).await?);
    }
    Ok(tokens)
}

fn same<T: PartialEq>(stage: Stage, expected: &[T], found: &[T]) -> Result<(), MigrationError> {
    if expected == found {
        return Ok(());
    }
    let (of_source, of_target) = (expected.len() as u64, found.len() as u64);
    Err(MigrationError::Differs { stage, on: String::new(), of_source, of_target })
}

fn agree(stage: Stage, on: String, expected: Digest, found: Digest) -> Result<(), MigrationError> {
    if expected == found {
        return Ok(());
    }
    Err(MigrationError::Differs { stage, on, of_source: expected.count, of_target: found.count })
}

fn start(day: i64) -> Timestamp {
    const DAY_SECONDS: i64 = 86_400;
    Timestamp::from_secs(day.saturating_mul(DAY_SECONDS))
}

/// `2026-11-25`.
fn date(day: i64) -> String {
    start(day).to_string().chars().take_while(|c| *c != 'T').collect()
}

/// A log that is read in pages.
trait Log {
    type Entry: Clone;

    /// What comes behind `after`; from the beginning of the span without one.
    async fn page(&self, of: &Store, after: Option<&Self::Entry>) -> Result<Vec<Self::Entry>>;

    async fn put(&self, to: &Store, entries: Vec<Self::Entry>) -> Result<()>;

    /// All that an entry says.
    fn hashed(entry: &Self::Entry) -> impl Hash;
}

struct Transitions(Timestamp);

impl Log for Transitions {
    type Entry = Transition;

    async fn page(&self, of: &Store, after: Option<&Transition>) -> Result<Vec<Transition>> {
        of.transfer.transitions_page(self.0, after, ENTRIES).await
    }

    async fn put(&self, to: &Store, entries: Vec<Transition>) -> Result<()> {
        to.transfer.put_transitions(entries).await
    }

    fn hashed(entry: &Transition) -> impl Hash {
        json(entry)
    }
}

struct Events(Timestamp);

impl Log for Events {
    type Entry = (Position, Event);

    async fn page(&self, of: &Store, after: Option<&Self::Entry>) -> Result<Vec<Self::Entry>> {
        let from = after.map_or(Position::first(self.0), |(position, _)| position.next());
        of.transfer.events_page(from, ENTRIES).await
    }

    async fn put(&self, to: &Store, entries: Vec<Self::Entry>) -> Result<()> {
        to.transfer.put_events(entries).await
    }

    fn hashed((position, event): &Self::Entry) -> impl Hash {
        (*position, json(event))
    }
}

/// A chain: moved from its floor on, whatever the age of its entries.
struct Audit(u64);

impl Log for Audit {
    type Entry = AuditRecord;

    async fn page(&self, of: &Store, after: Option<&AuditRecord>) -> Result<Vec<AuditRecord>> {
        of.journal.audit_after(after.map_or(self.0, |after| after.number), ENTRIES).await
    }

    async fn put(&self, to: &Store, entries: Vec<AuditRecord>) -> Result<()> {
        to.transfer.put_audit(entries).await
    }

    fn hashed(entry: &AuditRecord) -> impl Hash {
        json(entry)
    }
}

/// Entries are plain data: there is nothing in them that cannot be written.
fn json(entry: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(entry).ok()
}
