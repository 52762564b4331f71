//! Standings, and what readers see of them.

use super::*;
use crate::reading::{EndpointReading, Service, ServiceReading};
use crate::report::FailureReason;
use crate::store::Registration;

fn view(ip: &str, health: Health, cpu: f32, enabled: bool) -> Arc<ServerView> {
    let registration = Registration { ip: ip.into(), hostname: format!("host-{ip}"), ..Registration::default() };
    let server = Server::new(ServerId::random().unwrap(), &registration, Timestamp::default());
    let server = Server { enabled, ..server };
    let standing = Standing {
        state: HealthState { health, ..HealthState::default() },
        reading: Some(Reading { cpu: Some(cpu), ram: Some(0.0), ..Reading::default() }),
        ..Standing::default()
    };
    Arc::new(ServerView { monitored: true, ..ServerView::new(Arc::new(server), standing) })
}

#[test]
fn clients_see_reachable_enabled_servers_best_first() {
    let mut servers = vec![
        view("192.0.2.1", Health::Active, 0.9, true),
        view("192.0.2.2", Health::Degraded, 0.1, true),
        view("192.0.2.3", Health::Active, 0.2, true),
        view("192.0.2.4", Health::Active, 0.0, false),
        view("192.0.2.5", Health::Down, 0.0, true),
        view("192.0.2.6", Health::Pending, 0.0, true),
    ];
    let index = Arc::new(Index::order(&mut servers));
    let fleet = FleetView::new(1, Timestamp::default(), servers, index);
    let order: Vec<_> = fleet.ranked().iter().map(|view| view.server.ip.as_str()).collect();
    assert_eq!(order, ["192.0.2.3", "192.0.2.1", "192.0.2.2"]);
    assert_eq!(fleet.servers().len(), 6);
    assert_eq!(fleet.count(Health::Active), 3);
    let third = fleet.by_ip("192.0.2.3").unwrap();
    assert_eq!(fleet.by_id(third.server.id), Some(third));
}

#[test]
fn a_server_that_nobody_scrapes_is_pending_and_not_listed() {
    let mut server = ServerView::clone(&view("192.0.2.1", Health::Active, 0.5, true));
    assert!(server.is_listed() && server.load().is_some());
    server.monitored = false;
    assert_eq!((server.health(), server.load(), server.is_listed()), (Health::Pending, None, false));
}

#[test]
fn a_server_that_the_operator_does_not_want_is_judged_but_not_listed() {
    let wanted = ServerView::clone(&view("192.0.2.1", Health::Active, 0.5, true));
    let waiting = Server { awaits_approval: true, ..Server::clone(&wanted.server) };
    for unwanted in [
        ServerView { draining: true, ..wanted.clone() },
        ServerView { in_maintenance: true, ..wanted.clone() },
        ServerView { server: Arc::new(waiting), ..wanted },
    ] {
        assert_eq!((unwanted.is_listed(), unwanted.health(), unwanted.load()), (false, Health::Active, Some(0.5)));
    }
}

#[test]
fn a_page_that_cannot_tell_of_services_makes_nobody_better() {
    let (rule, server) = (Rule::default(), "srv-abcdefgh".parse().unwrap());
    let report = |at, reading| {
        let (at, outcome) = (Timestamp::from_secs(at), Outcome::Up(reading));
        Report { server, at, duration_ms: 5, samples: 1, outcome }
    };
    let unit = |active| ServiceReading {
        service: Service::WireGuard,
        unit: "wg-quick@wg0.service".into(),
        active,
        rung: None,
    };
    let told = |active| Reading { services: Box::new([unit(active)]), ..Reading::default() };
    let silent = Reading { services_unknown: true, ..Reading::default() };
    let mut standing = Standing::default();
    standing.observe(&rule, &report(1, told(false)), None);
    for at in 2..10 {
        assert_eq!(standing.observe(&rule, &report(at, silent.clone()), None), None);
    }
    assert_eq!(standing.state.health, Health::Degraded);
    standing.observe(&rule, &report(10, told(true)), None);
    assert!(standing.observe(&rule, &report(11, told(true)), None).is_some());
}

#[test]
fn a_further_endpoint_that_fails_again_and_again_degrades_its_server() {
    let (rule, server) = (Rule::default(), "srv-abcdefgh".parse().unwrap());
    let told = |failure: Option<FailureReason>| {
        let failure = failure.map(|reason| Failure::new(reason, ""));
        let endpoint =
            |url: &str, failure| EndpointReading { url: url.into(), duration_ms: 3, samples: 7, failure, failures: 0 };
        let endpoints = Box::new([endpoint("http://a:1/metrics", None), endpoint("http://a:2/metrics", failure)]);
        Outcome::Up(Reading { endpoints, ..Reading::default() })
    };
    let (reset, local) = (Some(FailureReason::Reset), Some(FailureReason::Local));
    let mut standing = Standing::default();
    let mut at = 0;
    let mut after = |failure| {
        at += 10;
        let report =
            Report { server, at: Timestamp::from_secs(at), duration_ms: 5, samples: 1, outcome: told(failure) };
        standing.observe(&rule, &report, None);
        let failures = standing.reading.as_ref().unwrap().endpoints[1].failures;
        (standing.state.health, failures, standing.wants_recheck(&rule))
    };
    let (active, degraded) = (Health::Active, Health::Degraded);
    assert_eq!(after(None), (active, 0, false));
    assert_eq!([after(reset), after(reset)], [(active, 1, true), (active, 2, true)]);
    assert_eq!(after(local), (active, 2, true), "our own fault counts neither way");
    assert_eq!(after(reset), (degraded, 3, false));
    assert_eq!([after(reset), after(None)], [(degraded, 4, false), (degraded, 0, false)]);
    assert_eq!(after(reset), (degraded, 1, true), "it must be well twice in a row");
    assert_eq!([after(None), after(None)], [(degraded, 0, false), (active, 0, false)]);
}

