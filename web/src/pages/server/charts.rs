//! The charts of a server's page: which quantities, over which time.

use std::ops::Range;
use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::series::{self, Bucket, Spread};

use crate::pages::chart::{Chart, Frame, Line, Sample, Unit};
use crate::pages::prose::Prose;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// A line is broken where a scrape is missing: beyond so many intervals without one.
const GAP_INTERVALS: f64 = 2.5;
/// Rows of the numbers below the charts: what somebody may want to listen to.
const ROWS: u32 = 24;

/// How much of the past the page shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Span {
    Hour,
    #[default]
    Day,
    Week,
    Month,
}

impl Span {
    pub(super) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The word in the query.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// For people.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "1 hour",
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    /// The span with that word; a day where it is none.
    pub(super) fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|span| span.name() == name).unwrap_or_default()
    }

    const fn length(self) -> Duration {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => Duration::from_secs(7 * 86_400),
            Self::Month => Duration::from_secs(30 * 86_400),
        }
    }

    /// 60 to 340 points, whatever the span: as many as a chart has room for.
    pub(super) const fn step(self) -> Duration {
        match self {
            Self::Hour => MINUTE,
            Self::Day => Duration::from_secs(5 * 60),
            Self::Week => Duration::from_secs(30 * 60),
            Self::Month => Duration::from_secs(3 * 3600),
        }
    }

    const fn tick(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(15 * 60),
            Self::Day => Duration::from_secs(6 * 3600),
            Self::Week => Duration::from_secs(2 * 86_400),
            Self::Month => Duration::from_secs(7 * 86_400),
        }
    }

    /// The time that ends at `now`, in whole steps: it moves on only with them.
    pub(super) fn range(self, now: Timestamp) -> Range<Timestamp> {
        series::aligned(now - self.length()..now, self.step())
    }

    /// The frame of charts over that time. `interval` is the time between two scrapes.
    pub(super) fn frame(self, now: Timestamp, interval: Duration) -> Frame {
        let gap = self.step().mul_f64(1.5).max(interval.mul_f64(GAP_INTERVALS));
        Frame { span: self.range(now), gap, tick: self.tick() }
    }
}

/// The charts.
pub(super) fn charts(buckets: &[Bucket], span: Span, frame: &Frame) -> Vec<Chart> {
    let line = |label, class, spread: fn(&Bucket) -> Option<Spread>| {
        let samples = buckets.iter().filter_map(|bucket| {
            let Spread { min, mean, max, .. } = spread(bucket)?;
            // In the middle of its step.
            Some(Sample { at: bucket.at + span.step() / 2, low: min, value: mean, high: max })
        });
        Line { label, class, samples: samples.collect() }
    };
    let chart = |title, unit, lines: &[Line]| Chart::draw(title, unit, frame, lines);
    vec![
        chart("CPU", Unit::Percent, &[line("", "first", |bucket| bucket.cpu)]),
        chart("Memory", Unit::Percent, &[line("", "first", |bucket| bucket.ram)]),
        chart(
            "Network",
            Unit::BitRate,
            &[line("in", "first", |bucket| bucket.receive), line("out", "second", |bucket| bucket.transmit)],
        ),
        chart("Sessions", Unit::Count, &[line("", "first", |bucket| bucket.sessions)]),
        chart("Scrape time", Unit::Milliseconds, &[line("", "first", |bucket| bucket.duration_ms)]),
    ]
}

/// A row of numbers: what the charts show, for who cannot see them.
pub(super) struct Row {
    pub(super) at: Prose,
    /// Mean of each quantity, in the order of the table's head.
    pub(super) values: [String; 6],
    pub(super) checks: String,
}

