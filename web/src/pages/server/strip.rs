//! The strip of states over the time that the charts show. Pure.

use std::time::Duration;

use mect_fleet::{Health, ServerView, Timestamp, Transition};

use crate::pages::chart::{Axis, Frame};
use crate::pages::format;

/// Segments of a strip: beyond, they are thinner than a hair, and the earliest are left out.
const MAX_SEGMENTS: usize = 400;

/// A time in one state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Place and width in the plane of charts.
    pub(super) x: String,
    pub(super) width: String,
    /// The state.
    pub(super) class: &'static str,
    /// What a pointer on it is told, in UTC.
    pub(super) title: String,
    /// Start and end, in milliseconds since 1970; no end while it lasts.
    pub(super) from: i64,
    pub(super) to: Option<i64>,
}

/// The strip.
pub(super) struct Strip {
    pub(super) segments: Vec<Segment>,
    pub(super) axis: Axis,
    /// It in a sentence.
    pub(super) summary: String,
}

impl Strip {
    /// `flips` are all that are kept of the server, oldest first.
    pub(super) fn of(view: &ServerView, flips: &[Transition], frame: &Frame, now: Timestamp) -> Self {
        let start = frame.span.start.max(view.server.registered_at);
        let since = flips.partition_point(|flip| flip.at < start);
        let inside = flips.get(since..).unwrap_or_default();
        let before = since.checked_sub(1).and_then(|last| flips.get(last));
        let first = match (inside.first(), before) {
            (Some(next), _) => next.from,
            (None, Some(last)) => last.to,
            (None, None) => view.standing.state.health,
        };
        let mut times = vec![(start, first, before)];
        times.extend(inside.iter().map(|flip| (flip.at, flip.to, Some(flip))));
        let ends = times.iter().skip(1).map(|(at, ..)| *at).chain([now]);
        let spans = times.iter().zip(ends).filter(|((from, ..), to)| to > from);
        let (mut segments, mut outages, mut down) = (Vec::new(), 0u32, Duration::ZERO);
        for ((from, health, flip), to) in spans {
            if *health == Health::Down {
                outages += 1;
                down += to.since(*from);
            }
            segments.push(segment(frame, (*from, to), *health, *flip, now));
        }
        segments.drain(..segments.len().saturating_sub(MAX_SEGMENTS));
        Self { segments, axis: frame.axis(), summary: summary(outages, down) }
    }
}

fn segment(
    frame: &Frame,
    (from, to): (Timestamp, Timestamp),
    health: Health,
    flip: Option<&Transition>,
    now: Timestamp,
) -> Segment {
    let (x, end) = (frame.x(from), frame.x(to));
    let reason = flip.and_then(|flip| flip.reason).filter(|_| health == Health::Down);
    let reason = reason.map_or_else(String::new, |reason| format!(", {}", reason.sentence()));
    let until = if to == now { "now".to_owned() } else { format::instant(to, now) };
    Segment {
        x: format!("{x:.1}"),
        // A short outage must be seen.
        width: format!("{:.1}", (end - x).max(2.0)),
        class: health.name(),
        title: format!("{} from {} to {until}{reason}", health.name(), format::instant(from, now)),
        from: from.as_millis(),
        to: (to != now).then(|| to.as_millis()),
    }
}

fn summary(outages: u32, down: Duration) -> String {
    match outages {
        0 => "Not down in this time.".to_owned(),
        1 => format!("Down once, for {}.", format::span(down)),
        many => format!("Down {many} times, {} in all.", format::span(down)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mect_fleet::store::Registration;
    use mect_fleet::{FailureReason, HealthState, Server, ServerId, Standing};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_490_400);

    fn before(minutes: u64) -> Timestamp {
        NOW - Duration::from_secs(minutes * 60)
    }

    fn strip(registered_at: Timestamp, health: Health, flips: &[(u64, Health, Health)]) -> Strip {
        let server = Server::new(ServerId::random().unwrap(), &Registration::default(), registered_at);
        let flips: Vec<_> = flips
            .iter()
            .map(|(minutes, from, to)| Transition {
                server: server.id,
                number: 1,
                at: before(*minutes),
                from: *from,
                to: *to,
                reason: (*to == Health::Down).then_some(FailureReason::ConnRefused),
                checks: 3,
            })
            .collect();
        let state = HealthState { health, ..HealthState::default() };
        let view = ServerView::new(Arc::new(server), Standing { state, ..Standing::default() });
        let frame = Frame { span: before(100)..NOW, gap: Duration::ZERO, tick: Duration::from_secs(1800) };
        Strip::of(&view, &flips, &frame, NOW)
    }

    #[test]
    fn without_a_flip_it_is_what_it_is_now() {
        let strip = strip(before(10_000), Health::Active, &[]);
        assert_eq!(strip.segments.len(), 1);
        assert_eq!((strip.segments[0].x.as_str(), strip.segments[0].width.as_str()), ("0.0", "1000.0"));
        assert_eq!((strip.segments[0].class, strip.summary.as_str()), ("active", "Not down in this time."));
    }

    #[test]
    fn flips_divide_it_and_outages_are_summed_up() {
        use Health::{Active, Down};
        let flips = [(200, Active, Down), (80, Down, Active), (50, Active, Down), (40, Down, Active)];
        let strip = strip(before(10_000), Active, &flips);
        let seen: Vec<_> = strip.segments.iter().map(|one| (one.class, one.x.as_str(), one.width.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("down", "0.0", "200.0"),
                ("active", "200.0", "300.0"),
                ("down", "500.0", "100.0"),
                ("active", "600.0", "400.0")
            ]
        );
        assert_eq!(strip.summary, "Down 2 times, 30 min in all.");
        assert_eq!(strip.segments[0].title, "down from 01:40 UTC to 02:00 UTC, connection refused");
        assert!(strip.segments[3].title.ends_with("to now"));
    }

    #[test]
    fn a_new_server_has_no_past_before_it_came() {
        let strip = strip(before(20), Health::Active, &[(10, Health::Pending, Health::Active)]);
        let seen: Vec<_> = strip.segments.iter().map(|one| (one.class, one.x.as_str())).collect();
        assert_eq!(seen, [("pending", "800.0"), ("active", "900.0")]);
    }
}
