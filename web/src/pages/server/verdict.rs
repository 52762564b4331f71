//! How a server is, and why, in one sentence. Pure.

use mect_fleet::{Health, Period, Rule, ServerView, Timestamp};

use crate::pages::format;
use crate::pages::prose::Prose;

/// What stands at the head of a server's page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The judged state: word, mark and colour.
    pub(super) word: &'static str,
    /// Since when and why.
    pub(super) sentence: Prose,
    /// What else is to know.
    pub(super) remarks: Vec<Remark>,
    /// Nothing is known of it yet, and something will be.
    pub(super) is_awaited: bool,
}

/// A word with what it means here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) word: &'static str,
    pub(super) sentence: Prose,
}

impl Verdict {
    /// The verdict on a server; `twins` says which other servers are the same host.
    pub(super) fn of(view: &ServerView, twins: Option<String>, rule: &Rule, now: Timestamp) -> Self {
        let server = &view.server;
        let is_scraped = view.monitored || server.target.is_some() || server.pushed;
        let is_new = view.standing.last_scrape.is_none() && view.standing.last_failure.is_none();
        let is_awaited = is_new && is_scraped && !server.awaits_approval;
        Self {
            word: view.health().name(),
            sentence: sentence(view, rule, now, is_awaited),
            remarks: remarks(view, twins, now),
            is_awaited,
        }
    }
}

fn sentence(view: &ServerView, rule: &Rule, now: Timestamp, is_awaited: bool) -> Prose {
    let (server, standing, state) = (&view.server, &view.standing, &view.standing.state);
    if server.awaits_approval {
        return Prose::of("Announced itself at ")
            .at(server.registered_at, now)
            .words(" and awaits approval: neither scraped nor listed until then");
    }
    if !view.monitored && server.target.is_none() && !server.pushed {
        return Prose::of("No target names it: not scraped").since(standing.last_scrape, now);
    }
    if is_awaited {
        let what = if server.pushed { "heartbeat of its agent" } else { "scrape" };
        return Prose::of(format!("Waiting for the first {what}"));
    }
    if !view.monitored {
        return Prose::of("Waiting for the collector to take it up");
    }
    let since = Prose::of(capital(view.health())).since(state.since, now);
    match (&standing.last_failure, view.health()) {
        (Some(failure), Health::Down) => since.words(format!(", {failure}, {}", checks(state.failures))),
        (None, Health::Down) => since.words(format!(", answers again ({} of {} checks)", state.successes, rule.rise)),
        (Some(failure), Health::Pending) => {
            Prose::of(format!("Never answered so far: {failure} ({} of {} checks)", state.counted, rule.fall))
        }
        (Some(failure), _) if failure.reason.is_local() => since.words(format!("; {failure}")),
        (Some(failure), _) if view.is_unverified() => since.words(format!(
            " as far as known: {failure}, {}, but our own network may be to blame",
            checks(state.failures)
        )),
        (Some(failure), _) => {
            since.words(format!("; last check: {failure} ({} of {} until down)", state.counted, rule.fall))
        }
        (None, Health::Degraded) => {
            let units = standing.reading.iter().flat_map(|reading| &reading.services).filter(|unit| !unit.active);
            let units: Vec<&str> = units.map(|unit| &*unit.unit).collect();
            let inactive = (!units.is_empty()).then(|| format!("{} not active", units.join(", ")));
            let lost = standing.reading.iter().flat_map(|reading| reading.lost_endpoints(rule.fall));
            let lost = lost.filter_map(|one| Some(format!("{}: {}", one.url, one.failure.as_ref()?)));
            let troubles: Vec<String> = inactive.into_iter().chain(lost).collect();
            since.words(match troubles.as_slice() {
                [] => format!("; every unit is active again ({} of {} checks)", state.clean_successes, rule.rise),
                troubles => format!(": {}", troubles.join("; ")),
            })
        }
        (None, _) => since,
    }
}

fn remarks(view: &ServerView, twins: Option<String>, now: Timestamp) -> Vec<Remark> {
    let server = &view.server;
    let period = |word, is_so: bool, period: Option<Period>| {
        period.filter(|_| is_so).map(|period| {
            let since = Prose::of("since ").at(period.since, now);
            let until = match period.until {
                Some(until) => since.words(" until ").at(until, now),
                None => since.words(" until it is ended"),
            };
            Remark { word, sentence: until.words("; clients are sent elsewhere") }
        })
    };
    let stale = view.standing.last_scrape.filter(|_| view.stale).map(|at| Remark {
        word: "stale",
        sentence: Prose::of(format!("not checked for {}: what is shown is old", format::span(now.since(at)))),
    });
    let unverified = view.is_unverified().then(|| Remark {
        word: "unverified",
        sentence: Prose::of("its checks fail, but nobody else answers either, or most servers fail at once"),
    });
    let disabled = (!server.enabled).then(|| Remark { word: "disabled", sentence: Prose::of("not listed to clients") });
    let draining = period("draining", view.draining, server.draining);
    let maintenance = period("maintenance", view.in_maintenance, server.maintenance);
    let twins = twins.map(|sentence| Remark { word: "same host", sentence: Prose::of(sentence) });
    [stale, unverified, twins, disabled, draining, maintenance].into_iter().flatten().collect()
}

fn checks(count: u32) -> String {
    if count == 1 { "1 check".to_owned() } else { format!("{count} checks") }
}