/// The numbers in few rows, the latest first.
pub(super) fn rows(buckets: &[Bucket], frame: &Frame, now: Timestamp) -> Vec<Row> {
    let slot = (frame.span.end.since(frame.span.start) / ROWS).max(Duration::from_millis(1)).as_millis();
    let number = |bucket: &Bucket| bucket.at.since(frame.span.start).as_millis() / slot;
    let slots = buckets.chunk_by(|a, b| number(a) == number(b)).filter_map(|slot| Some((slot.first()?.at, slot)));
    let mut rows: Vec<Row> = slots
        .map(|(at, slot)| {
            let mean = |unit: Unit, spread: fn(&Bucket) -> Option<Spread>| {
                let known = slot.iter().filter_map(spread).map(|spread| (spread.mean, f64::from(spread.count)));
                let (sum, count) =
                    known.fold((0.0, 0.0), |(sum, all), (mean, count)| (sum + mean * count, all + count));
                if count > 0.0 { unit.text(sum / count) } else { "–".to_owned() }
            };
            let (checks, failures) =
                slot.iter().fold((0u64, 0u64), |(a, b), one| (a + u64::from(one.checks), b + u64::from(one.failures)));
            Row {
                at: Prose::default().at(at, now),
                values: [
                    mean(Unit::Percent, |bucket| bucket.cpu),
                    mean(Unit::Percent, |bucket| bucket.ram),
                    mean(Unit::BitRate, |bucket| bucket.receive),
                    mean(Unit::BitRate, |bucket| bucket.transmit),
                    mean(Unit::Count, |bucket| bucket.sessions),
                    mean(Unit::Milliseconds, |bucket| bucket.duration_ms),
                ],
                checks: if failures == 0 { checks.to_string() } else { format!("{checks}, {failures} failed") },
            }
        })
        .collect();
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(at: Timestamp, cpu: f64, failures: u32) -> Bucket {
        let cpu = Some(Spread { count: 1, min: cpu, mean: cpu, p95: cpu, max: cpu });
        let (duration_ms, ram, net, receive, transmit, sessions) = (None, None, None, None, None, None);
        Bucket { at, checks: 1, failures, duration_ms, cpu, ram, net, receive, transmit, sessions }
    }

    #[test]
    fn a_span_has_as_many_points_as_a_chart_has_room_for() {
        let now = Timestamp::from_secs(1_795_490_239);
        for span in Span::ALL {
            let range = span.range(now);
            let points = range.end.since(range.start).as_secs() / span.step().as_secs();
            assert!((60..=340).contains(&points), "{}: {points}", span.name());
            assert_eq!(Span::of(span.name()), span);
            assert!((1..=7).contains(&span.frame(now, MINUTE).ticks().len()));
        }
        assert_eq!(Span::of("1y"), Span::Day);
    }

    #[test]
    fn a_missing_scrape_breaks_the_line_and_a_slow_rhythm_does_not() {
        let now = Timestamp::from_secs(1_795_490_400);
        let frame = Span::Hour.frame(now, MINUTE * 2);
        let at = |minute: u32| frame.span.start + MINUTE * minute;
        let buckets: Vec<_> = [0, 2, 4, 20, 22].map(|minute| bucket(at(minute), 0.5, 0)).into();
        let charts = charts(&buckets, Span::Hour, &frame);
        assert_eq!(charts[0].lines[0].path.matches('M').count(), 2);
        assert!(charts[1].is_empty() && !charts[0].is_empty());
    }

    #[test]
    fn rows_sum_up_and_begin_with_the_latest() {
        let now = Timestamp::from_secs(1_795_490_400);
        let frame = Span::Day.frame(now, MINUTE * 2);
        let buckets: Vec<_> = (0..288)
            .map(|n| bucket(frame.span.start + MINUTE * 5 * n, f64::from(n) / 288.0, u32::from(n == 0)))
            .collect();
        let rows = rows(&buckets, &frame, now);
        assert_eq!(rows.len(), 24);
        assert_eq!((rows[0].values[0].as_str(), rows[0].values[1].as_str()), ("97.7 %", "–"));
        assert_eq!((rows[0].checks.as_str(), rows[23].checks.as_str()), ("12", "12, 1 failed"));
    }
}
