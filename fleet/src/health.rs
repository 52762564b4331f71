//! The health rule: a pure, serialisable state machine without a clock.
//!
//! ```text
//! pending ──first success──► active ⇄ degraded
//!    └──── fall failures ──► down ◄── fall failures ──┘
//!                              └──── rise successes ──► active | degraded
//! ```
//! `fall` and `rise` are HAProxy's words: consecutive failures and successes needed to flip. A fault of the collector
//! itself ([`FailureReason::is_local`]) never counts, one that the [`guard`](crate::guard) doubts lets nobody turn down.
//! The silence of an agent ([`FailureReason::is_final`]) counts at once. A server that flips often must stay up longer before it is believed again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::guard::Doubt;
use crate::report::FailureReason;
use crate::server::ServerId;
use crate::time::Timestamp;

/// Judged state of a server. Unlike `up`, which is this very scrape, it has a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Known, but not judged yet.
    #[default]
    Pending,
    /// Answers, and every service unit is active.
    Active,
    /// Answers, but a service unit is not active.
    Degraded,
    /// Failed `fall` scrapes in a row.
    Down,
}

impl Health {
    /// Every state, in the order in which pages count them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Degraded, Self::Down, Self::Pending];

    /// The word in REST, labels, pages and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }

    /// True when clients may be sent there: the host answers.
    pub const fn is_reachable(self) -> bool {
        matches!(self, Self::Active | Self::Degraded)
    }

    /// The stored code, never reused for another meaning.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Active => 1,
            Self::Degraded => 2,
            Self::Down => 3,
        }
    }

    /// The state with that stored code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|health| health.code() == code)
    }
}

/// When health flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Consecutive failures until down.
    pub fall: u32,
    /// Consecutive successes until a server that was down, or degraded, counts as well again.
    pub rise: u32,
    /// `rise` of a flapping server.
    pub flapping_rise: u32,
    /// This many transitions within [`flapping_window`](Self::flapping_window) make a server flap.
    pub flapping_transitions: usize,
    /// See [`flapping_transitions`](Self::flapping_transitions).
    pub flapping_window: Duration,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            fall: 3,
            rise: 2,
            flapping_rise: 5,
            flapping_transitions: 4,
            flapping_window: Duration::from_secs(30 * 60),
        }
    }
}

/// The rule's memory of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthState {
    /// The judged state.
    pub health: Health,
    /// When it was entered; `None` while pending.
    pub since: Option<Timestamp>,
    /// When it last came back from being down; `None` if it never did, and while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
    /// Failures in a row; 0 after a success.
    pub failures: u32,
    /// Of these, the latest in a row that count: all since the last one that may have been our own network's fault.
    #[serde(default)]
    pub counted: u32,
    /// Would be down, were its failures not doubted: nobody can tell. Its health stays what it was.
    #[serde(default)]
    pub unverified: bool,
    /// Successes in a row; 0 after a failure that counts.
    pub successes: u32,
    /// Of these, successes in a row with every service unit active.
    pub clean_successes: u32,
    /// Why the last counted scrape failed; `None` after a success.
    pub last_failure: Option<FailureReason>,
    /// Transitions so far: the number of the last one.
    pub transitions: u64,
    /// Times of the latest transitions, oldest first, at most [`Rule::flapping_transitions`] of them.
    pub recent: Vec<Timestamp>,
}

impl HealthState {
    /// True when the server flipped so often up to `now` that its recovery needs more proof.
    pub fn is_flapping(&self, rule: &Rule, now: Timestamp) -> bool {
        self.recent.iter().filter(|at| now.since(**at) <= rule.flapping_window).count() >= rule.flapping_transitions
    }

    /// True when the next scrape may decide a flip, so that it should not wait for a whole interval.
    pub fn wants_recheck(&self) -> bool {
        match self.health {
            Health::Down => self.successes > 0,
            Health::Pending | Health::Active | Health::Degraded => self.failures > 0,
        }
    }
}

/// What a scrape means for health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The scrape worked.
    Succeeded {
        /// A service unit is not active.
        impaired: bool,
    },
    /// The scrape failed; with a doubt, that tells little of the server.
    Failed(FailureReason, Option<Doubt>),
}

/// One change of health. `(server, number)` is unique for ever: the same flip is never told twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The server.
    pub server: ServerId,
    /// Its first transition is 1, the next 2, without gaps.
    pub number: u64,
    /// Start of the scrape that decided it.
    pub at: Timestamp,
    /// State left.
    pub from: Health,
    /// State entered.
    pub to: Health,
    /// Why, when it went down.
    pub reason: Option<FailureReason>,
    /// Scrapes in a row that led here: failures when it went down, successes otherwise.
    pub checks: u32,
}

/// Folds one scrape of `server`, started at `at`, into `state`; tells the flip if there was one.
pub fn step(
    rule: &Rule,
    server: ServerId,
    mut state: HealthState,
    at: Timestamp,
    event: Event,
) -> (HealthState, Option<Transition>) {
    let (to, reason, checks) = match event {
        Event::Failed(reason, _) if reason.is_local() => return (state, None),
        Event::Failed(reason, doubt) => {
            state.failures = state.failures.saturating_add(1);
            state.counted = if doubt == Some(Doubt::NoWitness) { 1 } else { state.counted.saturating_add(1) };
            (state.successes, state.clean_successes) = (0, 0);
            state.last_failure = Some(reason);
            let falls = doubt.is_none() && (state.counted >= rule.fall || reason.is_final());
            let would_fall = state.failures >= rule.fall || reason.is_final();
            state.unverified = !falls && state.health != Health::Down && would_fall;
            (if falls { Health::Down } else { state.health }, Some(reason), state.counted)
        }
        Event::Succeeded { impaired } => {
            state.successes = state.successes.saturating_add(1);
            state.clean_successes = if impaired { 0 } else { state.clean_successes.saturating_add(1) };
            (state.failures, state.counted, state.unverified, state.last_failure) = (0, 0, false, None);
            let rise = if state.is_flapping(rule, at) { rule.flapping_rise } else { rule.rise };
            (after_success(&state, impaired, rise), None, state.successes)
        }
    };
    if to == state.health {
        return (state, None);
    }
    let transition = Transition { server, number: state.transitions + 1, at, from: state.health, to, reason, checks };
    state.transitions = transition.number;
    state.recovered_at = match (state.health, to) {
        (_, Health::Down) => None,
        (Health::Down, _) => Some(at),
        _ => state.recovered_at,
    };
    state.health = to;
    state.since = Some(at);
    let surplus = (state.recent.len() + 1).saturating_sub(rule.flapping_transitions);
    state.recent.drain(..surplus.min(state.recent.len()));
    state.recent.push(at);
    (state, Some(transition))
}

fn after_success(state: &HealthState, impaired: bool, rise: u32) -> Health {
    let reachable = if impaired { Health::Degraded } else { Health::Active };
    match state.health {
        Health::Pending => reachable,
        Health::Down if state.successes >= rise => reachable,
        Health::Down => Health::Down,
        // A lost service is a fact on the page and shows at once; its return must last.
        Health::Active => reachable,
        Health::Degraded if state.clean_successes >= rise => Health::Active,
        Health::Degraded => Health::Degraded,
    }
}

#[cfg(test)]
mod tests;
