//! A report: what one scrape tells, whether it worked or not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host_id::HostId;
use crate::reading::Reading;
use crate::server::ServerId;
use crate::time::Timestamp;

macro_rules! failure_reasons {
    ($($(#[$doc:meta])+ $variant:ident = $code:literal, $name:literal, $sentence:literal;)+) => {
        /// Why a scrape failed: the metric label, the stored field and the sentence on the page are this one enum.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum FailureReason {
            $($(#[$doc])+ #[serde(rename = $name)] $variant = $code,)+
        }

        impl FailureReason {
            /// Every reason, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label value and stored name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What a person reads, without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }

            /// The stored code, never reused for another meaning; 0 is no failure.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The reason with that stored code.
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }
        }
    };
}

failure_reasons! {
    /// The host answered that nothing listens there.
    ConnRefused = 1, "conn_refused", "connection refused";
    /// No answer to the connection attempt.
    ConnTimeout = 2, "conn_timeout", "no answer while connecting";
    /// The network says that the host cannot be reached.
    NoRoute = 3, "no_route", "no route to the host";
    /// The name did not resolve.
    Dns = 4, "dns", "the host name does not resolve";
    /// The TLS handshake failed.
    Tls = 5, "tls", "TLS handshake failed";
    /// Connected, but no complete response head in time.
    HeadTimeout = 6, "head_timeout", "connected, but no answer in time";
    /// The head came, the body did not end in time.
    TotalTimeout = 7, "total_timeout", "the answer did not end in time";
    /// The peer reset or closed the connection before a response head.
    Reset = 8, "reset", "connection reset by the host";
    /// The connection ended inside the body.
    Truncated = 9, "truncated", "the answer broke off";
    /// A status other than 200.
    Status = 10, "status", "unexpected HTTP status";
    /// Status 401 or 403.
    Auth = 11, "auth", "the exporter refused our credentials";
    /// A redirect: never followed.
    Redirect = 12, "redirect", "the exporter redirects elsewhere";
    /// A content coding other than gzip, or a broken gzip stream.
    Encoding = 13, "encoding", "unreadable content encoding";
    /// Not a metrics page, for example HTML.
    ContentType = 14, "content_type", "the answer is not a metrics page";
    /// The body is larger than allowed.
    TooLarge = 15, "too_large", "the page is too large";
    /// More samples or labels than allowed.
    Limit = 16, "limit", "the page has too many samples";
    /// The page breaks the exposition format.
    Parse = 17, "parse", "the page is not in the exposition format";
    /// The page is not UTF-8.
    Utf8 = 18, "utf8", "the page is not UTF-8";
    /// Another host answers under this address.
    Identity = 19, "identity", "another host answers at this address";
    /// Not HTTP/1.
    Proto = 20, "proto", "the answer is not HTTP";
    /// Contradicting message framing.
    Framing = 21, "framing", "contradictory HTTP framing";
    /// The collector's own fault: never counts against the server.
    Local = 22, "local", "the collector itself could not scrape";
    /// A page without any metric that tells of a host: empty, or of something else.
    NoMetrics = 23, "no_metrics", "the page tells nothing of a host";
    /// An agent of the old system, which reports by itself, did not for too long.
    Silent = 24, "silent", "no heartbeat from the agent";
}

impl FailureReason {
    /// True when the fault is the collector's own, which says nothing about the server.
    pub const fn is_local(self) -> bool {
        matches!(self, Self::Local)
    }

    /// True when one failure is proof enough: an agent that is silent has missed several reports already.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Silent)
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed scrape: the reason, and what exactly was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The closed reason.
    pub reason: FailureReason,
    /// What was seen, for a person, for example `HTTP 503` or `line 12: expected a value`. May be empty.
    pub detail: Box<str>,
    /// The host that answered, where it is another one than the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
}

/// Characters of a detail: what a hostile host says must not fill memory, disk and pages.
const MAX_DETAIL_CHARS: usize = 200;

impl Failure {
    /// A failure with what was seen, cut to 200 characters.
    pub fn new(reason: FailureReason, detail: impl Into<Box<str>>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL_CHARS) {
            detail = format!("{}…", &detail[..end]).into();
        }
        Self { reason, detail, host: None }
    }

    /// The page is of the host `shown`, and the server is the host `known`.
    pub fn of_another_host(shown: HostId, known: HostId) -> Self {
        let detail = format!("host {shown} answers, known is {known}");
        Self { host: Some(shown), ..Self::new(FailureReason::Identity, detail) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.sentence())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// How a scrape ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The page was fetched, parsed and read: a heartbeat.
    Up(Reading),
    /// Nothing of the page is kept.
    Failed(Failure),
}

/// What one scrape tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The server that was scraped.
    pub server: ServerId,
    /// When the scrape was due; it starts within 50 ms unless the collector is overloaded. With the server it identifies
    /// the report: two collectors that scrape a server at the same tick tell the same.
    pub at: Timestamp,
    /// From start to the last byte or the failure, in milliseconds.
    pub duration_ms: u32,
    /// Samples on the page; 0 when it failed.
    pub samples: u32,
    /// How it ended.
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_come_back() {
        for (index, reason) in FailureReason::ALL.iter().enumerate() {
            assert_eq!(usize::from(reason.code()), index + 1, "{reason}");
            assert_eq!(FailureReason::from_code(reason.code()), Some(*reason));
        }
        assert_eq!(FailureReason::from_code(0), None);
        assert_eq!(FailureReason::from_code(200), None);
    }

    #[test]
    fn a_failure_reads_as_a_sentence() {
        assert_eq!(Failure::new(FailureReason::Status, "HTTP 503").to_string(), "unexpected HTTP status: HTTP 503");
        assert_eq!(Failure::new(FailureReason::ConnRefused, "").to_string(), "connection refused");
    }

    #[test]
    fn what_a_host_says_is_cut() {
        let said = Failure::new(FailureReason::ContentType, "é".repeat(5000)).detail;
        assert_eq!((said.chars().count(), said.ends_with("é…")), (MAX_DETAIL_CHARS + 1, true));
        let said = "é".repeat(MAX_DETAIL_CHARS);
        assert_eq!(*Failure::new(FailureReason::ContentType, &*said).detail, *said);
    }
}
