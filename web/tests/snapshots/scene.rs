//! A fleet with a server in every state, and what the collecting part would tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mect_fleet::collecting::{
    ActiveTarget, Collecting, DroppedTarget, LatestScrape, NotScraped, Pages, Scrapes, SeriesVisitor, ServerPage,
    Targets, TargetsSnapshot,
};
use mect_fleet::installation::{Database, Facts, Installation, Share, StoreKind};
use mect_fleet::store::{Record, Registration, story};
use mect_fleet::{
    Doubt, EndpointReading, Failure, FailureReason, Outcome, Report, Rule, ScrapeTarget, Server, ServerId, Standing,
    Timestamp,
};

use crate::common::{Answer, Site, registration};

/// The name that must be harmless everywhere.
pub(crate) const HOSTILE: &str = r#""><img src=x onerror=alert(1)>"#;

/// When servers came: before everything that pages look back at.
const KNOWN_FOR: Duration = Duration::from_secs(40 * 86_400);
/// The latest scrape of a server that is scraped: long before it would be stale.
const SCRAPED_BEFORE: Duration = Duration::from_secs(100);
/// The same of one that is stale.
const STALE_FOR: Duration = Duration::from_secs(3000);
const INTERVAL: Duration = Duration::from_secs(120);
/// Further endpoints of the degraded server: one answers, one does not.
const FURTHER: [&str; 2] = [":9586", ":9301"];

/// A site with servers, by their names.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) servers: HashMap<String, Server>,
}

impl Scene {
    /// Of these registrations, all scraped but those that await approval.
    pub(crate) async fn of(site: Site, registrations: Vec<Registration>) -> Self {
        let servers = site.fleet.register(registrations, Timestamp::now() - KNOWN_FOR).await.unwrap();
        let monitored = servers.iter().filter(|server| !server.awaits_approval).map(|server| server.id).collect();
        site.fleet.set_monitored(&monitored, Timestamp::now());
        Self { site, servers: servers.into_iter().map(|server| (server.hostname.clone(), server)).collect() }
    }

    /// A server in every state, one with a hostile name among them.
    pub(crate) async fn full() -> Self {
        let names =
            ["active", "degraded", "down", "pending", "unverified", "draining", "maintenance", "stale", HOSTILE];
        let mut registrations: Vec<_> =
            (1..).zip(names).map(|(n, name)| added(&format!("192.0.2.{n}"), name)).collect();
        registrations[0].tags = ["eu", "fast"].map(|tag| tag.parse().unwrap()).into();
        registrations[0].capacity_bytes_per_second = Some(125_000_000);
        registrations[8].notes = HOSTILE.into();
        registrations[1].target = registrations[1].target.take().map(|page| page.with_endpoints(&FURTHER).unwrap());
        registrations.push(Registration { pushed: true, ..registration("192.0.2.20", "pushed") });
        registrations.push(Registration { awaits_approval: true, ..added("192.0.2.21", "announced") });
        let scene = Self::of(Site::new().await, registrations).await;
        let refused = || Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""));
        let falls = || vec![story::heartbeat(1), refused(), refused(), refused()];
        let hostile = Outcome::Failed(Failure::new(FailureReason::Status, "<script>alert(2)</script>"));
        let scrapes = [
            ("active", vec![story::heartbeat(7000)], None, SCRAPED_BEFORE),
            ("degraded", vec![impaired()], None, SCRAPED_BEFORE),
            ("down", falls(), None, SCRAPED_BEFORE),
            ("unverified", falls(), Some(Doubt::NoWitness), SCRAPED_BEFORE),
            ("draining", vec![story::heartbeat(2)], None, SCRAPED_BEFORE),
            ("maintenance", vec![story::heartbeat(4)], None, SCRAPED_BEFORE),
            ("stale", vec![story::heartbeat(5)], None, STALE_FOR),
            (HOSTILE, vec![story::heartbeat(1), hostile], None, SCRAPED_BEFORE),
            ("pushed", vec![story::heartbeat(8)], None, SCRAPED_BEFORE),
        ];
        for (n, (name, outcomes, doubt, before)) in (0..).zip(scrapes) {
            // Each later than the one before, also on a machine that is quick: pages order by time.
            scene.scraped(name, outcomes, doubt, before - Duration::from_secs(n)).await;
        }
        let cookie = scene.site.session("admin").await;
        for (name, form) in [
            ("draining", "action=drain&drain_until=2099-05-01T12%3A00"),
            ("maintenance", "action=maintain&maintenance_until="),
        ] {
            let answer = scene.site.submit(&cookie, &format!("{}/intent", scene.path(name)), form).await;
            assert_eq!(answer.status, 303);
        }
        // Looks at all of them for what is stale.
        scene.site.fleet.set_interval(INTERVAL);
        scene.site.fleet.publish(Timestamp::now());
        scene
    }

    /// Scrapes a server once for each outcome, two minutes apart, the last so long ago.
    pub(crate) async fn scraped(&self, name: &str, outcomes: Vec<Outcome>, doubt: Option<Doubt>, before: Duration) {
        let (server, mut standing) = (self.servers[name].id, Standing::default());
        let mut at = Timestamp::now() - before - INTERVAL * (outcomes.len() as u32 - 1);
        let mut batch = Vec::new();
        for outcome in outcomes {
            let samples = if matches!(outcome, Outcome::Up(_)) { 80 } else { 0 };
            let report = Report { server, at, duration_ms: 12, samples, outcome };
            let transition = standing.observe(&Rule::default(), &report, doubt);
            batch.push(Record { report, standing: standing.clone(), transition, epoch: 0 });
            at = at + INTERVAL;
        }
        let batch = Arc::new(batch);
        self.site.store.recorder.record(batch.clone()).await.unwrap();
        self.site.fleet.apply(&batch);
        self.site.fleet.publish(Timestamp::now());
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("/servers/{}", self.servers[name].id)
    }

    /// With a collecting part that tells all it can.
    pub(crate) fn collecting(self) -> Self {
        let told = Arc::new(Told::of(&self.servers));
        let collecting = Collecting {
            targets: Some(told.clone()),
            installation: Some(told.clone()),
            scrapes: Some(told.clone()),
            pages: Some(told),
            ..Collecting::default()
        };
        Self { site: self.site.collecting(collecting), ..self }
    }

    pub(crate) async fn visit(&self, cookie: &str, path: &str) -> Answer {
        self.site.visit(cookie, path).await
    }
}

