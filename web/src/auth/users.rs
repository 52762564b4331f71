//! Accounts with a small memory, so that a request with a bearer token costs no store access.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mect_fleet::User;
use mect_fleet::store::{Accounts, Result};

/// How long an account is believed without asking the store. Changes made here are seen at once; a change made by
/// another instance, or behind our back in the database, after at most this time.
const TRUST: Duration = Duration::from_secs(2);
/// Accounts remembered; beyond it the memory starts afresh. Only users who exist are kept, so it is a safety net.
const MAX_REMEMBERED: usize = 4096;

/// Users by name.
pub(crate) struct Users {
    accounts: Arc<dyn Accounts>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    users: HashMap<String, (Instant, Arc<User>)>,
    /// Counts changes: what was read before one is not remembered after it.
    changes: u64,
}

impl Users {
    pub(crate) fn new(accounts: Arc<dyn Accounts>) -> Self {
        Self { accounts, memory: Mutex::default() }
    }

    /// The store itself, for sessions and for logins, which must see the newest state.
    pub(crate) fn accounts(&self) -> &dyn Accounts {
        &*self.accounts
    }

    /// The user of that name, at most [`TRUST`] old.
    pub(crate) async fn find(&self, username: &str) -> Result<Option<Arc<User>>> {
        let changes = {
            let memory = self.memory();
            match memory.users.get(username) {
                Some((read_at, user)) if read_at.elapsed() < TRUST => return Ok(Some(Arc::clone(user))),
                _ => memory.changes,
            }
        };
        let user = self.accounts.user(username).await?.map(Arc::new);
        let mut memory = self.memory();
        if memory.changes == changes {
            if memory.users.len() >= MAX_REMEMBERED {
                memory.users.clear();
            }
            match &user {
                Some(user) => memory.users.insert(username.to_owned(), (Instant::now(), Arc::clone(user))),
                None => memory.users.remove(username),
            };
        }
        Ok(user)
    }

    /// Gives `user` a new password hash. Raises the epoch: every token and session so far is void.
    pub(crate) async fn set_password(&self, user: &User, password_hash: String) -> Result<User> {
        let changed = self.accounts.set_password(&user.username, user.epoch, password_hash, false).await;
        // Forgotten even when it failed: a conflict means that what we remember is old.
        let mut memory = self.memory();
        memory.changes += 1;
        memory.users.remove(&user.username);
        changed
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
