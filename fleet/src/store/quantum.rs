//! The grain in which every store keeps a point's numbers: ratios in steps of 0.0001, since REST shows percentages with
//! two decimals, and rates in whole bytes per second.

/// Steps of a ratio.
const RATIO_STEPS: f32 = 10_000.0;

/// Steps of a ratio; one that is no number counts as unknown. Casts of floats saturate.
pub(super) fn steps(ratio: Option<f32>) -> Option<u32> {
    ratio.filter(|ratio| !ratio.is_nan()).map(|ratio| (ratio * RATIO_STEPS).round() as u32)
}

/// The ratio of so many steps, through f64, so that 0.1234 comes back as the f32 nearest to 0.1234.
pub(super) fn ratio(steps: u32) -> f32 {
    (f64::from(steps) / f64::from(RATIO_STEPS)) as f32
}

/// A rate in whole bytes per second.
pub(super) fn whole(rate: Option<f64>) -> Option<u64> {
    rate.filter(|rate| !rate.is_nan()).map(|rate| rate.round() as u64)
}