/// A server with a target of its own.
pub(crate) fn added(ip: &str, hostname: &str) -> Registration {
    let endpoint = format!("{ip}:9776").parse().unwrap();
    Registration { target: Some(ScrapeTarget::at(endpoint)), ..registration(ip, hostname) }
}

fn impaired() -> Outcome {
    let Outcome::Up(mut reading) = story::heartbeat(2) else { panic!("a heartbeat") };
    reading.services.iter_mut().for_each(|unit| (unit.active, unit.rung) = (false, Some(0)));
    let failures = [None, Some(Failure::new(FailureReason::Status, "HTTP 500"))];
    let further = FURTHER.iter().zip(failures).map(|(port, failure)| EndpointReading {
        url: format!("http://192.0.2.2{port}/metrics").into(),
        duration_ms: 7,
        samples: if failure.is_none() { 41 } else { 0 },
        failure,
        failures: 0,
    });
    reading.endpoints = further.collect();
    Outcome::Up(reading)
}

/// In a form.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What a collecting part tells.
pub(crate) struct Told {
    targets: Vec<ActiveTarget>,
    /// Whose page is known, and whose scrape failed.
    page: Option<ServerId>,
    failed: Option<ServerId>,
}

impl Told {
    fn of(servers: &HashMap<String, Server>) -> Self {
        let mut targets: Vec<_> = servers.values().filter(|server| !server.awaits_approval).collect();
        targets.sort_by(|a, b| a.hostname.cmp(&b.hostname));
        let url = |server: &Server| server.target.as_ref().map(|target| target.endpoint.to_string());
        let further = |server: &Server| {
            let further = server.target.iter().flat_map(|target| &target.further);
            further.map(|page| page.endpoint.to_string()).collect()
        };
        let target = |one: &Server| ActiveTarget { server: one.id, url: url(one), further: further(one) };
        let id = |name: &str| servers.get(name).map(|server| server.id);
        Self { targets: targets.into_iter().map(target).collect(), page: id(HOSTILE), failed: id("down") }
    }
}

impl Targets for Told {
    fn snapshot(&self) -> TargetsSnapshot {
        TargetsSnapshot {
            active: self.targets.clone(),
            dropped: vec![DroppedTarget { address: HOSTILE.into(), reason: "waits for approval".into() }],
            interval: INTERVAL,
            timeout: Duration::from_secs(10),
        }
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }
}

impl Installation for Told {
    fn facts(&self) -> Facts {
        let made = Timestamp::now() - Duration::from_secs(20 * 86_400);
        Facts {
            started_at: Timestamp::now() - Duration::from_secs(7300),
            store: StoreKind::Mongo,
            retention: Duration::from_secs(30 * 86_400),
            redis: Some(false),
            share: Some(Share { collectors: vec!["one".into(), HOSTILE.into()], shards: 128 }),
            databases: vec![
                Database { file: "City.mmdb".into(), content: None },
                Database { file: "Country.mmdb".into(), content: Some(("DBIP-Country-Lite".into(), made)) },
            ],
            bad_target_files: vec![format!("targets.yml: line 3: {HOSTILE}")],
            bad_target_lists: vec![format!("https://sd.example/: {HOSTILE}")],
            canaries: 0,
            open_files: (50, Some(1000)),
        }
    }
}

#[async_trait]
impl Scrapes for Told {
    async fn scrape_now(&self, _: ServerId) -> Result<(), NotScraped> {
        Err(NotScraped::NotHere)
    }
}

impl Pages for Told {
    fn visit(&self, _: ServerId, _: &mut dyn SeriesVisitor) {}

    fn latest(&self, server: ServerId) -> Option<LatestScrape> {
        let text = format!("# HELP node_load1 1m load average.\nnode_load1 0.5\nnode_os_info{{name={HOSTILE:?}}} 1\n");
        let outcome = match Some(server) {
            one if one == self.failed => Err(Failure::new(FailureReason::Status, "HTTP 503 <b>")),
            one if one == self.page => Ok(ServerPage { samples: 2, is_openmetrics: false, text }),
            _ => return None,
        };
        Some(LatestScrape { at: Timestamp::now(), duration_ms: 7, outcome })
    }

    fn samples(&self, _: ServerId) -> Option<(Timestamp, u32)> {
        None
    }
}
