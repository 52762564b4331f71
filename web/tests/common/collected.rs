//! A collecting part that knows what a test tells it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mect_fleet::collecting::{
    ActiveTarget, Collecting, LatestScrape, NotReloaded, NotScraped, Pages, Reload, Reloaded, Scrapes, SeriesVisitor,
    ServerPage, Targets, TargetsSnapshot,
};
use mect_fleet::{Failure, Server, ServerId, Timestamp};

/// When a page was scraped, and what came of it.
type Scraped = (Timestamp, Result<String, Failure>);

/// Targets and pages. A page is lines of a name, perhaps labels `a=b` with blanks between, and a value.
#[derive(Default)]
pub struct Collected {
    targets: Vec<ActiveTarget>,
    pages: Mutex<HashMap<ServerId, Scraped>>,
    /// Pages of further endpoints, by server and URL.
    further: HashMap<(ServerId, String), (Timestamp, String)>,
    /// How often somebody went through a page.
    pub visits: Arc<AtomicUsize>,
    /// What a scrape on demand finds.
    pub live: Option<(ServerId, String)>,
    /// What a reload comes to.
    pub reloaded: Option<Result<Reloaded, NotReloaded>>,
}

impl Collected {
    /// Servers whose exporters listen at port 9776 of their addresses.
    pub fn of(servers: &[Server]) -> Self {
        let url = |server: &Server| Some(format!("http://{}:9776/metrics", server.ip));
        let targets =
            servers.iter().map(|server| ActiveTarget { server: server.id, url: url(server), further: Vec::new() });
        Self { targets: targets.collect(), ..Self::default() }
    }

    /// The latest scrape of a server.
    pub fn with(self, server: &Server, at: Timestamp, page: Result<&str, Failure>) -> Self {
        self.pages.lock().unwrap().insert(server.id, (at, page.map(str::to_owned)));
        self
    }

    /// A further endpoint of a server, at `url`, and its page.
    pub fn with_further(mut self, server: &Server, url: &str, at: Timestamp, page: &str) -> Self {
        let targets = self.targets.iter_mut().filter(|target| target.server == server.id);
        targets.for_each(|target| target.further.push(url.to_owned()));
        self.further.insert((server.id, url.to_owned()), (at, page.to_owned()));
        self
    }

    pub fn collecting(self) -> Collecting {
        let this = Arc::new(self);
        Collecting {
            targets: Some(this.clone()),
            scrapes: Some(this.clone()),
            pages: Some(this.clone()),
            reload: this.reloaded.is_some().then(|| this.clone() as Arc<dyn Reload>),
            ..Collecting::default()
        }
    }
}

impl Targets for Collected {
    fn snapshot(&self) -> TargetsSnapshot {
        let seconds = Duration::from_secs;
        TargetsSnapshot { active: self.targets.clone(), dropped: vec![], interval: seconds(120), timeout: seconds(10) }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(120)
    }
}

impl Pages for Collected {
    fn visit(&self, server: ServerId, visitor: &mut dyn SeriesVisitor) {
        self.visits.fetch_add(1, Ordering::Relaxed);
        let pages = self.pages.lock().unwrap();
        if let Some((at, Ok(page))) = pages.get(&server) {
            go_through(*at, page, visitor);
        }
    }

    fn further(&self, server: ServerId) -> Vec<String> {
        self.further.keys().filter(|(of, _)| *of == server).map(|(_, url)| url.clone()).collect()
    }

    fn visit_further(&self, server: ServerId, url: &str, visitor: &mut dyn SeriesVisitor) {
        let (at, page) = &self.further[&(server, url.to_owned())];
        go_through(*at, page, visitor);
    }

    fn further_page(&self, server: ServerId, url: &str) -> Option<(Timestamp, ServerPage)> {
        let (at, text) = self.further.get(&(server, url.to_owned())).cloned()?;
        Some((at, ServerPage { samples: 0, is_openmetrics: false, text }))
    }

    fn latest(&self, server: ServerId) -> Option<LatestScrape> {
        let (at, outcome) = self.pages.lock().unwrap().get(&server).cloned()?;
        let page = |text: String| ServerPage { samples: text.lines().count() as u32, is_openmetrics: false, text };
        Some(LatestScrape { at, duration_ms: 5, outcome: outcome.map(page) })
    }

    fn samples(&self, server: ServerId) -> Option<(Timestamp, u32)> {
        let pages = self.pages.lock().unwrap();
        let (at, page) = pages.get(&server)?;
        Some((*at, page.as_ref().ok()?.lines().count() as u32))
    }
}

fn go_through(at: Timestamp, page: &str, visitor: &mut dyn SeriesVisitor) {
    if !visitor.begins(at) {
        return;
    }
    for line in page.lines() {
        let mut words = line.split(' ');
        let (name, value) = (words.next().unwrap(), words.next_back().unwrap());
        let labels: Vec<_> = words.map(|word| word.split_once('=').unwrap()).collect();
        let labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        if visitor.wants(name) {
            visitor.sample(name, &labels, value.parse().unwrap(), None);
        }
    }
}

#[async_trait::async_trait]
impl Scrapes for Collected {
    async fn scrape_now(&self, server: ServerId) -> Result<(), NotScraped> {
        match &self.live {
            Some((known, page)) if *known == server => {
                self.pages.lock().unwrap().insert(server, (Timestamp::now(), Ok(page.clone())));
                Ok(())
            }
            _ => Err(NotScraped::NotHere),
        }
    }
}

#[async_trait::async_trait]
impl Reload for Collected {
    async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        self.reloaded.clone().unwrap()
    }
}
