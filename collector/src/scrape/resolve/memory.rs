//! What is remembered of names: their addresses, and why there are none. Opens no socket, knows no runtime.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An answer is good for this long; the system resolver does not tell the record's own time.
pub(super) const TTL: Duration = Duration::from_secs(60);
/// That there is no such name is good for less: one wrong answer must not fail the re-checks, too.
pub(super) const NOBODY_TTL: Duration = Duration::from_secs(10);
/// A name that nobody asked for in this time is forgotten: lists of targets come and go.
const MEMORY: Duration = Duration::from_secs(86_400);
/// What getaddrinfo says when a name server says that there is no such name, or no address of it (EAI_NONAME, EAI_NODATA).
/// The standard library keeps only the text.
pub(super) const NO_SUCH_NAME: [&str; 2] = ["Name or service not known", "No address associated with hostname"];

#[derive(Default)]
pub(super) struct Memory {
    pub(super) known: HashMap<Box<str>, Known>,
    /// Names that are to be looked up, and whether that has begun.
    pub(super) asked: HashMap<Box<str>, bool>,
    /// Names that go without an answer, and since when.
    pub(super) unanswered: HashMap<Box<str>, Instant>,
    /// Names of which a name server last said that there is no such one, and when.
    nobody: HashMap<Box<str>, Instant>,
    /// When a name server answered for any name, if only that there is no such name.
    answered_at: Option<Instant>,
    /// Entries that were left when those that nobody asks for were forgotten.
    left: usize,
}

/// What came of looking a name up.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) at: Instant,
    used_at: Instant,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Why a name has no addresses.
pub(super) enum Nothing {
    /// A name server said so.
    Told(String),
    /// No name server answered, or not in time.
    Unanswered(String),
    /// Nobody was asked: too many other look-ups hang.
    NotAsked,
}

impl Nothing {
    /// The answer is not there in time.
    pub(super) fn not_yet(has_begun: bool) -> Self {
        if has_begun { Self::Unanswered("no answer from the resolver in time".into()) } else { Self::NotAsked }
    }
}

impl Memory {
    /// What is known of a name that is asked for.
    pub(super) fn recall(&mut self, host: &str) -> Option<Known> {
        let known = self.known.get_mut(host)?;
        known.used_at = Instant::now();
        Some(known.clone())
    }

    /// A name is to be looked up, from now on. If that is so already: whether it has begun.
    pub(super) fn ask(&mut self, host: &str) -> Option<bool> {
        let has_begun = self.asked.get(host).copied();
        if has_begun.is_none() {
            self.asked.insert(host.into(), false);
        }
        has_begun
    }

    pub(super) fn has_begun(&self, host: &str) -> bool {
        self.asked.get(host).copied().unwrap_or_default()
    }

    /// Takes what came of looking `host` up.
    pub(super) fn take(
        &mut self,
        host: &str,
        now: Instant,
        answer: io::Result<Vec<SocketAddr>>,
    ) -> Result<Vec<SocketAddr>, Nothing> {
        self.asked.remove(host);
        let nothing = match answer {
            Ok(addresses) => {
                self.learn(host, now, addresses.clone());
                return Ok(addresses);
            }
            Err(error) => nothing(&error),
        };
        if let Nothing::Told(_) = nothing {
            self.answered_at = Some(now);
            self.known.remove(host);
            self.nobody.insert(host.into(), now);
        }
        Err(nothing)
    }

    pub(super) fn learn(&mut self, host: &str, now: Instant, addresses: Vec<SocketAddr>) {
        self.answered_at = Some(now);
        self.unanswered.remove(host);
        self.nobody.remove(host);
        self.known.insert(host.into(), Known { at: now, used_at: now, addresses });
        self.prune(now);
    }

    /// True when a name server last said, no longer than `age` ago, that there is no such name.
    pub(super) fn is_nobody(&self, host: &str, age: Duration) -> bool {
        self.nobody.get(host).is_some_and(|at| at.elapsed() < age)
    }

    /// True when a name server answered for other names since `host` first went without an answer; or for `host`, too late,
    /// that there is no such name. Asked for a name that goes without `now`.
    pub(super) fn lacks_only(&mut self, host: &str, now: Instant) -> bool {
        let since = *self.unanswered.entry(host.into()).or_insert(now);
        self.prune(now);
        self.answered_at.is_some_and(|at| at > since) || self.is_nobody(host, 2 * TTL)
    }

    /// Forgets what nobody asks for. As many new entries again pay for the look at all.
    fn prune(&mut self, now: Instant) {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < MEMORY;
        if self.known.len() + self.unanswered.len() + self.nobody.len() > 2 * self.left {
            self.known.retain(|_, known| is_recent(&known.used_at));
            self.unanswered.retain(|_, at| is_recent(at));
            self.nobody.retain(|_, at| is_recent(at));
            self.left = self.known.len() + self.unanswered.len() + self.nobody.len();
        }
    }
}

fn nothing(error: &io::Error) -> Nothing {
    let said = error.to_string();
    let is_told = NO_SUCH_NAME.iter().any(|text| said.contains(text));
    if is_told { Nothing::Told(said) } else { Nothing::Unanswered(said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> io::Error {
        io::Error::other(format!("failed to lookup address information: {text}"))
    }

    fn good() -> Vec<SocketAddr> {
        vec![SocketAddr::from(([192, 0, 2, 1], 1))]
    }

    #[test]
    fn names_that_nobody_asks_for_are_forgotten() {
        let mut memory = Memory::default();
        let start = Instant::now();
        for number in 0..1000_u32 {
            memory.learn(&format!("old{number}"), start, good());
            assert!(!memory.lacks_only(&format!("lost{number}"), start));
            let gone = memory.take(&format!("gone{number}"), start, Err(error(NO_SUCH_NAME[0])));
            assert!(gone.is_err());
        }
        for number in 0..3000_u32 {
            memory.learn(&format!("new{number}"), start + 2 * MEMORY, good());
        }
        assert_eq!(memory.known.len(), 3000);
        assert!(memory.unanswered.is_empty() && memory.nobody.is_empty());
    }
}
