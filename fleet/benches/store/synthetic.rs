//! A made-up fleet that behaves like a real one: loads with a daily wave, a memory and noise; jitter in the schedule;
//! now and then an outage.

use std::time::Duration;

use mect_fleet::store::{Record, Registration, story};
use mect_fleet::{
    Failure, FailureReason, Outcome, Place, Reading, Report, Rule, Server, ServerId, Service, ServiceReading, Standing,
    Timestamp,
};

/// Time between two scrapes of a server.
pub(crate) const INTERVAL: Duration = Duration::from_secs(120);
/// Scrapes of a server in a day.
pub(crate) const PER_DAY: usize = 720;
/// Midnight at which the data starts.
pub(crate) const START: Timestamp = Timestamp::from_secs(20_800 * 86_400);
/// One scrape in so many begins an outage.
const OUTAGE_ONE_IN: f64 = 3000.0;
/// Scrapes that an outage lasts.
const OUTAGE_SCRAPES: u32 = 8;

/// xorshift: fast, and the same data in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in 0–1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }
}

/// One server and what it will say next.
pub(crate) struct Host {
    id: ServerId,
    standing: Standing,
    random: Random,
    phase_ms: u64,
    scrape: u32,
    outage: u32,
    cpu: f64,
    ram: f64,
    sessions: f64,
    rate: f64,
}

impl Host {
    fn new(id: ServerId, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let phase_ms = (random.unit() * INTERVAL.as_millis() as f64) as u64;
        let (cpu, ram, sessions) = (0.2, 0.2 + 0.5 * random.unit(), 80.0);
        let rate = 5e5 + 1.2e7 * random.unit();
        Self { id, standing: Standing::default(), random, phase_ms, scrape: 0, outage: 0, cpu, ram, sessions, rate }
    }

    pub(crate) fn id(&self) -> ServerId {
        self.id
    }

    /// The next scrape, folded into the standing.
    pub(crate) fn next(&mut self) -> Record {
        let jitter_ms = (self.random.unit() * 6.0) as u64;
        let at = START + INTERVAL * self.scrape + Duration::from_millis(self.phase_ms + jitter_ms);
        self.scrape += 1;
        if self.outage == 0 && self.random.unit() * OUTAGE_ONE_IN < 1.0 {
            self.outage = OUTAGE_SCRAPES;
        }
        let (duration_ms, outcome) = if self.outage > 0 {
            self.outage -= 1;
            (10_000, Outcome::Failed(Failure::new(FailureReason::ConnTimeout, "no answer in 10 s")))
        } else {
            (8 + (self.random.unit() * self.random.unit() * 40.0) as u32, Outcome::Up(self.reading()))
        };
        let samples = u32::from(matches!(outcome, Outcome::Up(_))) * 96;
        let report = Report { server: self.id, at, duration_ms, samples, outcome };
        let transition = self.standing.observe(&Rule::default(), &report, None);
        Record { report, standing: self.standing.clone(), transition, epoch: 0 }
    }

    fn reading(&mut self) -> Reading {
        let random = &mut self.random;
        let wave = (f64::from(self.scrape) / PER_DAY as f64 * std::f64::consts::TAU).sin();
        self.cpu = (0.9 * self.cpu + 0.1 * (0.3 + 0.15 * wave) + 0.03 * (random.unit() - 0.5)).clamp(0.0, 1.0);
        self.ram = (self.ram + 0.002 * (random.unit() - 0.5)).clamp(0.05, 0.98);
        self.sessions = (0.97 * self.sessions + 0.03 * (120.0 + 60.0 * wave) + 4.0 * (random.unit() - 0.5)).max(0.0);
        let receive = self.rate * (1.0 + 0.5 * wave) * (0.85 + 0.3 * random.unit());
        let transmit = receive * (0.9 + 0.1 * random.unit());
        let unit = |service, unit: &str| ServiceReading { service, unit: unit.into(), active: true, rung: Some(5) };
        Reading {
            cpu: Some(self.cpu as f32),
            ram: Some(self.ram as f32),
            net: Some((receive.max(transmit) / 1.25e8) as f32),
            receive_bytes_per_second: Some(receive),
            transmit_bytes_per_second: Some(transmit),
            sessions: Some(self.sessions as u32),
            services: Box::new([
                unit(Service::WireGuard, "wg-quick@wg0.service"),
                unit(Service::OpenVpn, "openvpn@server.service"),
                unit(Service::Squid, "squid.service"),
                unit(Service::Xray, "x-ui.service"),
            ]),
            ..Reading::default()
        }
    }
}

/// The hosts behind `servers`, in the order in which the schedule scrapes them.
pub(crate) fn hosts(servers: &[Server]) -> Vec<Host> {
    let mut hosts: Vec<_> = servers.iter().zip(0..).map(|(server, seed)| Host::new(server.id, seed)).collect();
    hosts.sort_by_key(|host| host.phase_ms);
    hosts
}

/// What discovery says of `count` servers.
pub(crate) fn registrations(count: usize) -> Vec<Registration> {
    let place = Place {
        country_code: "DE".into(),
        country: "Germany".into(),
        region: "Hesse".into(),
        city: "Frankfurt am Main".into(),
        ..Place::default()
    };
    (0..count).map(|n| Registration { place: place.clone(), ..story::registration(n) }).collect()
}