#[test]
fn our_own_fault_is_no_scrape_of_the_server() {
    let (rule, server) = (Rule::default(), "srv-abcdefgh".parse().unwrap());
    let mut standing = Standing::default();
    let outcome = Outcome::Up(Reading::default());
    standing.observe(&rule, &Report { server, at: Timestamp::from_secs(1), duration_ms: 5, samples: 1, outcome }, None);
    let outcome = Outcome::Failed(Failure::new(FailureReason::Local, "no descriptor"));
    standing.observe(&rule, &Report { server, at: Timestamp::from_secs(2), duration_ms: 5, samples: 0, outcome }, None);
    assert_eq!(standing.last_scrape, Some(Timestamp::from_secs(1)), "it grows stale");
}

#[test]
fn another_host_is_remembered_beside_the_one_that_is_known() {
    let (rule, server) = (Rule::default(), "srv-abcdefgh".parse().unwrap());
    let [known, other] = ["00", "11"].map(|pair| pair.repeat(16).parse::<HostId>().unwrap());
    let mut standing = Standing::default();
    let mut observe = |at, outcome| {
        let report = Report { server, at: Timestamp::from_secs(at), duration_ms: 5, samples: 1, outcome };
        standing.observe(&rule, &report, None);
        (standing.host, standing.stranger)
    };
    let page = |host| Outcome::Up(Reading { host, ..Reading::default() });
    assert_eq!(observe(1, page(None)), (None, None));
    assert_eq!(observe(2, page(Some(known))), (Some(known), None));
    assert_eq!(observe(3, Outcome::Failed(Failure::of_another_host(other, known))), (Some(known), Some(other)));
    assert_eq!(observe(4, Outcome::Failed(Failure::new(FailureReason::Reset, ""))), (Some(known), Some(other)));
    assert_eq!(observe(5, page(None)), (Some(known), Some(other)), "a page of nobody answers nothing");
    assert_eq!(observe(6, page(Some(other))), (Some(other), None));
}

#[test]
fn servers_of_one_host_know_each_other() {
    let host = |server: Arc<ServerView>, pair: &str, monitored| {
        let standing = Standing { host: pair.repeat(16).parse().ok(), ..server.standing.clone() };
        Arc::new(ServerView { standing, monitored, ..ServerView::clone(&server) })
    };
    let of = |ip| view(ip, Health::Active, 0.0, true);
    let mut servers = vec![
        host(of("192.0.2.1"), "aa", true),
        host(of("192.0.2.2"), "bb", true),
        host(of("192.0.2.3"), "aa", true),
        host(of("192.0.2.4"), "aa", false),
        of("192.0.2.5"),
        of("192.0.2.6"),
    ];
    let index = Arc::new(Index::order(&mut servers));
    let fleet = FleetView::new(1, Timestamp::default(), servers, index);
    let twins = |ip| fleet.twins_of(fleet.by_ip(ip).unwrap()).map(|twin| &*twin.server.ip).collect::<Vec<_>>();
    assert_eq!((twins("192.0.2.1"), twins("192.0.2.3")), (vec!["192.0.2.3"], vec!["192.0.2.1"]));
    for ip in ["192.0.2.2", "192.0.2.4", "192.0.2.5"] {
        assert!(twins(ip).is_empty(), "{ip}");
    }
}

#[test]
fn a_failed_scrape_keeps_the_last_reading_and_says_why() {
    let rule = Rule::default();
    let server = "srv-abcdefgh".parse().unwrap();
    let report = |at, outcome| Report { server, at: Timestamp::from_secs(at), duration_ms: 5, samples: 1, outcome };
    let mut standing = Standing::default();
    let reading = Reading { cpu: Some(0.5), ..Reading::default() };
    assert!(standing.observe(&rule, &report(1, Outcome::Up(reading.clone())), None).is_some());
    let failure = Failure::new(FailureReason::Reset, "");
    assert!(standing.observe(&rule, &report(2, Outcome::Failed(failure.clone())), None).is_none());
    assert_eq!(standing.reading, Some(reading));
    assert_eq!(standing.last_failure, Some(failure));
    assert_eq!(standing.last_heartbeat, Some(Timestamp::from_secs(1)));
    assert_eq!(standing.last_scrape, Some(Timestamp::from_secs(2)));
}
