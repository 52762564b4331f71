//! Accounts and sessions with a small memory: a request with a bearer token costs no store access, and who was known
//! stays known while the store is away.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mect_fleet::store::{Accounts, Result as StoreResult};
use mect_fleet::{ApiToken, Fleet, Neighbours, News, Peers, Session, Timestamp, User, UserChanges};
use tokio::time::Instant;

use crate::auth::memory::Memory;
use crate::auth::token::Claims;
use crate::error::Error;
use crate::patience;

/// How long an account is believed without asking the store. Changes made here are seen at once; a change made by
/// another instance as soon as it tells, and made behind our back in the database after at most this time.
const TRUST: Duration = Duration::from_secs(2);
/// How long an account or session is believed while the store does not answer. Longer, and operators keep sight of the
/// fleet through a longer outage; but as long works who was demoted, or signed out elsewhere, right before it. Such a
/// one can look, not touch: without the store nothing can be changed.
const TRUST_IN_OUTAGE: Duration = Duration::from_secs(60 * 60);
/// After an unanswered question, what is remembered serves for this long before the store is asked again: else every
/// request of the first moments of an outage would wait.
const PAUSE: Duration = Duration::from_secs(1);
/// Sessions remembered as ended although the store could not be told; beyond it the oldest news is lost, and the
/// browser has dropped the cookie anyway.
const MAX_ENDED: usize = 4096;
/// The store is told of the use of an API token this often.
const TOUCH_EVERY: Duration = Duration::from_secs(5 * 60);

/// Users by name, and sessions by digest.
pub(crate) struct Users {
    accounts: Arc<dyn Accounts>,
    fleet: Arc<Fleet>,
    known: Mutex<Known>,
    peers: Peers,
    changed_elsewhere: Arc<UserChanges>,
    revoked: Mutex<Revoked>,
    /// Held by who asks the store for void tokens: one is enough.
    asking_for_revoked: tokio::sync::Mutex<()>,
}

/// Identities of void access tokens, as the store knew them at some time.
#[derive(Default)]
struct Revoked {
    ids: HashSet<[u8; 16]>,
    asked: Option<Instant>,
    /// Made void here since: an answer that is on its way may not know of them.
    lately: HashSet<[u8; 16]>,
}

impl Revoked {
    fn learn(&mut self, ids: Vec<[u8; 16]>) {
        self.ids = ids.into_iter().chain(self.lately.drain()).collect();
        self.asked = Some(Instant::now());
    }

    fn contains(&self, id: &[u8; 16]) -> bool {
        self.ids.contains(id) || self.lately.contains(id)
    }
}

#[derive(Default)]
struct Known {
    users: Memory<String, User>,
    sessions: Memory<[u8; 32], Session>,
    tokens: Memory<[u8; 32], ApiToken>,
    /// When the store was last told of the use of a token.
    touched: Memory<[u8; 32], ()>,
    ended: HashSet<[u8; 32]>,
    /// Counts changes: what was read before one is not remembered after it.
    changes: u64,
    /// When a question was last left unanswered.
    unanswered: Option<Instant>,
}

impl Known {
    /// What is known of a user is old, and perhaps of what the user held.
    fn forget(&mut self, username: String) {
        self.changes += 1;
        self.tokens = Memory::default();
        self.users.learn(username, None);
    }
}

impl Users {
    pub(crate) fn new(accounts: Arc<dyn Accounts>, fleet: Arc<Fleet>, neighbours: &Neighbours) -> Self {
        let (peers, changed_elsewhere) = (neighbours.peers.clone(), Arc::clone(&neighbours.users));
        Self {
            accounts,
            fleet,
            known: Mutex::default(),
            peers,
            changed_elsewhere,
            revoked: Mutex::default(),
            asking_for_revoked: tokio::sync::Mutex::default(),
        }
    }

    /// The store itself, for logins, which must see the newest state.
    pub(crate) fn accounts(&self) -> &dyn Accounts {
        &*self.accounts
    }

    /// The user of that name, at most [`TRUST`] old; older only while the store does not answer.
    pub(crate) async fn find(&self, username: &str) -> Result<Option<Arc<User>>, Error> {
        self.changed_elsewhere.take().into_iter().for_each(|username| self.known().forget(username));
        let (remembered, changes) = {
            let known = self.known();
            if let Some(recent) = known.users.get(username, TRUST) {
                return Ok(Some(recent));
            }
            (known.users.get(username, TRUST_IN_OUTAGE), known.changes)
        };
        match self.ask(remembered.is_some(), self.accounts.user(username)).await {
            Ok(user) => {
                let user = user.map(Arc::new);
                let mut known = self.known();
                if known.changes == changes {
                    known.users.learn(username.to_owned(), user.clone());
                }
                Ok(user)
            }
            Err(error) => remembered.filter(|_| error.is_outage()).map(Some).ok_or(error),
        }
    }

    /// The session with that digest; a remembered one only while the store does not answer.
    pub(crate) async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Arc<Session>>, Error> {
        let remembered = {
            let known = self.known();
            if known.ended.contains(digest) {
                return Ok(None);
            }
            known.sessions.get(digest, TRUST_IN_OUTAGE).filter(|session| session.expires_at > now)
        };
        match self.ask(remembered.is_some(), self.accounts.session(digest, now)).await {
            Ok(session) => {
                let session = session.map(Arc::new);
                let mut known = self.known();
                if !known.ended.contains(digest) {
                    known.sessions.learn(*digest, session.clone());
                }
                Ok(session)
            }
            Err(error) => remembered.filter(|_| error.is_outage()).map(Some).ok_or(error),
        }
    }

