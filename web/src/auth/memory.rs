//! What the store said last, for a time in which it says nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Entries of one kind; beyond it the memory starts afresh. Only what exists in the store is kept, so it is a safety
/// net.
const MAX_REMEMBERED: usize = 4096;

/// Values by key, each with the moment at which the store confirmed it.
pub(crate) struct Memory<K, V>(HashMap<K, (Instant, Arc<V>)>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Memory<K, V> {
    /// The value, if the store confirmed it less than `trust` ago.
    pub(crate) fn get<Q>(&self, key: &Q, trust: Duration) -> Option<Arc<V>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (confirmed, value) = self.0.get(key)?;
        (confirmed.elapsed() < trust).then(|| Arc::clone(value))
    }

    /// Takes over what the store just said.
    pub(crate) fn learn(&mut self, key: K, value: Option<Arc<V>>) {
        if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(&key) {
            self.0.clear();
        }
        match value {
            Some(value) => self.0.insert(key, (Instant::now(), value)),
            None => self.0.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trust_ends() {
        let mut memory = Memory::default();
        memory.learn("a".to_owned(), Some(Arc::new(1)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(memory.get("a", Duration::from_secs(6)).as_deref(), Some(&1));
        assert_eq!(memory.get("a", Duration::from_secs(5)), None);
        memory.learn("a".to_owned(), None);
        assert_eq!(memory.get("a", Duration::from_secs(60)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..MAX_REMEMBERED * 3 {
            memory.learn(number, Some(Arc::new(())));
            assert!(memory.0.len() <= MAX_REMEMBERED);
        }
    }
}
