//! Whether the host that answers is the one that is known. Pure.

use mect_fleet::{Failure, HostId};

/// Which hosts may be behind a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    /// The one that was there so far.
    pub(super) known: Option<HostId>,
    /// The one that an operator accepted.
    pub(super) accepted: Option<HostId>,
}

impl Who {
    /// Judges the host that a page names. A page that names none says nothing: a plain node_exporter knows no identity. The
    /// first one that is named is believed, unless an operator said who it should be.
    ///
    /// # Errors
    /// It is another one.
    pub(super) fn check(self, shown: Option<HostId>) -> Result<(), Failure> {
        let (Some(shown), Some(known)) = (shown, self.known.or(self.accepted)) else { return Ok(()) };
        if shown == known || self.accepted == Some(shown) {
            return Ok(());
        }
        Err(Failure::of_another_host(shown, known))
    }
}

#[cfg(test)]
mod tests {
    use mect_fleet::FailureReason;

    use super::*;

    #[test]
    fn only_the_known_and_the_accepted_host_may_be_there() {
        let id = |pair: &str| pair.repeat(16).parse::<HostId>().ok();
        let (known, new, other) = (id("0a"), id("1b"), id("2c"));
        for (shown, known, accepted, is_right) in [
            (known, None, None, true),
            (known, known, None, true),
            (None, known, new, true),
            (new, known, None, false),
            (new, known, new, true),
            (known, known, new, true),
            (other, known, new, false),
            (new, None, new, true),
            (other, None, new, false),
        ] {
            let judged = Who { known, accepted }.check(shown);
            assert_eq!(judged.is_ok(), is_right, "{shown:?} where {known:?} is known and {accepted:?} accepted");
            if let Err(failure) = judged {
                assert_eq!((failure.reason, failure.host), (FailureReason::Identity, shown));
            }
        }
    }
}
