//! Answers that many readers get: rendered once per published view, and shared.
//!
//! The two lists of the old contract, their public form and the loads are kept for as long as their view is the newest
//! one. What a filter cuts out of them is kept too, as far as a small budget reaches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mect_fleet::{Fleet, FleetView};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::rest::loads::{self, Naming};
use crate::rest::server_json::ServerJson;
use crate::signature::ListKey;

pub(crate) mod body;
mod conditions;
pub(crate) mod described;
mod fields;
pub(crate) mod filter;
pub(crate) mod query;

use body::{Body, Terms};
use fields::Cut;
use query::ListQuery;

/// Answers to different filters that are kept for one view.
const MAX_KEPT: usize = 64;
/// Their size together, before packing. A filter that cuts more out of a large fleet is rendered for each request.
const MAX_KEPT_BYTES: usize = 32 * 1024 * 1024;
/// Answers rendered at a time: 50,000 servers keep a processor busy for some 100 ms, and others want theirs too.
const MAX_RENDERING: usize = 2;
/// The same for who shows no token: strangers do not keep the others waiting.
const MAX_RENDERING_PUBLIC: usize = 1;
/// Who has a token asks whether there is news every time: 304 costs little.
const PRIVATE: &str = "private, no-cache";
/// Caches between us and clients without a token may keep the list for so many seconds.
const PUBLIC: &str = "public, max-age=10";

/// An answer that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Servers, for who has a token.
    List(ListQuery),
    /// Servers with all that needs no token.
    PublicList(ListQuery),
    /// Loads and scores alone.
    Loads(Naming),
}

impl Question {
    /// Everybody asks it: kept whatever its size.
    fn is_common(&self) -> bool {
        match self {
            Self::List(query) | Self::PublicList(query) => query.is_plain(),
            Self::Loads(_) => true,
        }
    }

    fn caching(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Loads(_) => PRIVATE,
            Self::PublicList(_) => PUBLIC,
        }
    }

    fn render(&self, view: &FleetView) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::List(query) => render(view, query, ServerJson::of),
            Self::PublicList(query) => render(view, query, ServerJson::without_token),
            Self::Loads(naming) => loads::render(view, *naming),
        }
    }
}

/// An answer and the view that it was rendered from.
pub(crate) struct Answer {
    pub(crate) body: Arc<Body>,
    pub(crate) view: Arc<FleetView>,
}

/// The answers to what is asked of the newest view.
pub(crate) struct Lists {
    key: Option<ListKey>,
    kept: Mutex<Kept>,
    rendering: Semaphore,
    rendering_public: Semaphore,
}

#[derive(Default)]
struct Kept {
    view: Arc<FleetView>,
    answers: HashMap<Question, Arc<OnceCell<Arc<Body>>>>,
    /// Of those that are not common.
    bytes: usize,
    /// The common answers to the view before: what did not change need not be packed again.
    before: HashMap<Question, Arc<Body>>,
}

impl Lists {
    pub(crate) fn new(key: Option<ListKey>) -> Self {
        Self {
            key,
            kept: Mutex::default(),
            rendering: Semaphore::new(MAX_RENDERING),
            rendering_public: Semaphore::new(MAX_RENDERING_PUBLIC),
        }
    }

    /// The answer to `question` as of now. Of those who ask the same at once, one renders and the others wait for it.
    pub(crate) async fn answer(self: &Arc<Self>, fleet: &Fleet, question: Question) -> Result<Answer, Error> {
        let (view, cell, before) = self.kept().find(fleet, &question);
        if let Some(body) = cell.get() {
            return Ok(Answer { body: Arc::clone(body), view });
        }
        let body = cell.get_or_try_init(|| self.render(Arc::clone(&view), question.clone(), before)).await?;
        let body = Arc::clone(body);
        self.kept().account(&view, &question, &cell, &body);
        Ok(Answer { body, view })
    }

    async fn render(
        self: &Arc<Self>,
        view: Arc<FleetView>,
        question: Question,
        before: Option<Arc<Body>>,
    ) -> Result<Arc<Body>, Error> {
        let turns = match question {
            Question::PublicList(_) => &self.rendering_public,
            Question::List(_) | Question::Loads(_) => &self.rendering,
        };
        let _permit = turns.acquire().await.map_err(|error| Error::Internal(Box::new(error)))?;
        let lists = Arc::clone(self);
        let render = move || {
            let key = lists.key.as_ref().filter(|_| !matches!(question, Question::Loads(_)));
            let terms = Terms { at: view.published_at(), caching: question.caching(), key };
            Ok::<_, serde_json::Error>(Body::new(question.render(&view)?, &terms, before))
        };
        let rendered = spawn_blocking(render).await.map_err(|error| Error::Internal(Box::new(error)))?;
        rendered.map_err(|error| Error::Internal(Box::new(error)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Cell = Arc<OnceCell<Arc<Body>>>;

impl Kept {
    /// The newest view, and the place of an answer to it; also the answer to the view before.
    fn find(&mut self, fleet: &Fleet, question: &Question) -> (Arc<FleetView>, Cell, Option<Arc<Body>>) {
        let view = fleet.view();
        if view.version() > self.view.version() {
            self.turn_to(view);
        }
        let view = Arc::clone(&self.view);
        if let Some(cell) = self.answers.get(question) {
            return (view, Arc::clone(cell), self.before.get(question).cloned());
        }
        let cell = Cell::default();
        if question.is_common() || self.answers.len() < MAX_KEPT && self.bytes < MAX_KEPT_BYTES {
            self.answers.insert(question.clone(), Arc::clone(&cell));
        }
        (view, cell, self.before.get(question).cloned())
    }

    fn turn_to(&mut self, view: Arc<FleetView>) {
        let common = std::mem::take(&mut self.answers).into_iter().filter(|(question, _)| question.is_common());
        for (question, body) in common.filter_map(|(question, cell)| Some((question, cell.get().cloned()?))) {
            self.before.insert(question, body);
        }
        (self.view, self.bytes) = (view, 0);
    }

    /// Lets an answer go that is too large to be kept.
    fn account(&mut self, view: &FleetView, question: &Question, cell: &Cell, body: &Body) {
        let is_kept = self.answers.get(question).is_some_and(|kept| Arc::ptr_eq(kept, cell));
        if question.is_common() || !is_kept || self.view.version() != view.version() {
            return;
        }
        self.bytes += body.bytes();
        if self.bytes > MAX_KEPT_BYTES {
            self.bytes -= body.bytes();
            self.answers.remove(question);
        }
    }
}

fn render<'a>(
    view: &'a FleetView,
    query: &ListQuery,
    json: fn(&'a mect_fleet::ServerView) -> ServerJson<'a>,
) -> Result<Vec<u8>, serde_json::Error> {
    /// A server takes about so much.
    const SERVER_BYTES: usize = 512;
    let servers = query.pick(view);
    let mut plain = Vec::with_capacity(servers.len() * SERVER_BYTES + 2);
    let mut serializer = serde_json::Serializer::new(&mut plain);
    let all = servers.into_iter().map(|view| json(view));
    match &query.fields {
        None => serde::Serializer::collect_seq(&mut serializer, all)?,
        Some(fields) => serde::Serializer::collect_seq(&mut serializer, all.map(|server| Cut(server, fields)))?,
    }
    Ok(plain)
}
