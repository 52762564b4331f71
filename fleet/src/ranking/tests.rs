//! Scores by example, orders against invariants over random fleets, and the spread of many clients counted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::distance::{between, of_country};
use super::order::BAND;
use super::*;
use crate::health::HealthState;
use crate::reading::Reading;
use crate::server::{Coordinates, Place, Server, ServerId};
use crate::store::Registration;
use crate::time::Timestamp;
use crate::view::Standing;

/// The `number`-th server; its identity is always the same.
fn server(number: usize, country: &str, health: Health, cpu: Option<f32>) -> ServerView {
    let digit = |place: u32| b'a' + (number / 26usize.pow(place) % 26) as u8;
    let id = ServerId::from_key([b's', b'e', b'r', b'v', digit(3), digit(2), digit(1), digit(0)]).unwrap();
    let registration = Registration { ip: format!("192.0.2.{number}"), ..Registration::default() };
    let server = Server::new(id, &registration, Timestamp::default());
    let place = Place { country_code: country.into(), ..Place::default() };
    let server = Server { hostname: format!("host-{number}"), place, ..server };
    let standing = Standing {
        state: HealthState { health, ..HealthState::default() },
        reading: Some(Reading { cpu, ram: Some(0.0), ..Reading::default() }),
        ..Standing::default()
    };
    ServerView { monitored: true, ..ServerView::new(Arc::new(server), standing) }
}

fn fleet(loads: &[f32]) -> Vec<Arc<ServerView>> {
    let one = |(number, load): (usize, &f32)| Arc::new(server(number, "", Health::Active, Some(*load)));
    loads.iter().enumerate().map(one).collect()
}

