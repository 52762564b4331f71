//! Numbers that look random and depend on nothing but seed, server and purpose.

/// What a number is drawn for; each gives a server another number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Flags,
    Shape,
    Hot,
    Delay,
    RebootPeriod,
    RebootPhase,
    CpuMean,
    CpuPhase,
    NetworkMean,
    NetworkPhase,
    MemoryMean,
    MemoryPhase,
}

/// 64 well-mixed bits (SplitMix64's finaliser).
pub(super) const fn bits(seed: u64, server: u32, purpose: Purpose) -> u64 {
    let mut bits = seed ^ ((server as u64) << 8) ^ purpose as u64;
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number in 0–1, 1 excluded.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
pub(super) const fn unit(seed: u64, server: u32, purpose: Purpose) -> f64 {
    (bits(seed, server, purpose) >> 11) as f64 / (1u64 << 53) as f64
}
