//! The latest pages of servers, as the collecting part keeps them.

use std::borrow::Cow;

use crate::report::Failure;
use crate::server::ServerId;
use crate::time::Timestamp;

/// Keeps what every server's latest scrape found.
///
/// A page goes when a later scrape of its server fails, and when its target goes: what is here is what the server says
/// now. A fault of the collector's own says nothing of the server: its page stays.
pub trait Pages: Send + Sync {
    /// Goes through the series of the page of a server's main endpoint, in page order. Nothing happens when there is none, or when only the
    /// pages that somebody asked for are kept.
    fn visit(&self, server: ServerId, visitor: &mut dyn SeriesVisitor);

    /// URLs of further endpoints of a server whose pages are kept, too, beside that of the main one.
    fn further(&self, _server: ServerId) -> Vec<String> {
        Vec::new()
    }

    /// The same as [`visit`](Self::visit) for the page of such an endpoint.
    fn visit_further(&self, _server: ServerId, _url: &str, _visitor: &mut dyn SeriesVisitor) {}

    /// The page of such an endpoint, with the start of its scrape; `None` when it is not kept. Unpacks it.
    fn further_page(&self, _server: ServerId, _url: &str) -> Option<(Timestamp, ServerPage)> {
        None
    }

    /// What the latest scrape of a server found; `None` when that is not kept. Unpacks its page.
    fn latest(&self, server: ServerId) -> Option<LatestScrape>;

    /// When a server's page was scraped, and how many samples it has; `None` when there is none. Reads nothing of it.
    fn samples(&self, server: ServerId) -> Option<(Timestamp, u32)>;
}

/// A name and a value.
pub type SeriesLabel<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Looks at the series of pages. What it does not want is not unpacked.
pub trait SeriesVisitor {
    /// A page whose scrape started at `at`. False to pass it over.
    fn begins(&mut self, at: Timestamp) -> bool;

    /// Whether it looks at series of that name. Asked before the labels are read, for each sample.
    fn wants(&mut self, name: &str) -> bool;

    /// One sample of a name that was just said to be wanted, with its own labels, and with its own time if the page
    /// gives one.
    fn sample(&mut self, name: &str, labels: &[SeriesLabel<'_>], value: f64, at: Option<Timestamp>);
}

/// What a scrape found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestScrape {
    /// Its start.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// The page, or why there is none.
    pub outcome: Result<ServerPage, Failure>,
}

/// A page that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPage {
    /// Samples on it.
    pub samples: u32,
    /// OpenMetrics 1.0; the text format 0.0.4 otherwise.
    pub is_openmetrics: bool,
    /// The page as it came.
    pub text: String,
}
