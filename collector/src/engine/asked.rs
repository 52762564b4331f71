//! Scrapes that somebody asks for, and who waits for what they find.

use std::collections::HashMap;
use std::time::Duration;

use mect_fleet::collecting::NotScraped;
use mect_fleet::{ServerId, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::schedule::Tick;

/// Servers that may be waited for at once.
const MAX_AWAITED: usize = 64;
/// Who may wait for one server at once.
const MAX_WAITING: usize = 16;
/// Two scrapes closer than this give rates that are mostly noise.
const MIN_GAP: Duration = Duration::from_secs(5);

/// What is told to whoever asked: that there was a scrape, well or not.
pub type Told = Result<(), NotScraped>;

/// One wish for a scrape.
pub struct Want {
    /// Of which server.
    pub server: ServerId,
    /// Who waits. Dropped without an answer when the target goes.
    pub answer: oneshot::Sender<Told>,
}

impl Want {
    /// Tells that nothing will be scraped.
    pub(super) fn refuse(self, why: NotScraped) {
        // Nobody waits any more: as good.
        let _ = self.answer.send(Err(why));
    }
}

/// The wishes, and who waits.
pub struct Asked {
    wants: mpsc::Receiver<Want>,
    waiting: HashMap<ServerId, Vec<oneshot::Sender<Told>>>,
}

impl Asked {
    /// Takes wishes from `wants`.
    pub fn new(wants: mpsc::Receiver<Want>) -> Self {
        Self { wants, waiting: HashMap::new() }
    }

    /// The next wish; `None` when nobody can have one any more.
    pub(super) async fn recv(&mut self) -> Option<Want> {
        self.wants.recv().await
    }

    /// Lets somebody wait. True when nobody waited for that server before: its scrape is to be made due.
    pub(super) fn wait(&mut self, want: Want) -> bool {
        self.waiting.values_mut().for_each(|waiting| waiting.retain(|answer| !answer.is_closed()));
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        let servers = self.waiting.len();
        match self.waiting.get_mut(&want.server) {
            Some(waiting) if waiting.len() < MAX_WAITING => {
                waiting.push(want.answer);
                false
            }
            None if servers < MAX_AWAITED => {
                self.waiting.insert(want.server, vec![want.answer]);
                true
            }
            _ => {
                want.refuse(NotScraped::Busy);
                false
            }
        }
    }

    /// When a server whose last scrape started at `last` may be scraped again.
    pub(super) fn soonest(&self, last: Option<Timestamp>, now: Tick) -> Tick {
        let soonest = last.map_or(0, |last| Tick::try_from((last + MIN_GAP).as_millis()).unwrap_or(0));
        // A clock that was set back must not make anybody wait.
        let gap = MIN_GAP.as_millis() as Tick;
        if soonest > now + gap { now } else { soonest.max(now) }
    }

    /// Nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True when somebody waits for that server.
    pub(super) fn waits_for(&self, server: ServerId) -> bool {
        self.waiting.contains_key(&server)
    }

    /// Tells who waits for that server that its scrape ended.
    pub(super) fn answer(&mut self, server: ServerId) {
        for answer in self.waiting.remove(&server).into_iter().flatten() {
            // Nobody waits any more: as good.
            let _ = answer.send(Ok(()));
        }
    }

    /// Its target went: who waits for it hears that there will be no scrape.
    pub(super) fn forget(&mut self, server: ServerId) {
        self.waiting.remove(&server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked::new(mpsc::channel(1).1)
    }

    fn want(server: &str) -> (Want, oneshot::Receiver<Told>) {
        let (answer, told) = oneshot::channel();
        (Want { server: server.parse().unwrap(), answer }, told)
    }

    #[test]
    fn all_who_wait_for_a_server_hear_of_the_same_scrape() {
        let mut asked = asked();
        let ((first, mut one), (second, mut other), (else_, mut elsewhere)) =
            (want("srv-aaaaaaaa"), want("srv-aaaaaaaa"), want("srv-bbbbbbbb"));
        assert!(asked.wait(first) && !asked.wait(second) && asked.wait(else_));
        let server = "srv-aaaaaaaa".parse().unwrap();
        assert!(asked.waits_for(server));
        asked.answer(server);
        assert_eq!((one.try_recv().unwrap(), other.try_recv().unwrap()), (Ok(()), Ok(())));
        assert!(elsewhere.try_recv().is_err() && !asked.is_empty());
        asked.forget("srv-bbbbbbbb".parse().unwrap());
        assert!(matches!(elsewhere.try_recv(), Err(oneshot::error::TryRecvError::Closed)) && asked.is_empty());
    }

    #[test]
    fn who_gave_up_waiting_leaves_room_for_others() {
        let mut asked = asked();
        let names: Vec<String> = (0..=MAX_AWAITED).map(|n| format!("srv-{n:08}")).collect();
        let mut told: Vec<_> = names
            .iter()
            .map(|name| {
                let (want, told) = want(name);
                asked.wait(want);
                told
            })
            .collect();
        assert_eq!(told.pop().unwrap().try_recv().unwrap(), Err(NotScraped::Busy));
        drop(told);
        let (want, _told) = want("srv-zzzzzzzz");
        assert!(asked.wait(want));
    }

    #[test]
    fn scrapes_keep_their_distance() {
        let (asked, at) = (asked(), Timestamp::from_secs);
        assert_eq!(asked.soonest(None, 60_000), 60_000);
        assert_eq!(asked.soonest(Some(at(10)), 60_000), 60_000);
        assert_eq!(asked.soonest(Some(at(58)), 60_000), 63_000);
        assert_eq!(asked.soonest(Some(at(9_000)), 60_000), 60_000, "a clock that was set back");
    }
}