    /// Ends a session. It is over here even if the store cannot be told.
    pub(crate) async fn end_session(&self, digest: &[u8; 32]) -> Result<(), Error> {
        {
            let mut known = self.known();
            known.sessions.learn(*digest, None);
            if known.ended.len() >= MAX_ENDED {
                known.ended.clear();
            }
            known.ended.insert(*digest);
        }
        match self.ask(false, self.accounts.delete_session(digest)).await {
            Err(error) if !error.is_outage() => Err(error),
            _ => Ok(()),
        }
    }

    /// The API token with that digest, at most [`TRUST`] old; older only while the store does not answer.
    pub(crate) async fn api_token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Arc<ApiToken>>, Error> {
        let lasts = |token: &Arc<ApiToken>| token.expires_at.is_none_or(|expires_at| now < expires_at);
        let (recent, remembered) = {
            let known = self.known();
            (known.tokens.get(digest, TRUST), known.tokens.get(digest, TRUST_IN_OUTAGE).filter(lasts))
        };
        if let Some(token) = recent.filter(lasts) {
            self.touch(&token, now);
            return Ok(Some(token));
        }
        match self.ask(remembered.is_some(), self.accounts.token(digest, now)).await {
            Ok(token) => {
                let token = token.map(Arc::new);
                self.known().tokens.learn(*digest, token.clone());
                token.iter().for_each(|token| self.touch(token, now));
                Ok(token)
            }
            Err(error) => remembered.filter(|_| error.is_outage()).map(Some).ok_or(error),
        }
    }

    /// Notes the use of a token, now and then, beside the request.
    fn touch(&self, token: &ApiToken, now: Timestamp) {
        {
            let mut known = self.known();
            let is_noted = token.last_used_at.is_some_and(|at| now.since(at) < TOUCH_EVERY);
            if is_noted || known.touched.get(&token.digest, TOUCH_EVERY).is_some() {
                return;
            }
            known.touched.learn(token.digest, Some(Arc::new(())));
        }
        let (accounts, digest) = (Arc::clone(&self.accounts), token.digest);
        tokio::spawn(async move {
            if let Err(error) = patience::long(accounts.touch_token(&digest, now)).await {
                tracing::debug!(%error, "the use of an API token was not noted");
            }
        });
    }

    /// Revokes an API token of a user; false when there is none of that name.
    pub(crate) async fn delete_token(&self, username: &str, name: &str) -> Result<bool, Error> {
        let deleted = patience::long(self.accounts.delete_token(username, name)).await?;
        // Which of the remembered ones it was is not worth a search.
        self.known().tokens = Memory::default();
        Ok(deleted)
    }

    /// True when the token with these claims was made void, here or elsewhere at least [`TRUST`] ago.
    pub(crate) async fn is_revoked(&self, claims: &Claims, now: Timestamp) -> Result<bool, Error> {
        let asked = self.revoked().asked;
        if asked.is_none_or(|asked| asked.elapsed() >= TRUST) {
            // Who knows an older list goes on with it while another one asks.
            let turn = match asked {
                Some(_) => self.asking_for_revoked.try_lock().ok(),
                None => Some(self.asking_for_revoked.lock().await),
            };
            if turn.is_some() && self.revoked().asked == asked {
                match self.ask(asked.is_some(), self.accounts.revoked(now)).await {
                    Ok(ids) => self.revoked().learn(ids),
                    // Without the store, what was known last counts; the account is looked at all the same.
                    Err(error) if error.is_outage() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let revoked = self.revoked();
        Ok(revoked.contains(&claims.jti) || claims.sid.is_some_and(|sid| revoked.contains(&sid)))
    }

    /// Makes the access tokens with that identity void; the last of them expires at `until`.
    pub(crate) async fn revoke(&self, id: [u8; 16], until: Timestamp) -> Result<(), Error> {
        patience::long(self.accounts.revoke(&id, until)).await?;
        self.revoked().lately.insert(id);
        Ok(())
    }

    fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `user` a new password hash. Raises the epoch: every token and session so far is void.
    pub(crate) async fn set_password(
        &self,
        user: &User,
        password_hash: String,
        must_change: bool,
    ) -> Result<User, Error> {
        let change = self.accounts.set_password(&user.username, user.epoch, password_hash, must_change);
        self.change(&user.username, change).await
    }

    /// Makes a change of a user, here and at once; the others are told.
    pub(crate) async fn change<T>(
        &self,
        username: &str,
        change: impl Future<Output = StoreResult<T>>,
    ) -> Result<T, Error> {
        let changed = patience::long(change).await;
        // Even when it failed: a conflict means that what we remember is old.
        self.known().forget(username.to_owned());
        self.peers.tell(News::User(username.to_owned()));
        changed
    }

    /// Asks the store, unless it is known to be away or, when there is another way, was silent just now.
    async fn ask<T>(&self, has_other_way: bool, question: impl Future<Output = StoreResult<T>>) -> Result<T, Error> {
        let was_silent = || self.known().unanswered.is_some_and(|at| at.elapsed() < PAUSE);
        if self.fleet.store_state().is_lost() || has_other_way && was_silent() {
            return Err(Error::StoreLost);
        }
        let answer = if has_other_way { patience::short(question).await } else { patience::long(question).await };
        let is_outage = answer.as_ref().is_err_and(Error::is_outage);
        self.known().unanswered = is_outage.then(Instant::now);
        answer
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
