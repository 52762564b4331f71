//! What a simulated server measures at a moment, computed from its number alone.

use super::draw::{self, Purpose};
use super::host;
use super::wave::Wave;

/// One server in this many is near saturation.
const HOT_ONE_IN: u64 = 25;
/// Days between two reboots: at least, and how many more.
const REBOOT_DAYS: (f64, f64) = (20.0, 60.0);
const DAY_SECONDS: f64 = 86_400.0;
/// Bytes of a packet, on average.
const PACKET_BYTES: f64 = 900.0;
/// Bytes per second that one client moves, on average.
const CLIENT_BYTES_PER_SECOND: f64 = 60_000.0;

/// A kind of machine. Servers of one shape share a page template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) cpus: u8,
    pub(super) memory_bytes: u64,
    pub(super) uplink_bytes_per_second: u32,
    /// Positions in [`SERVICES`](super::page::SERVICES) of the services that it runs.
    pub(super) services: &'static [usize],
}

/// The machines of the fleet.
pub(super) const SHAPES: [Shape; 4] = [
    Shape { cpus: 2, memory_bytes: 4_110_880_768, uplink_bytes_per_second: 125_000_000, services: &[0, 1] },
    Shape { cpus: 2, memory_bytes: 2_083_971_072, uplink_bytes_per_second: 125_000_000, services: &[0, 1, 2, 3] },
    Shape { cpus: 4, memory_bytes: 8_241_328_128, uplink_bytes_per_second: 125_000_000, services: &[0, 3] },
    Shape { cpus: 8, memory_bytes: 16_728_862_720, uplink_bytes_per_second: 1_250_000_000, services: &[0, 1, 2, 3] },
];

/// The position in [`SHAPES`] of a server's shape.
pub(super) fn shape_of(seed: u64, server: u32) -> usize {
    // The remainder is below the length, which fits.
    (draw::bits(seed, server, Purpose::Shape) % SHAPES.len() as u64) as usize
}

/// What a server measures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// Seconds since the epoch.
    pub(super) now: f64,
    /// When it booted, in seconds since the epoch.
    pub(super) boot: f64,
    /// Busy seconds of an average processor since boot.
    pub(super) busy_seconds: f64,
    /// Busy share of the processors now.
    pub(super) busy: f64,
    /// Used share of memory now.
    pub(super) memory: f64,
    /// Bytes received over the uplink since boot; a little fewer are sent.
    pub(super) received_bytes: f64,
    /// Clients connected now.
    pub(super) clients: f64,
    pub(super) shape: Shape,
}

impl Numbers {
    pub(super) fn of(seed: u64, server: u32, now: f64) -> Self {
        let unit = |purpose| draw::unit(seed, server, purpose);
        let shape = SHAPES[shape_of(seed, server)];
        let offset = host::city(server).utc_offset_hours;
        // A hot server swings little: it would be above 1 otherwise.
        let is_hot = draw::bits(seed, server, Purpose::Hot).is_multiple_of(HOT_ONE_IN);
        let (cpu_mean, network_mean, swing) = if is_hot {
            (0.88 + 0.04 * unit(Purpose::CpuMean), 0.80 + 0.10 * unit(Purpose::NetworkMean), 0.05)
        } else {
            (0.06 + 0.42 * unit(Purpose::CpuMean), 0.05 + 0.40 * unit(Purpose::NetworkMean), 0.65)
        };
        let cpu = Wave::new(cpu_mean, swing, offset, unit(Purpose::CpuPhase));
        let network = Wave::new(network_mean, swing, offset, unit(Purpose::NetworkPhase));
        let memory = Wave::new(0.25 + 0.45 * unit(Purpose::MemoryMean), 0.2, offset, unit(Purpose::MemoryPhase));

        let uptime_limit = DAY_SECONDS * (REBOOT_DAYS.0 + REBOOT_DAYS.1 * unit(Purpose::RebootPeriod)).floor();
        let since_boot = (now + uptime_limit * unit(Purpose::RebootPhase)).rem_euclid(uptime_limit);
        let boot = (now - since_boot).round();
        let capacity = f64::from(shape.uplink_bytes_per_second);
        Self {
            now,
            boot,
            busy_seconds: cpu.integral(boot, now).max(0.0),
            busy: cpu.level(now),
            memory: memory.level(now),
            received_bytes: capacity * network.integral(boot, now).max(0.0),
            clients: capacity * network.level(now) / CLIENT_BYTES_PER_SECOND,
            shape,
        }
    }

    /// Seconds since boot.
    pub(super) fn uptime(&self) -> f64 {
        (self.now - self.boot).max(0.0)
    }

    /// Packets that some bytes make.
    pub(super) fn packets(bytes: f64) -> f64 {
        bytes / PACKET_BYTES
    }
}