fn ids(recommended: &[Recommendation<'_>]) -> Vec<ServerId> {
    recommended.iter().map(|one| one.server.server.id).collect()
}

fn client(number: usize) -> Seed {
    Seed::of(format!("client {number}").as_bytes())
}

#[test]
fn a_score_is_load_and_what_is_wrong() {
    assert_eq!(score(&server(1, "DE", Health::Active, Some(0.25))), Score { load: 0.25, ..Score::default() });
    let degraded = score(&server(1, "DE", Health::Degraded, Some(0.25)));
    assert_eq!(degraded, Score { load: 0.25, degraded: 1.0, ..Score::default() });
    assert_eq!(degraded.total(), 1.25);
    assert_eq!(score(&server(1, "DE", Health::Active, None)).load, 0.5);
    assert_eq!(score(&server(1, "DE", Health::Active, Some(f32::INFINITY))).load, 0.5);
}

#[test]
fn a_server_that_came_back_is_filled_slowly() {
    let mut server = server(1, "DE", Health::Active, Some(0.0));
    let back = Timestamp::from_secs(1_000);
    server.standing.state.recovered_at = Some(back);
    let mut after = |seconds| {
        server.standing.last_heartbeat = Some(back + Duration::from_secs(seconds));
        score(&server).slow_start
    };
    assert_eq!([after(0), after(150), after(300), after(600), after(6_000)], [0.5, 0.375, 0.25, 0.0, 0.0]);
}

#[test]
fn distances_are_those_on_the_globe() {
    let at = |latitude, longitude| Coordinates::new(latitude, longitude).unwrap();
    // Great-circle distances between airports, as published.
    let (fra, jfk, syd) = (at(50.0333, 8.5706), at(40.6413, -73.7781), at(-33.9399, 151.1753));
    assert!((between(fra, jfk) - 6_206.0).abs() < 20.0, "{}", between(fra, jfk));
    assert!((between(fra, syd) - 16_504.0).abs() < 40.0, "{}", between(fra, syd));
    assert!((between(at(0.0, 179.5), at(0.0, -179.5)) - 111.2).abs() < 0.1, "across the date line");
    assert!((between(at(90.0, 0.0), at(-90.0, 77.0)) - 20_015.0).abs() < 1.0);
}

#[test]
fn every_country_has_a_middle() {
    let table = super::centroids::CENTROIDS;
    for (code, name) in crate::country::ALL {
        assert!(of_country(code).is_some(), "{name}");
    }
    assert!(table.is_sorted_by(|a, b| a.0 < b.0), "searched by halves");
    for &(code, ..) in table {
        assert!(code.len() == 2 && of_country(code).is_some(), "{code}");
    }
    let berlin = Coordinates::new(52.5, 13.4).unwrap();
    let far = |code| between(berlin, of_country(code).unwrap());
    assert!(far("DE") < far("FR") && far("FR") < far("US") && far("US") < far("NZ"));
    assert_eq!(of_country("de"), None);
}

#[test]
fn the_nearer_server_wins_unless_it_is_much_busier() {
    let paris = Coordinates::new(48.9, 2.4).ok();
    let first = |near: f32| {
        let fleet = [server(1, "FR", Health::Active, Some(near)), server(2, "JP", Health::Active, Some(0.05))];
        let fleet = fleet.map(Arc::new);
        let chosen = recommend(fleet.iter(), paris, client(0), 1);
        (chosen[0].server.server.place.country_code.clone(), chosen[0].km.unwrap())
    };
    assert_eq!(first(0.8).0, "FR");
    assert!(first(0.8).1 < 400.0);
    let idle_neighbour = [server(1, "FR", Health::Active, Some(0.5)), server(2, "GB", Health::Active, Some(0.1))];
    let fleet = idle_neighbour.map(Arc::new);
    assert_eq!(recommend(fleet.iter(), paris, client(0), 1)[0].server.server.place.country_code, "GB");
    let mut exact = server(1, "FR", Health::Active, Some(0.5));
    let known = Server { place: Place { coordinates: paris, ..Place::default() }, ..Server::clone(&exact.server) };
    exact.server = Arc::new(known);
    assert_eq!(recommend([Arc::new(exact)].iter(), paris, client(0), 1)[0].km, Some(0.0), "better than its country");
    let unknown = [server(1, "", Health::Active, Some(0.0))].map(Arc::new);
    let chosen = recommend(unknown.iter(), paris, client(0), 1);
    assert_eq!((chosen[0].km, chosen[0].score.distance), (None, 0.5));
    assert_eq!(recommend(unknown.iter(), None, client(0), 1)[0].score.distance, 0.0);
}

/// Chi-squared over the counts; for `n` cells about `n - 1 ± 2√(2(n - 1))` when the expectation is right.
fn chi_squared(counts: &[(f64, f64)]) -> f64 {
    counts.iter().map(|(found, expected)| (found - expected).powi(2) / expected).sum()
}

#[test]
fn a_hundred_thousand_clients_spread_evenly_over_equal_servers() {
    const CLIENTS: usize = 100_000;
    let fleet = fleet(&[0.2; 20]);
    let mut firsts: HashMap<ServerId, usize> = HashMap::new();
    let mut seconds: HashMap<(ServerId, ServerId), usize> = HashMap::new();
    for number in 0..CLIENTS {
        let order = ids(&recommend(fleet.iter(), None, client(number), 2));
        *firsts.entry(order[0]).or_default() += 1;
        *seconds.entry((order[0], order[1])).or_default() += 1;
    }
    let cells = |counts: Vec<usize>| {
        let expected = CLIENTS as f64 / counts.len() as f64;
        chi_squared(&counts.into_iter().map(|count| (count as f64, expected)).collect::<Vec<_>>())
    };
    assert_eq!((firsts.len(), seconds.len()), (20, 380));
    // Far out in the tail: the numbers are fixed, so that this never fails by chance.
    let (first, second) = (cells(firsts.into_values().collect()), cells(seconds.into_values().collect()));
    assert!(first < 44.0, "19 degrees of freedom: {first}");
    // Who fails over is spread as well.
    assert!(second < 470.0, "379 degrees of freedom: {second}");
}

#[test]
fn room_draws_clients_in_proportion() {
    const CLIENTS: usize = 100_000;
    // One band: 0.50 to 0.59.
    let loads = [0.5, 0.55, 0.59];
    let fleet = fleet(&loads);
    let mut firsts: HashMap<ServerId, f64> = HashMap::new();
    for number in 0..CLIENTS {
        *firsts.entry(ids(&recommend(fleet.iter(), None, client(number), 1))[0]).or_default() += 1.0;
    }
    let room: f64 = loads.iter().map(|load| 1.0 - f64::from(*load)).sum();
    let cells: Vec<_> = fleet
        .iter()
        .zip(loads)
        .map(|(view, load)| (firsts[&view.server.id], CLIENTS as f64 * (1.0 - f64::from(load)) / room))
        .collect();
    assert!(chi_squared(&cells) < 14.0, "2 degrees of freedom: {cells:?}");
}

#[test]
fn a_server_that_leaves_moves_only_its_own_clients() {
    let fleet = fleet(&[0.2; 50]);
    let gone = fleet[7].server.id;
    for number in 0..2_000 {
        let mut before = ids(&recommend(fleet.iter(), None, client(number), 50));
        let after = ids(&recommend(fleet.iter().filter(|view| view.server.id != gone), None, client(number), 50));
        before.retain(|id| *id != gone);
        assert_eq!(before, after);
    }
}

#[test]
fn the_draw_never_changes_between_versions() {
    let fleet = fleet(&[0.2; 5]);
    let hosts = |seed| -> Vec<String> {
        recommend(fleet.iter(), None, seed, 5).iter().map(|one| one.server.server.hostname.clone()).collect()
    };
    let (one, other) = (hosts(Seed::of(b"alice")), hosts(Seed::of(b"bob")));
    assert_ne!(one, other);
    assert_eq!(one, ["host-0", "host-4", "host-1", "host-2", "host-3"]);
}

prop_compose! {
    fn any_server()(
        country in prop::sample::select(vec!["", "DE", "US", "JP", "XX"]),
        degraded in any::<bool>(),
        cpu in prop::option::of(0.0f32..=1.0),
        back in prop::option::of(0i64..1_000),
    ) -> ServerView {
        let mut server = server(0, country, if degraded { Health::Degraded } else { Health::Active }, cpu);
        server.standing.last_heartbeat = Some(Timestamp::from_secs(2_000));
        server.standing.state.recovered_at = back.map(|ago| Timestamp::from_secs(2_000 - ago));
        server
    }
}

prop_compose! {
    fn any_fleet()(servers in prop::collection::vec(any_server(), 0..60)) -> Vec<Arc<ServerView>> {
        servers.into_iter().enumerate().map(|(number, view)| {
            let identity = server(number, "", Health::Active, None).server.id;
            let inventory = Server { id: identity, ..Server::clone(&view.server) };
            Arc::new(ServerView { server: Arc::new(inventory), ..view })
        }).collect()
    }
}

prop_compose! {
    fn any_place()(latitude in -90.0..=90.0, longitude in -180.0..=180.0) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }
}

