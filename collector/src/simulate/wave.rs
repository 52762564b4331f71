//! A load that swings over the day, and what it adds up to.
//!
//! A sum of sines: smooth, never the same twice, and with an integral that one can write down. A counter is that
//! integral since boot, so that it grows exactly as the load says, and no server has to remember anything.

use std::f64::consts::TAU;

const DAY_SECONDS: f64 = 86_400.0;
/// Local hour at which people use their VPN most.
const PEAK_HOUR: f64 = 21.0;
/// How much of the swing is the day's, the hours' and the minutes'; together 1.
const WEIGHTS: [f64; 3] = [0.6, 0.25, 0.15];

/// A load over time, as a ratio.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wave {
    /// Average over many days.
    mean: f64,
    /// How far it swings around the average, as a share of it: 0 is flat, below 1 it never reaches 0.
    swing: f64,
    /// Length of each sine in seconds.
    periods: [f64; 3],
    /// Where each sine stands at the epoch, in radians.
    phases: [f64; 3],
}

impl Wave {
    /// A wave whose day peaks in the evening at the given offset from UTC. `variety` in 0–1 makes waves differ.
    pub(super) fn new(mean: f64, swing: f64, utc_offset_hours: f64, variety: f64) -> Self {
        let local_peak = (PEAK_HOUR - utc_offset_hours) * 3600.0;
        let periods = [DAY_SECONDS, 7_000.0 + 6_000.0 * variety, 450.0 + 500.0 * (variety * 7.0).fract()];
        let day_phase = TAU * (0.25 - local_peak / DAY_SECONDS) + (variety - 0.5);
        Self { mean, swing, periods, phases: [day_phase, TAU * variety, TAU * (variety * 31.0).fract()] }
    }

    /// The load at a moment, in seconds since the epoch.
    pub(super) fn level(&self, at: f64) -> f64 {
        let sines: f64 = self.terms().map(|(weight, period, phase)| weight * (TAU * at / period + phase).sin()).sum();
        self.mean * (1.0 + self.swing * sines)
    }

    /// The load summed up from one moment to another, in seconds.
    pub(super) fn integral(&self, from: f64, to: f64) -> f64 {
        let antiderivative = |at: f64| -> f64 {
            self.terms().map(|(weight, period, phase)| -weight * period / TAU * (TAU * at / period + phase).cos()).sum()
        };
        self.mean * ((to - from) + self.swing * (antiderivative(to) - antiderivative(from)))
    }

    fn terms(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        (0..WEIGHTS.len()).map(|index| (WEIGHTS[index], self.periods[index], self.phases[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_is_the_sum_of_the_levels() {
        let wave = Wave::new(0.4, 0.6, 5.5, 0.37);
        let from = 1_795_000_000.0;
        let summed: f64 = (0..40_000).map(|tenth| wave.level(from + 0.05 + f64::from(tenth) / 10.0) * 0.1).sum();
        let integral = wave.integral(from, from + 4_000.0);
        assert!((summed - integral).abs() < 1e-3, "{summed} {integral}");
    }

    #[test]
    fn the_level_stays_within_its_swing_and_peaks_in_the_evening() {
        let wave = Wave::new(0.5, 0.6, 0.0, 0.5);
        let midnight = 20_000.0 * DAY_SECONDS;
        let hourly = |hour: u32| {
            (0..600).map(|step| wave.level(midnight + f64::from(hour * 3600 + step * 6))).sum::<f64>() / 600.0
        };
        assert!((0..24).all(|hour| (0.2..=0.8).contains(&hourly(hour))));
        assert!(hourly(21) > hourly(9) + 0.15, "{} {}", hourly(21), hourly(9));
    }
}
