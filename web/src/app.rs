//! What every handler can reach.

use std::sync::Arc;

use mect_fleet::Fleet;
use mect_fleet::store::{Accounts, History};
use prometheus_client::registry::Registry;

use crate::auth::password::Passwords;
use crate::auth::session::Cookies;
use crate::auth::token::Tokens;
use crate::auth::users::Users;
use crate::rest::list::Lists;
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
    pub(crate) registry: Arc<Registry>,
    pub(crate) settings: Settings,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) cookies: Cookies,
    pub(crate) lists: Lists,
}

/// Handle that axum clones per request.
pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        let settings = parts.settings;
        Self {
            fleet: parts.fleet,
            users: Users::new(parts.accounts),
            history: parts.history,
            registry: parts.registry,
            passwords: Passwords::new(),
            tokens: Tokens::new(settings.token_secret(), settings.token_lifetime),
            cookies: Cookies::new(&settings),
            lists: Lists::default(),
            settings,
        }
    }
}
