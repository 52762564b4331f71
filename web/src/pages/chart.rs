//! Charts of one quantity over time, as SVG drawn here. Pure: told the samples, gives texts and paths for a template.
//!
//! Paths lie in a plane of [`WIDTH`] by [`HEIGHT`] that the page stretches to whatever room there is; words stand beside
//! it, so that they keep their size. Where scrapes are missing the line is broken.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use mect_fleet::Timestamp;

use crate::pages::format;

/// Width of the plane in which paths lie.
const WIDTH: f64 = 1000.0;
/// Its height.
const HEIGHT: f64 = 100.0;
/// No tick nearer to an end than this share of the width: its words would be cut.
const EDGE: f64 = 0.04;

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A ratio, shown as 0 to 100 %.
    Percent,
    /// Bytes per second, shown as bits.
    BitRate,
    /// Things counted.
    Count,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// With its unit, as people read it.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{} %", rounded(value * 100.0)),
            Self::BitRate => format::bit_rate(value),
            Self::Count if value >= 1000.0 => format::count(value.round() as u64),
            Self::Count => rounded(value),
            Self::Milliseconds => format::milliseconds(value),
        }
    }

    /// The top of an axis that holds everything up to `most`, with a half that is as round.
    fn top(self, most: f64) -> f64 {
        match self {
            // The same scale for every server, so that charts can be compared.
            Self::Percent if most <= 1.0 => 1.0,
            Self::BitRate => round_up(most * 8.0, 1000.0) / 8.0,
            Self::Percent | Self::Count | Self::Milliseconds => round_up(most, 2.0),
        }
    }
}

/// At most one decimal, and none that says nothing.
fn rounded(value: f64) -> String {
    let text = if value.abs() >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The next of 1, 2, 4, 10, 20, 40, …, and `least` at least.
fn round_up(value: f64, least: f64) -> f64 {
    let value = value.max(least);
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 10.0].into_iter().map(|step| step * power).find(|top| value <= top * (1.0 + 1e-9)).unwrap_or(value)
}

/// One point of a line: the scrapes of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    /// Smallest, mean and largest value.
    pub(crate) low: f64,
    pub(crate) value: f64,
    pub(crate) high: f64,
}

/// One line of a chart.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Names it where a chart has several; empty where it is the only one.
    pub(crate) label: &'static str,
    /// Its class in the style sheet.
    pub(crate) class: &'static str,
    /// In order of time.
    pub(crate) samples: Vec<Sample>,
}

/// The time that the charts of a page show.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) span: Range<Timestamp>,
    /// Samples farther apart than this are not joined.
    pub(crate) gap: Duration,
    /// Distance of ticks.
    pub(crate) tick: Duration,
}

/// The foot of a chart.
pub(crate) struct Axis {
    /// Start and end, in milliseconds since 1970.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Distance of ticks, in milliseconds.
    pub(crate) step: i64,
    /// At round times in UTC.
    pub(crate) ticks: Vec<Tick>,
}

/// A word at the foot of a chart.
pub(crate) struct Tick {
    /// Place as a share of the width, in percent.
    pub(crate) x: String,
    pub(crate) label: String,
}

/// A line, drawn.
pub(crate) struct Drawn {
    pub(crate) label: &'static str,
    pub(crate) class: &'static str,
    /// The line itself.
    pub(crate) path: String,
    /// Samples without a neighbour.
    pub(crate) dots: String,
    /// From the smallest to the largest values; empty when they are the same.
    pub(crate) band: String,
    /// The latest value; `None` when there is none.
    pub(crate) latest: Option<String>,
}

/// A chart, ready for `partials/chart.html`.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Drawn>,
    /// Words at the top, the middle and the bottom of the axis.
    pub(crate) scale: [String; 3],
    pub(crate) axis: Axis,
    /// The chart in a sentence.
    pub(crate) summary: String,
    /// What stands at each place: lines of `x text`, x in the plane.
    pub(crate) hover: String,
}

impl Frame {
    /// Place of an instant in the plane.
    pub(crate) fn x(&self, at: Timestamp) -> f64 {
        let length = self.span.end.since(self.span.start).as_secs_f64().max(f64::MIN_POSITIVE);
        (at.since(self.span.start).as_secs_f64() / length).clamp(0.0, 1.0) * WIDTH
    }

    /// The foot of what is drawn in this frame.
    pub(crate) fn axis(&self) -> Axis {
        let (from, to) = (self.span.start.as_millis(), self.span.end.as_millis());
        Axis { from, to, step: self.step(), ticks: self.ticks() }
    }