proptest! {
    #[test]
    fn distances_behave(a in any_place(), b in any_place(), c in any_place()) {
        let there = between(a, b);
        prop_assert!((0.0..=20_016.0).contains(&there), "{there}");
        prop_assert!((there - between(b, a)).abs() < 1e-6);
        prop_assert!(between(a, a) < 1e-6);
        prop_assert!(there <= between(a, c) + between(c, b) + 1e-6);
    }

    #[test]
    fn orders_hold_everyone_once_in_narrow_bands(
        fleet in any_fleet(), place in prop::option::of(any_place()), number in 0usize..1_000, limit in 0usize..70,
    ) {
        let whole = recommend(fleet.iter(), place, client(number), usize::MAX);
        let unique: HashSet<_> = ids(&whole).into_iter().collect();
        prop_assert_eq!((whole.len(), unique.len()), (fleet.len(), fleet.len()));
        let cut = recommend(fleet.iter(), place, client(number), limit);
        prop_assert_eq!(ids(&cut), ids(&whole)[..limit.min(fleet.len())].to_vec(), "a limit only cuts");
        let backwards = recommend(fleet.iter().rev(), place, client(number), usize::MAX);
        prop_assert_eq!(ids(&backwards), ids(&whole), "the order of the fleet does not matter");
        prop_assert!(whole.is_sorted_by_key(|one| one.band));
        for bands in whole.chunk_by(|one, other| one.band == other.band).collect::<Vec<_>>().windows(2) {
            let totals = |band: &[Recommendation<'_>]| -> Vec<f64> {
                let mut totals: Vec<_> = band.iter().map(|one| one.score.total()).collect();
                totals.sort_by(f64::total_cmp);
                totals
            };
            let (better, worse) = (totals(bands[0]), totals(bands[1]));
            prop_assert!(better[better.len() - 1] < better[0] + BAND);
            prop_assert!(worse[0] >= better[0] + BAND);
        }
        for one in &whole {
            let parts = [one.score.load, one.score.distance, one.score.degraded, one.score.slow_start];
            prop_assert!(parts.iter().all(|part| part.is_finite() && *part >= 0.0), "{parts:?}");
            prop_assert_eq!(parts.iter().sum::<f64>(), one.score.total());
        }
    }

    #[test]
    fn more_load_never_helps(cpu in 0.0f32..1.0, more in 0.0f32..1.0, degraded in any::<bool>()) {
        let health = if degraded { Health::Degraded } else { Health::Active };
        let total = |cpu| score(&server(1, "DE", health, Some(cpu))).total();
        prop_assert!(total(cpu) <= total((cpu + more).min(1.0)));
    }
}
