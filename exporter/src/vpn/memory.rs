//! What is remembered of a service between two pages.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::config::Port;

/// A user whose counters moved within this time is online.
const ONLINE: Duration = Duration::from_secs(180);

/// The memories of all services.
#[derive(Debug)]
pub struct Memories {
    /// How long data counts as moving after it last did.
    pub window: Duration,
    all: HashMap<String, Memory>,
}

/// The memory of one service.
#[derive(Debug, Default)]
pub struct Memory {
    ports: Vec<Port>,
    work: Option<u64>,
    moved: Option<Instant>,
    /// Counter and last growth by user; under a hash, so that no name outlives the page.
    users: HashMap<u64, (u64, Option<Instant>)>,
    hasher: RandomState,
}

impl Memories {
    /// Nothing is known yet.
    pub fn new(window: Duration) -> Self {
        Self { window, all: HashMap::new() }
    }

    /// The memory of one service.
    pub fn of(&mut self, key: &str) -> &mut Memory {
        self.all.entry(key.to_owned()).or_default()
    }

    /// Forgets services that are gone.
    pub fn keep_only(&mut self, keys: &BTreeSet<String>) {
        self.all.retain(|key, _| keys.contains(key));
    }

    /// Remembers the ports of a service, or fills in those that it had.
    pub fn recall_ports(&mut self, key: &str, ports: &mut Vec<Port>) {
        let known = &mut self.of(key).ports;
        if ports.is_empty() {
            ports.clone_from(known);
        } else {
            known.clone_from(ports);
        }
    }
}

impl Memory {
    /// Whether the counter has grown within the window, up to now; at the first value, `hint` may know. `None`
    /// when neither can say. A counter that falls has started anew, which is no growth.
    pub fn moved(&mut self, work: Option<u64>, hint: Option<bool>, window: Duration) -> Option<bool> {
        let before = self.work;
        self.work = work;
        match (before, work) {
            (Some(before), Some(work)) if work <= before => {}
            (Some(_), Some(_)) => self.moved = Some(Instant::now()),
            _ if hint == Some(true) => self.moved = Some(Instant::now()),
            _ => return hint,
        }
        Some(self.moved.is_some_and(|moved| moved.elapsed() <= window))
    }

    /// Number of users whose counters have grown lately. `None` before there are two values.
    pub fn online(&mut self, users: &[(String, u64)]) -> Option<u64> {
        let is_first = self.users.is_empty();
        let now = Instant::now();
        let mut next = HashMap::with_capacity(users.len());
        for (name, total) in users {
            let hash = self.hasher.hash_one(name);
            let moved = match self.users.get(&hash) {
                Some((before, moved)) if total <= before => *moved,
                Some(_) => Some(now),
                // A user counted for the first time has just come.
                None => (!is_first && *total > 0).then_some(now),
            };
            next.insert(hash, (*total, moved));
        }
        self.users = next;
        let online = |moved: &Option<Instant>| moved.is_some_and(|moved| now.duration_since(moved) <= ONLINE);
        (!is_first).then(|| self.users.values().filter(|(_, moved)| online(moved)).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);

    #[test]
    fn data_moves_when_a_counter_grows() {
        let mut memory = Memory::default();
        assert_eq!(memory.moved(None, None, WINDOW), None);
        assert_eq!(memory.moved(Some(10), None, WINDOW), None, "one value is no movement");
        assert_eq!(memory.moved(Some(10), None, WINDOW), Some(false));
        assert_eq!(memory.moved(Some(11), None, WINDOW), Some(true));
        assert_eq!(memory.moved(Some(11), None, WINDOW), Some(true), "within the window");
        assert_eq!(memory.moved(Some(11), None, Duration::ZERO), Some(false));
        let mut restarted = Memory::default();
        restarted.moved(Some(10), None, WINDOW);
        assert_eq!(restarted.moved(Some(3), None, WINDOW), Some(false));
    }

    #[test]
    fn a_fresh_handshake_counts_until_its_window_ends() {
        let mut memory = Memory::default();
        assert_eq!(memory.moved(Some(10), Some(true), WINDOW), Some(true));
        assert_eq!(memory.moved(Some(10), Some(true), WINDOW), Some(true), "still within the window");
        assert_eq!(memory.moved(Some(10), Some(true), Duration::ZERO), Some(false), "the counter knows better");
    }

    #[test]
    fn users_are_online_while_their_counters_grow() {
        let mut memory = Memory::default();
        let users = |a: u64, b: u64| vec![("a".to_owned(), a), ("b".to_owned(), b)];
        assert_eq!(memory.online(&users(5, 5)), None);
        assert_eq!(memory.online(&users(5, 5)), Some(0));
        assert_eq!(memory.online(&users(6, 5)), Some(1));
        let mut three = users(6, 5);
        three.push(("c".to_owned(), 1));
        assert_eq!(memory.online(&three), Some(2), "c has come");
    }

    #[test]
    fn ports_outlive_the_service_that_had_them() {
        let mut memories = Memories::new(WINDOW);
        let mut ports = vec![Port::udp(1194)];
        memories.recall_ports("a", &mut ports);
        ports.clear();
        memories.recall_ports("a", &mut ports);
        assert_eq!(ports, [Port::udp(1194)]);
        memories.keep_only(&BTreeSet::new());
        ports.clear();
        memories.recall_ports("a", &mut ports);
        assert!(ports.is_empty());
    }
}