    /// Distance of ticks, in milliseconds.
    fn step(&self) -> i64 {
        i64::try_from(self.tick.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// Ticks at round times; with the day where they are as far apart as days.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        let step = self.step();
        let (start, end) = (self.span.start.as_millis(), self.span.end.as_millis());
        let first = start + (-start).rem_euclid(step);
        let instants = (first..=end).step_by(usize::try_from(step).unwrap_or(usize::MAX)).map(Timestamp::from_millis);
        let ticks = instants.map(|at| (self.x(at) / WIDTH, at)).filter(|(x, _)| (EDGE..=1.0 - EDGE).contains(x));
        ticks
            .map(|(x, at)| Tick {
                x: format!("{:.1}%", x * 100.0),
                label: if self.tick.as_secs() < 86_400 { format::clock(at) } else { format::day(at) },
            })
            .collect()
    }
}

impl Chart {
    /// Draws lines in a frame.
    pub(crate) fn draw(title: &'static str, unit: Unit, frame: &Frame, lines: &[Line]) -> Self {
        let all = || lines.iter().flat_map(|line| &line.samples);
        let top = unit.top(all().map(|sample| sample.high).fold(0.0, f64::max));
        let y = |value: f64| HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        Self {
            title,
            scale: [unit.text(top), unit.text(top / 2.0), "0".to_owned()],
            axis: frame.axis(),
            summary: summary(title, unit, lines),
            hover: hover(unit, frame, lines),
            lines: lines
                .iter()
                .map(|line| Drawn {
                    label: line.label,
                    class: line.class,
                    path: path(frame, &line.samples, y),
                    dots: dots(frame, &line.samples, y),
                    band: band(frame, &line.samples, y),
                    latest: line.samples.last().map(|sample| unit.text(sample.value)),
                })
                .collect(),
        }
    }

    /// True when there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.hover.is_empty()
    }
}

/// The parts of a line between its gaps.
fn parts<'a>(frame: &Frame, samples: &'a [Sample]) -> impl Iterator<Item = &'a [Sample]> {
    let gap = frame.gap;
    samples.chunk_by(move |a, b| b.at.since(a.at) <= gap)
}

fn path(frame: &Frame, samples: &[Sample], y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for part in parts(frame, samples).filter(|part| part.len() > 1) {
        for (index, sample) in part.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", frame.x(sample.at), y(sample.value));
        }
    }
    path
}

/// Samples between two gaps: lines of no length, of which round ends make dots.
fn dots(frame: &Frame, samples: &[Sample], y: impl Fn(f64) -> f64) -> String {
    let alone = parts(frame, samples).filter_map(|part| if let [sample] = part { Some(sample) } else { None });
    alone.map(|sample| format!("M{:.1} {:.1}h0", frame.x(sample.at), y(sample.value))).collect()
}

fn band(frame: &Frame, samples: &[Sample], y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let spreads = |part: &&[Sample]| part.len() > 1 && part.iter().any(|sample| sample.low < sample.high);
    for part in parts(frame, samples).filter(spreads) {
        let upper = part.iter().map(|sample| (sample.at, sample.high));
        let lower = part.iter().rev().map(|sample| (sample.at, sample.low));
        for (index, (at, value)) in upper.chain(lower).enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", frame.x(at), y(value));
        }
        path.push('Z');
    }
    path
}

fn summary(title: &str, unit: Unit, lines: &[Line]) -> String {
    let mut sentences = Vec::new();
    for line in lines {
        let Some(latest) = line.samples.last() else { continue };
        let low = line.samples.iter().map(|sample| sample.low).fold(f64::INFINITY, f64::min);
        let high = line.samples.iter().map(|sample| sample.high).fold(f64::NEG_INFINITY, f64::max);
        let [latest, low, high] = [latest.value, low, high].map(|value| unit.text(value));
        let name = if line.label.is_empty() { String::new() } else { format!("{} ", line.label) };
        sentences.push(format!("{name}{latest} at last, {low} at least, {high} at most"));
    }
    if sentences.is_empty() { format!("{title}: no data") } else { format!("{title}: {}", sentences.join("; ")) }
}