fn capital(health: Health) -> &'static str {
    match health {
        Health::Pending => "Pending",
        Health::Active => "Active",
        Health::Degraded => "Degraded",
        Health::Down => "Down",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mect_fleet::store::{Registration, story};
    use mect_fleet::{Doubt, Failure, FailureReason, Outcome, Report, ScrapeTarget, Server, ServerId, Standing};

    use super::*;

    /// 2026-11-24 14:02:00 UTC.
    const START: Timestamp = Timestamp::from_secs(1_795_528_920);

    fn server() -> Server {
        let target = ScrapeTarget::at("192.0.2.1:9776".parse().unwrap());
        let registration = Registration { ip: "192.0.2.1".into(), target: Some(target), ..Registration::default() };
        Server::new(ServerId::random().unwrap(), &registration, START)
    }

    fn view(server: Server, outcomes: Vec<Outcome>, doubt: Option<Doubt>) -> ServerView {
        let (mut standing, mut at) = (Standing::default(), START);
        for outcome in outcomes {
            let report = Report { server: server.id, at, duration_ms: 1, samples: 1, outcome };
            standing.observe(&Rule::default(), &report, doubt);
            at = at + Duration::from_secs(15);
        }
        ServerView { monitored: true, ..ServerView::new(Arc::new(server), standing) }
    }

    fn refused() -> Outcome {
        Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""))
    }

    fn told(view: &ServerView) -> String {
        Verdict::of(view, None, &Rule::default(), START + Duration::from_secs(600)).sentence.to_string()
    }

    #[test]
    fn every_state_has_its_sentence() {
        let say = |outcomes| told(&view(server(), outcomes, None));
        assert_eq!(say(vec![]), "Waiting for the first scrape");
        assert_eq!(say(vec![refused()]), "Never answered so far: connection refused (1 of 3 checks)");
        assert_eq!(say(vec![story::heartbeat(1)]), "Active since 14:02 UTC");
        assert_eq!(
            say(vec![story::heartbeat(1), refused()]),
            "Active since 14:02 UTC; last check: connection refused (1 of 3 until down)"
        );
        let down = vec![story::heartbeat(1), refused(), refused(), refused(), refused()];
        assert_eq!(say(down.clone()), "Down since 14:02 UTC, connection refused, 4 checks");
        assert_eq!(
            say([down, vec![story::heartbeat(2)]].concat()),
            "Down since 14:02 UTC, answers again (1 of 2 checks)"
        );
        let local = Outcome::Failed(Failure::new(FailureReason::Local, "too many open files"));
        assert_eq!(
            say(vec![story::heartbeat(1), local]),
            "Active since 14:02 UTC; the collector itself could not scrape: too many open files"
        );
        let Outcome::Up(mut reading) = story::heartbeat(1) else { panic!("a heartbeat") };
        reading.services.iter_mut().for_each(|unit| unit.active = false);
        assert_eq!(say(vec![Outcome::Up(reading)]), "Degraded since 14:02 UTC: wg-quick@wg0.service not active");
    }

    #[test]
    fn doubted_failures_are_told_as_such() {
        let outcomes = || vec![story::heartbeat(1), refused(), refused(), refused()];
        let view = view(server(), outcomes(), Some(Doubt::NoWitness));
        let state = Verdict::of(&view, None, &Rule::default(), START + Duration::from_secs(90));
        assert!(
            state
                .sentence
                .to_string()
                .starts_with("Active since 14:02 UTC as far as known: connection refused, 3 checks")
        );
        assert_eq!((state.word, state.remarks[0].word), ("active", "unverified"));
    }

    #[test]
    fn who_is_not_scraped_says_why() {
        let waiting = Server { awaits_approval: true, ..server() };
        let unmonitored = |server| ServerView { monitored: false, ..view(server, vec![], None) };
        assert_eq!(
            told(&unmonitored(waiting)),
            "Announced itself at 14:02 UTC and awaits approval: neither scraped nor listed until then"
        );
        assert_eq!(told(&unmonitored(Server { target: None, ..server() })), "No target names it: not scraped");
        assert_eq!(told(&unmonitored(server())), "Waiting for the first scrape");
        let pushed = Server { pushed: true, target: None, ..server() };
        assert_eq!(told(&unmonitored(pushed)), "Waiting for the first heartbeat of its agent");
        let gone = ServerView {
            monitored: false,
            ..view(Server { target: None, ..server() }, vec![story::heartbeat(1)], None)
        };
        assert_eq!(told(&gone), "No target names it: not scraped since 14:02 UTC");
    }

    #[test]
    fn remarks_tell_what_the_operator_wants_and_what_is_old() {
        let until = START + Duration::from_secs(86_400);
        let server = Server {
            enabled: false,
            draining: Some(Period { since: START, until: Some(until) }),
            maintenance: Some(Period { since: START, until: None }),
            ..server()
        };
        let view = ServerView {
            draining: true,
            in_maintenance: true,
            stale: true,
            ..view(server, vec![story::heartbeat(1)], None)
        };
        let remarks =
            Verdict::of(&view, Some("has a twin".to_owned()), &Rule::default(), START + Duration::from_secs(600))
                .remarks;
        let words: Vec<_> = remarks.iter().map(|remark| remark.word).collect();
        assert_eq!(words, ["stale", "same host", "disabled", "draining", "maintenance"]);
        assert_eq!(remarks[0].sentence.to_string(), "not checked for 10 min: what is shown is old");
        assert_eq!(remarks[1].sentence.to_string(), "has a twin");
        assert_eq!(
            remarks[3].sentence.to_string(),
            "since 14:02 UTC until 25 Nov, 14:02 UTC; clients are sent elsewhere"
        );
        assert!(remarks[4].sentence.to_string().contains("until it is ended"));
    }
}
