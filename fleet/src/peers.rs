//! What collectors of one fleet tell each other beside the store. Must not know how it travels.
//!
//! News are hints, never truth: whoever misses one finds the same in the store a little later, and nothing that
//! matters, such as a role or a password, is ever in one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::server::ServerId;
use crate::throttle::{AttemptKeys, KnownClient, LoginThrottle};
use crate::view::Standing;

/// News that wait to be told. When the way is slow, later ones are dropped: the store tells them too.
const OUTBOX: usize = 256;

/// Changed users that wait for somebody to take note; who remembers users does not believe its memory for long anyway.
const MAX_CHANGED_USERS: usize = 1024;

/// Something that the other collectors may want to know at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// These standings have been made durable.
    Standings(Vec<(ServerId, Standing)>),
    /// An operator changed the inventory: look at the store.
    Inventory,
    /// This user was changed or deleted: forget what you remember of it.
    User(String),
    /// A login failed.
    FailedLogin(AttemptKeys),
    /// A user signed in from this address.
    KnownClient(KnownClient),
    /// I am here. Said every few seconds, so that a silent way is noticed.
    Alive,
}

/// Tells the other collectors. Without any, it tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Peers(Option<mpsc::Sender<News>>);

impl Peers {
    /// Peers, and the news for them in the order in which they are told.
    pub fn new() -> (Self, mpsc::Receiver<News>) {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        (Self(Some(outbox)), inbox)
    }

    /// Tells them, sooner or later or never; returns at once.
    pub fn tell(&self, news: News) {
        if let Some(outbox) = &self.0 {
            // Full: they will read it in the store.
            let _ = outbox.try_send(news);
        }
    }

    /// Tells them what was recorded. Costs nothing when there is nobody to tell.
    pub fn tell_standings<'a>(&self, recorded: impl Iterator<Item = (ServerId, &'a Standing)>) {
        if self.0.is_some() {
            self.tell(News::Standings(recorded.map(|(server, standing)| (server, standing.clone())).collect()));
        }
    }
}

/// The users that other collectors told to have changed, until somebody who remembers users takes note.
#[derive(Debug, Default)]
pub struct UserChanges {
    /// Spares requests the lock as long as there is nothing.
    any: AtomicBool,
    usernames: Mutex<Vec<String>>,
}

impl UserChanges {
    /// Another collector changed a user.
    pub fn heard(&self, username: String) {
        let mut usernames = self.usernames.lock().unwrap_or_else(PoisonError::into_inner);
        if usernames.len() < MAX_CHANGED_USERS {
            usernames.push(username);
        }
        self.any.store(true, Ordering::Release);
    }

    /// The users heard of since the last call.
    pub fn take(&self) -> Vec<String> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut self.usernames.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a collector shares with the others beside the store. The default is that of one who is alone.
#[derive(Clone, Default)]
pub struct Neighbours {
    /// Tells them.
    pub peers: Peers,
    /// Counts failed logins, theirs too.
    pub throttle: Arc<LoginThrottle>,
    /// Users that they changed.
    pub users: Arc<UserChanges>,
}

impl Neighbours {
    /// What is shared by way of `peers`.
    pub fn of(peers: Peers) -> Self {
        Self { throttle: Arc::new(LoginThrottle::new(peers.clone())), users: Arc::default(), peers }
    }
}