/// What stands at each instant at which a line has a sample.
fn hover(unit: Unit, frame: &Frame, lines: &[Line]) -> String {
    let mut instants: Vec<Timestamp> = lines.iter().flat_map(|line| &line.samples).map(|sample| sample.at).collect();
    instants.sort_unstable();
    instants.dedup();
    let mut hover = String::new();
    for at in instants {
        let texts = lines.iter().filter_map(|line| {
            let sample = line.samples.binary_search_by_key(&at, |sample| sample.at).ok();
            let sample = sample.and_then(|place| line.samples.get(place))?;
            let range = if sample.low < sample.high {
                format!(" ({} – {})", unit.text(sample.low), unit.text(sample.high))
            } else {
                String::new()
            };
            let name = if line.label.is_empty() { String::new() } else { format!("{} ", line.label) };
            Some(format!("{name}{}{range}", unit.text(sample.value)))
        });
        let _ = writeln!(hover, "{:.0} {}", frame.x(at), texts.collect::<Vec<_>>().join(", "));
    }
    hover
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let at = Timestamp::from_secs;
        Frame { span: at(0)..at(1000), gap: Duration::from_secs(150), tick: Duration::from_secs(300) }
    }

    fn sample(at: i64, low: f64, value: f64, high: f64) -> Sample {
        Sample { at: Timestamp::from_secs(at), low, value, high }
    }

    fn flat(at: i64, value: f64) -> Sample {
        sample(at, value, value, value)
    }

    fn draw(unit: Unit, samples: Vec<Sample>) -> Chart {
        Chart::draw("Load", unit, &frame(), &[Line { label: "", class: "one", samples }])
    }

    #[test]
    fn a_line_is_broken_where_scrapes_are_missing() {
        let chart =
            draw(Unit::Percent, vec![flat(0, 0.0), flat(100, 0.5), flat(400, 1.0), flat(700, 0.25), flat(800, 0.25)]);
        assert_eq!(chart.lines[0].path, "M0.0 100.0L100.0 50.0M700.0 75.0L800.0 75.0");
        assert_eq!(chart.lines[0].dots, "M400.0 0.0h0");
        assert_eq!(chart.lines[0].band, "", "no value but the mean is known");
        assert_eq!(chart.scale, ["100 %", "50 %", "0"]);
    }

    #[test]
    fn a_band_goes_there_above_and_back_below() {
        let chart = draw(Unit::Count, vec![sample(0, 1.0, 2.0, 4.0), sample(100, 2.0, 2.0, 2.0)]);
        assert_eq!(chart.lines[0].band, "M0.0 0.0L100.0 50.0L100.0 50.0L0.0 75.0Z");
        assert_eq!(chart.hover, "0 2 (1 – 4)\n100 2\n");
        assert_eq!(chart.summary, "Load: 2 at last, 1 at least, 4 at most");
    }

    #[test]
    fn an_axis_ends_at_a_round_number_with_a_round_half() {
        let top = |unit: Unit, most: f64| unit.text(unit.top(most));
        assert_eq!([top(Unit::Count, 0.0), top(Unit::Count, 3.0), top(Unit::Count, 41.0)], ["2", "4", "100"]);
        assert_eq!([top(Unit::Percent, 0.01), top(Unit::Percent, 1.4)], ["100 %", "200 %"]);
        assert_eq!([top(Unit::BitRate, 0.0), top(Unit::BitRate, 1.3e6)], ["1.0 kbit/s", "20.0 Mbit/s"]);
        assert_eq!([top(Unit::Milliseconds, 40.0), top(Unit::Milliseconds, 3000.0)], ["40 ms", "4.0 s"]);
        for most in [1.0, 9.99, 10.0, 1e3, 123_456.0, 4e12] {
            assert!(round_up(most, 0.0) >= most && round_up(most, 0.0) <= most * 2.5 + 1.0, "{most}");
        }
    }

    #[test]
    fn ticks_stand_at_round_times_and_not_at_the_edges() {
        let ticks: Vec<_> = frame().ticks().into_iter().map(|tick| (tick.x, tick.label)).collect();
        let expected = [("30.0%", "00:05"), ("60.0%", "00:10"), ("90.0%", "00:15")];
        assert_eq!(ticks, expected.map(|(x, label)| (x.to_owned(), label.to_owned())));
        let days = Frame {
            span: Timestamp::from_secs(0)..Timestamp::from_secs(4 * 86_400),
            tick: Duration::from_secs(2 * 86_400),
            ..frame()
        };
        assert_eq!(days.ticks().into_iter().map(|tick| tick.label).collect::<Vec<_>>(), ["3 Jan"]);
    }

    #[test]
    fn without_samples_there_is_nothing_to_draw() {
        let chart = draw(Unit::BitRate, Vec::new());
        assert!(chart.is_empty() && chart.lines[0].path.is_empty() && chart.lines[0].latest.is_none());
        assert_eq!(chart.summary, "Load: no data");
        let empty = Frame { span: Timestamp::from_secs(5)..Timestamp::from_secs(5), ..frame() };
        assert_eq!(empty.x(Timestamp::from_secs(5)), 0.0);
    }

    #[test]
    fn two_lines_are_told_apart() {
        let lines = [("in", 1.0), ("out", 2.0)].map(|(label, value)| Line {
            label,
            class: label,
            samples: vec![flat(500, value)],
        });
        let chart = Chart::draw("Network", Unit::Count, &frame(), &lines);
        assert_eq!(chart.hover, "500 in 1, out 2\n");
        assert_eq!(chart.summary, "Network: in 1 at last, 1 at least, 1 at most; out 2 at last, 2 at least, 2 at most");
    }
}
