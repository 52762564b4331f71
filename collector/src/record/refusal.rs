//! Finds the records that the store refuses while it takes all others: a validator of somebody else, a damaged document. An
//! outage looks different, and so does a store that refuses everything: then nobody is to blame but the store, and all
//! records wait.

use std::ops::Range;
use std::sync::Arc;

use mect_fleet::store::{Record, StoreError};

use super::replay::Replay;

/// So many refused one by one before any is taken: it is not the records.
const REFUSED_IN_A_ROW: usize = 16;

impl Replay {
    /// Stores what can be of records that were refused together, halving what is refused again; gives the places of
    /// the culprits.
    ///
    /// # Errors
    /// The store went away, or takes nothing at all.
    pub(super) async fn sort_out(&self, records: &[Record], error: StoreError) -> Result<Vec<usize>, StoreError> {
        let mut culprits = Vec::new();
        let mut is_any_taken = false;
        let mut last = error;
        let mut waiting = halves(0..records.len());
        while let Some(range) = waiting.pop() {
            match self.replay(Arc::new(records[range.clone()].to_vec())).await {
                Ok(()) => is_any_taken = true,
                Err(error @ StoreError::Rejected(_)) => {
                    if let Some(record) = records[range.clone()].first().filter(|_| range.len() == 1) {
                        let (server, at) = (record.report.server, record.report.at);
                        tracing::error!(%server, %at, %error, "the store refuses this record");
                        culprits.push(range.start);
                    } else {
                        waiting.extend(halves(range));
                    }
                    last = error;
                }
                Err(error) => return Err(error),
            }
            let is_doubtful = waiting.is_empty() || culprits.len() >= REFUSED_IN_A_ROW;
            if !is_any_taken && is_doubtful {
                if !self.takes_others().await? {
                    return Err(last);
                }
                is_any_taken = true;
            }
        }
        Ok(culprits)
    }

    /// True when the store takes again what it took before.
    async fn takes_others(&self) -> Result<bool, StoreError> {
        let Some(taken) = self.outage.taken() else { return Ok(false) };
        match self.replay(Arc::new(vec![taken])).await {
            Ok(()) => Ok(true),
            Err(StoreError::Rejected(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The second half first, so that the first one is popped first; of one record, the whole.
fn halves(range: Range<usize>) -> Vec<Range<usize>> {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle].into_iter().filter(|half| !half.is_empty()).collect()
}
