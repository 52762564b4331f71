//! The pages with made-up servers: `cargo run -p mect-web --example preview [servers]`, then open the printed address.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Record, Registration, Store};
use mect_fleet::{
    Failure, FailureReason, FlagsPatch, Fleet, Outcome, Place, Reading, Report, Rule, Server, Service, ServiceReading,
    Standing, Timestamp,
};
use mect_web::{Parts, Secret, ServeLimits, Settings};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "preview password";
const PLACES: [(&str, &str, &str, &str); 10] = [
    ("DE", "Germany", "Hesse", "Frankfurt am Main"),
    ("NL", "Netherlands", "North Holland", "Amsterdam"),
    ("US", "United States", "New York", "New York"),
    ("JP", "Japan", "Tokyo", "Tokyo"),
    ("FI", "Finland", "Uusimaa", "Helsinki"),
    ("SG", "Singapore", "", "Singapore"),
    ("BR", "Brazil", "São Paulo", "São Paulo"),
    ("CH", "Switzerland", "Zürich", "Zürich"),
    ("IN", "India", "Maharashtra", "Mumbai"),
    ("", "", "", ""),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(30), |text| text.parse())?;
    let data = tempfile::tempdir()?;
    let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default())?));
    mect_web::ensure_first_admin(&*store.accounts, Some(Secret::new(PASSWORD))).await?;
    let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await?);
    let servers = fleet.register((0..count).map(registration).collect(), Timestamp::now()).await?;

    let parts = Parts {
        fleet: Arc::clone(&fleet),
        accounts: store.accounts.clone(),
        history: store.history.clone(),
        registry: Arc::new(Registry::default()),
        settings: Settings::new(Secret::new("a preview needs no secret, just 32 bytes"))?,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8099").await?;
    println!("http://{}  user `admin`, password `{PASSWORD}`", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let router = mect_web::router(parts);
    let web = tokio::spawn(mect_web::serve(listener, router, ServeLimits::default(), shutdown.clone()));

    // Some past first, so that every state has been reached, then a scrape of everyone every five seconds.
    let mut standings = vec![Standing::default(); servers.len()];
    let start = Timestamp::now() - Duration::from_secs(5 * 120);
    for round in 0..5 {
        scrape(&store, &fleet, &servers, &mut standings, start + Duration::from_secs(120) * round, round).await?;
    }
    let mut round = 5;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        scrape(&store, &fleet, &servers, &mut standings, Timestamp::now(), round).await?;
        round += 1;
    }
    shutdown.cancel();
    web.await?;
    Ok(())
}

async fn scrape(
    store: &Store,
    fleet: &Fleet,
    servers: &[Server],
    standings: &mut [Standing],
    at: Timestamp,
    round: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut batch = Vec::new();
    for (n, (server, standing)) in servers.iter().zip(standings).enumerate() {
        // Some are fresh and still wait for their first scrape.
        if n % 15 == 13 {
            continue;
        }
        let at = at - Duration::from_millis((n as u64 * 7919) % 60_000);
        let outcome = outcome(n, round);
        let report = Report { server: server.id, at, duration_ms: 20 + n as u32 % 300, samples: 120, outcome };
        let transition = standing.observe(&Rule::default(), &report);
        batch.push(Record { report, standing: standing.clone(), transition });
    }
    let batch = Arc::new(batch);
    store.recorder.record(Arc::clone(&batch)).await?;
    fleet.apply(&batch);
    fleet.publish(Timestamp::now());
    Ok(())
}

fn registration(n: usize) -> Registration {
    let (country_code, country, region, city) = PLACES[n % PLACES.len()];
    let hostname = match n {
        11 => r#""><img src=x onerror=alert(1)>"#.to_owned(),
        _ if country_code.is_empty() => format!("unplaced-{n}.example.net"),
        _ => format!("{}{}.vpn.example.net", country_code.to_lowercase(), n / PLACES.len() + 1),
    };
    let ip = match n {
        17 => "2001:db8::17:1".to_owned(),
        _ => format!("198.{}.{}.{}", 18 + n / 65_536, n / 256 % 256, n % 256),
    };
    Registration {
        ip,
        hostname,
        place: Place {
            country_code: country_code.into(),
            country: country.into(),
            region: region.into(),
            city: city.into(),
        },
        flags: FlagsPatch {
            gaming: Some(n.is_multiple_of(3)),
            streaming: Some(n.is_multiple_of(2)),
            paid: Some(n.is_multiple_of(5)),
            enabled: Some(n % 11 != 7),
        },
        is_static: n.is_multiple_of(7),
    }
}

fn outcome(n: usize, round: u32) -> Outcome {
    match n % 15 {
        3 if round > 1 => Outcome::Failed(Failure::new(FailureReason::ConnRefused, "")),
        8 if round > 0 => Outcome::Failed(Failure::new(FailureReason::Status, "HTTP 503")),
        5 if round % 5 > 2 => Outcome::Failed(Failure::new(FailureReason::HeadTimeout, "")),
        _ => Outcome::Up(reading(n, round)),
    }
}

fn reading(n: usize, round: u32) -> Reading {
    let wave = |seed: f64| {
        let phase = (n as f64 * seed + f64::from(round) * 0.1).sin();
        (0.42 + 0.36 * phase + if n % 9 == 2 { 0.2 } else { 0.0 }) as f32
    };
    let unit = |service, unit: &str, active| ServiceReading { service, unit: unit.into(), active };
    let mut services = vec![unit(Service::WireGuard, "wg-quick@wg0.service", true)];
    if n.is_multiple_of(2) {
        services.push(unit(Service::OpenVpn, "openvpn@server.service", true));
        services.push(unit(Service::OpenVpn, "openvpn@tcp.service", n % 12 != 4));
    }
    if n.is_multiple_of(3) {
        services.push(unit(Service::Squid, "squid.service", n % 9 != 6));
    }
    if n % 4 != 1 {
        services.push(unit(Service::Xray, "x-ui.service", true));
    }
    let transmit = 4e7 * f64::from(wave(1.3));
    Reading {
        cpu: Some(wave(0.7)),
        ram: Some(wave(0.31)),
        net: (n % 6 != 2).then(|| wave(1.3)),
        receive_bytes_per_second: Some(transmit * 0.3),
        transmit_bytes_per_second: Some(transmit),
        sessions: Some(n as u32 * 37 % 410),
        services: services.into(),
    }
}
