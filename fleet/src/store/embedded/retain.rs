//! Retention: deletes what is too old, in short transactions.

use redb::{ReadableTable, WriteTransaction};

use super::tables::{
    DayTable, EVENTS, GRANTS, Key, Log, REVOKED, SESSIONS, TRANSITIONS, TRANSITIONS_BY_TIME, day_name, days,
};
use super::{Embedded, accounts, journal};
use crate::store::Result;
use crate::time::Timestamp;

/// Blocks deleted by one write transaction, some 30 ms of work. Dropping the whole table of 50,000 servers at once
/// would hold up recording for more than a second, because it visits every page.
const SLICE_BLOCKS: usize = 1024;
/// Transitions, or entries of the journal, deleted by one write transaction.
const SLICE_TRANSITIONS: usize = 1024;

impl Embedded {
    /// Deletes days before the day of `oldest`, transitions before `oldest` and expired sessions. Returns the number
    /// of days deleted.
    pub(super) async fn delete_old(&self, now: Timestamp, oldest: Timestamp) -> Result<u64> {
        let mut deleted = 0;
        for day in self.read(days).await?.into_iter().take_while(|day| *day < oldest.day()) {
            while !self.write(move |txn| delete_some(txn, day)).await? {}
            deleted += 1;
        }
        while self.delete_transitions(oldest).await? == SLICE_TRANSITIONS {}
        while !self.write(move |txn| delete_entries(txn, EVENTS, oldest)).await? {}
        while !self.write(move |txn| journal::delete_audit(txn, oldest, SLICE_TRANSITIONS)).await? {}
        self.delete_sessions(now).await?;
        self.delete_grants(now).await?;
        Ok(deleted)
    }

    async fn delete_transitions(&self, oldest: Timestamp) -> Result<usize> {
        let old = self
            .read(move |txn| {
                let by_time = txn.open_table(TRANSITIONS_BY_TIME)?;
                let old = by_time.range(..(oldest.as_millis(), &[0; 8], 0))?.take(SLICE_TRANSITIONS);
                old.map(|entry| {
                    let entry = entry?;
                    let (at_ms, key, number) = entry.0.value();
                    Ok((at_ms, *key, number))
                })
                .collect::<Result<Vec<_>>>()
            })
            .await?;
        let count = old.len();
        if count > 0 {
            self.write(move |txn| {
                let (mut documents, mut by_time) = (txn.open_table(TRANSITIONS)?, txn.open_table(TRANSITIONS_BY_TIME)?);
                for (at_ms, key, number) in &old {
                    by_time.remove((*at_ms, key, *number))?;
                    documents.remove((key, *number))?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(count)
    }

    async fn delete_sessions(&self, now: Timestamp) -> Result<()> {
        let expired =
            self.read(move |txn| accounts::sessions_where(&txn.open_table(SESSIONS)?, |s| s.expires_at <= now)).await?;
        if expired.is_empty() {
            return Ok(());
        }
        self.write(move |txn| {
            let mut sessions = txn.open_table(SESSIONS)?;
            for digest in &expired {
                sessions.remove(digest)?;
            }
            Ok(())
        })
        .await
    }

    async fn delete_grants(&self, now: Timestamp) -> Result<()> {
        let (grants, revoked) = self
            .read(move |txn| {
                let grants = accounts::grants_where(&txn.open_table(GRANTS)?, |grant| grant.expires_at <= now)?;
                let revoked = accounts::revoked_where(&txn.open_table(REVOKED)?, |until| until <= now)?;
                Ok((grants, revoked))
            })
            .await?;
        if grants.is_empty() && revoked.is_empty() {
            return Ok(());
        }
        self.write(move |txn| {
            let (mut kept_grants, mut kept_revoked) = (txn.open_table(GRANTS)?, txn.open_table(REVOKED)?);
            for id in &grants {
                kept_grants.remove(id)?;
            }
            for id in &revoked {
                kept_revoked.remove(id)?;
            }
            Ok(())
        })
        .await
    }
}

/// Deletes some blocks of `day`, and its table with the last of them; true once it is gone.
fn delete_some(txn: &WriteTransaction, day: i64) -> Result<bool> {
    let name = day_name(day);
    {
        let mut blocks = txn.open_table(DayTable::new(&name))?;
        let beyond = blocks.iter()?.nth(SLICE_BLOCKS).transpose()?.map(|(key, _)| *key.value());
        if let Some(beyond) = beyond {
            blocks.retain_in::<&Key, _>(..&beyond, |_, _| false)?;
            return Ok(false);
        }
    }
    Ok(txn.delete_table(DayTable::new(&name))?)
}

/// Deletes some entries of `log` before `oldest`; true once none is left.
fn delete_entries(txn: &WriteTransaction, log: Log, oldest: Timestamp) -> Result<bool> {
    let mut table = txn.open_table(log)?;
    let end = (oldest.as_millis(), 0);
    let beyond = table.range(..end)?.nth(SLICE_TRANSITIONS).transpose()?.map(|(key, _)| key.value());
    table.retain_in(..beyond.unwrap_or(end), |_, _| false)?;
    Ok(beyond.is_none())
}
