//! The audit: who changed what, as a chain in which every entry seals the one before it.
//!
//! An entry's seal is a SHA-256 digest over its number, all that it says, and the seal before it. An entry that was
//! edited, removed or moved breaks the chain there. What retention deletes at the old end is replaced by a mark that
//! keeps the last deleted seal; another mark keeps the newest one, so that the new end cannot just be cut off. The chain
//! tells of tampering by whoever does not write every later entry and the marks anew: note a newest seal elsewhere, and
//! that shows too.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Journal, Result};
use crate::time::Timestamp;

/// Told apart from digests of anything else; changes with what is sealed.
const DOMAIN: &[u8] = b"mect audit 1";
/// Entries read at once by a verification.
const PAGE: usize = 1000;
/// Verifications begun anew because retention deleted entries under them.
const ATTEMPTS: usize = 5;

/// One change by a person or a program, or an attempt that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: a user name, with the name of the API token behind a `/`; empty when nobody had signed in.
    pub who: String,
    /// The address of the client. May be empty.
    pub address: String,
    /// What was done, for example `server.edit`, `user.password` or `login.failed`.
    pub action: String,
    /// What it was done to: a server's identity, a user name. May be empty.
    pub subject: String,
    /// The rest, for a person. Never a secret. May be empty.
    pub detail: String,
    /// The changed part as JSON, before. Never a secret. Empty where there was nothing.
    pub before: String,
    /// The changed part as JSON, after. Never a secret. Empty where there is nothing any more.
    pub after: String,
}

/// A place in the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAnchor {
    /// The entry's number; 0 stands for the place before the first.
    pub number: u64,
    /// Its seal, in hexadecimal; empty before the first.
    pub seal: String,
}

/// The ends of the chain, kept beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditMarks {
    /// The last entry that retention deleted.
    pub floor: AuditAnchor,
    /// The newest entry, or one shortly before it.
    pub head: AuditAnchor,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counts from 1 without gaps.
    pub number: u64,
    /// See [`AuditAnchor::seal`].
    pub seal: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

impl AuditRecord {
    /// The entry sealed as the next one after `last`.
    pub fn after(last: &AuditAnchor, entry: AuditEntry) -> Self {
        let number = last.number + 1;
        Self { number, seal: seal(number, &last.seal, &entry), entry }
    }

    /// Its place.
    pub fn anchor(&self) -> AuditAnchor {
        AuditAnchor { number: self.number, seal: self.seal.clone() }
    }
}

fn seal(number: u64, previous: &str, entry: &AuditEntry) -> String {
    let mut digest = Sha256::new().chain_update(DOMAIN).chain_update(number.to_be_bytes());
    digest.update(entry.at.as_millis().to_be_bytes());
    let AuditEntry { at: _, who, address, action, subject, detail, before, after } = entry;
    for text in [previous, who, address, action, subject, detail, before, after] {
        // With its length: no text can pass for a part of its neighbour.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first place at which a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {number}: {problem}")]
pub struct BrokenAudit {
    /// Number of the entry.
    pub number: u64,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Walks the whole chain, oldest first; returns its ends as they were found.
///
/// # Errors
/// The store failed, or holds an entry that cannot be read. The inner error says where the chain is broken.
pub async fn verify_audit(journal: &dyn Journal) -> Result<Result<AuditMarks, BrokenAudit>> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let marks = journal.audit_marks().await?;
        let found = walk(journal, &marks).await?;
        let is_last = attempts.next().is_none();
        if found.is_ok() || is_last || journal.audit_marks().await?.floor == marks.floor {
            return Ok(found);
        }
    }
}

async fn walk(journal: &dyn Journal, marks: &AuditMarks) -> Result<Result<AuditMarks, BrokenAudit>> {
    let mut last = marks.floor.clone();
    // What was sealed up to the head when we began must be found.
    let mut seen_head = marks.head.number <= last.number;
    if seen_head && marks.head.number > 0 && marks.head != last {
        return broken(marks.head.number, "the newest entry's mark does not fit");
    }
    loop {
        let page = journal.audit_after(last.number, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for record in page {
            if record.number != last.number + 1 {
                return broken(last.number + 1, "it is missing");
            }
            if record.seal != seal(record.number, &last.seal, &record.entry) {
                return broken(record.number, "its seal does not fit what it says and the entry before it");
            }
            if record.number == marks.head.number {
                if record.seal != marks.head.seal {
                    return broken(record.number, "its seal is not the one that was noted");
                }
                seen_head = true;
            }
            last = record.anchor();
        }
    }
    if seen_head {
        return Ok(Ok(AuditMarks { floor: marks.floor.clone(), head: last }));
    }
    broken(last.number + 1, "it is missing, and all that came after it")
}

fn broken<T>(number: u64, problem: &'static str) -> Result<Result<T, BrokenAudit>> {
    Ok(Err(BrokenAudit { number, problem }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_depends_on_every_field_and_its_place() {
        let entry = AuditEntry { who: "ab".into(), address: "c".into(), ..AuditEntry::default() };
        let first = AuditRecord::after(&AuditAnchor::default(), entry.clone());
        assert_eq!((first.number, first.seal.len()), (1, 64));
        let moved = AuditEntry { who: "a".into(), address: "bc".into(), ..AuditEntry::default() };
        let mut seals = vec![first.seal.clone(), AuditRecord::after(&AuditAnchor::default(), moved).seal];
        seals.push(AuditRecord::after(&first.anchor(), entry.clone()).seal);
        let changes: [fn(&mut AuditEntry); 8] = [
            |entry| entry.at = Timestamp::from_secs(1),
            |entry| entry.who.clear(),
            |entry| entry.address.clear(),
            |entry| entry.action.push('x'),
            |entry| entry.subject.push('x'),
            |entry| entry.detail.push('x'),
            |entry| entry.before.push('x'),
            |entry| entry.after.push('x'),
        ];
        for change in changes {
            let mut other = entry.clone();
            change(&mut other);
            seals.push(AuditRecord::after(&AuditAnchor::default(), other).seal);
        }
        let different: std::collections::HashSet<_> = seals.iter().collect();
        assert_eq!(different.len(), seals.len());
    }
}
