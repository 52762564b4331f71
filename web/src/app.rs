//! What every handler can reach.

use std::sync::Arc;

use mect_fleet::collecting::Collecting;
use mect_fleet::store::{Accounts, History, Journal};
use mect_fleet::{Fleet, LoginThrottle, Neighbours};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::audit::Audit;
use crate::auth::old_hashes::OldHashes;
use crate::auth::password::Passwords;
use crate::auth::session::Cookies;
use crate::auth::token::Tokens;
use crate::auth::users::Users;
use crate::federate;
use crate::pages::day::Day;
use crate::pages::status;
use crate::pages::strips::Strips;
use crate::pages::summary::Summaries;
use crate::rest::list::Lists;
use crate::rest::v1::incidents::Incidents;
use crate::rest::v1::stream::feed::Feed;
use crate::settings::Settings;

/// What the web side is made of; joined by the program.
#[derive(Clone)]
pub struct Parts {
    /// The fleet: its view is read, operator intent goes in.
    pub fleet: Arc<Fleet>,
    /// Users and sessions.
    pub accounts: Arc<dyn Accounts>,
    /// Past transitions.
    pub history: Arc<dyn History>,
    /// Events and the audit.
    pub journal: Arc<dyn Journal>,
    /// What is shared with other collectors beside the store.
    pub neighbours: Neighbours,
    /// The part that collects, as far as it can be asked.
    pub collecting: Collecting,
    /// The process's own metrics, shown at `/metrics`.
    pub registry: Arc<Registry>,
    /// What the operator decided.
    pub settings: Settings,
}

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) users: Users,
    pub(crate) history: Arc<dyn History>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) incidents: Incidents,
    pub(crate) feed: Arc<Feed>,
    pub(crate) summaries: Arc<Summaries>,
    pub(crate) day: Arc<Day>,
    pub(crate) strips: Arc<Strips>,
    pub(crate) throttle: Arc<LoginThrottle>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) collecting: Collecting,
    pub(crate) settings: Settings,
    pub(crate) passwords: Passwords,
    pub(crate) old_hashes: OldHashes,
    pub(crate) audit: Audit,
    pub(crate) tokens: Tokens,
    pub(crate) cookies: Cookies,
    pub(crate) lists: Arc<Lists>,
    pub(crate) status: status::Kept,
    /// Turns to make an answer of `/federate`.
    pub(crate) federation: Arc<Semaphore>,
}

/// Handle that axum clones per request.
pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        let settings = parts.settings;
        Self {
            users: Users::new(parts.accounts, Arc::clone(&parts.fleet), &parts.neighbours),
            fleet: parts.fleet,
            history: parts.history,
            journal: Arc::clone(&parts.journal),
            incidents: Incidents::default(),
            feed: Arc::new(Feed::new()),
            summaries: Arc::default(),
            day: Arc::default(),
            strips: Arc::default(),
            throttle: parts.neighbours.throttle,
            registry: parts.registry,
            collecting: parts.collecting,
            passwords: Passwords::new(),
            old_hashes: OldHashes::default(),
            audit: Audit::new(parts.journal),
            tokens: Tokens::new(&settings.token_keys()),
            cookies: Cookies::new(&settings),
            status: status::Kept::default(),
            federation: Arc::new(Semaphore::new(federate::MAX_AT_ONCE)),
            lists: Arc::new(Lists::new(settings.list_key.clone())),
            settings,
        }
    }
}
