//! The page of a simulated server: our exporter's families, labels and help texts.

use std::io::Write as _;

use mect_fleet::Timestamp;

use super::Options;
use super::host;
use super::numbers::{Numbers, SHAPES, shape_of};
use super::template::Template;

mod families;

/// Code, unit, instance and tunnel device of each service, and its share of clients and traffic.
pub(super) const SERVICES: [(&str, &str, &str, &str, f64); 4] = [
    ("wg", "wg-quick@wg0.service", "wg0", "wg0", 0.55),
    ("ov", "openvpn@server.service", "server", "tun0", 0.25),
    ("sq", "squid.service", "squid", "", 0.05),
    ("vr", "x-ui.service", "x-ui", "", 0.15),
];
/// CPU modes but idle, and their shares of busy time; together 1.
const BUSY_MODES: [(&str, f64); 7] = [
    ("user", 0.52),
    ("nice", 0.005),
    ("system", 0.25),
    ("iowait", 0.03),
    ("irq", 0.005),
    ("softirq", 0.18),
    ("steal", 0.01),
];
/// How far a processor's load is from the average one's, by its number modulo the length.
const CPU_SPREAD: [f64; 4] = [1.02, 0.99, 1.01, 0.98];

/// What differs from page to page.
#[derive(Debug, Clone, Copy)]
enum Gap {
    Hostname,
    Now,
    Boot,
    /// Processor; position in [`BUSY_MODES`].
    Busy(u8, usize),
    Idle(u8),
    MemoryFree,
    MemoryAvailable,
    MemoryCached,
    /// Load average, as a factor of the load now.
    Load(f64),
    /// Share of the uplink's traffic.
    ReceivedBytes(f64),
    ReceivedPackets(f64),
    SentBytes(f64),
    SentPackets(f64),
    /// Share of clients; position in [`SERVICES`].
    Sessions(f64, usize),
    Active(usize),
    Failed(usize),
    Rung(usize),
    ExporterCpu,
}

/// The templates of all shapes.
#[derive(Debug)]
pub(super) struct Pages {
    seed: u64,
    templates: [Template<Gap>; SHAPES.len()],
}

impl Pages {
    pub(super) fn new(options: &Options) -> Self {
        let padding = options.samples.unwrap_or(0);
        Self { seed: options.seed, templates: SHAPES.map(|shape| families::template(&shape, padding)) }
    }

    /// The page of a server. `impaired` says which of its services has failed, by any number.
    pub(super) fn render(&self, server: u32, at: Timestamp, impaired: Option<u32>) -> Vec<u8> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of many millennia fit")]
        let numbers = Numbers::of(self.seed, server, at.as_millis() as f64 / 1000.0);
        let services = numbers.shape.services;
        let failed = impaired.and_then(|any| services.get(any as usize % services.len())).copied();
        let template = &self.templates[shape_of(self.seed, server)];
        template.render(|gap, page| fill(gap, &numbers, server, failed, page))
    }
}

fn fill(gap: Gap, numbers: &Numbers, server: u32, failed: Option<usize>, page: &mut Vec<u8>) {
    let memory_total = numbers.shape.memory_bytes as f64;
    let sent_bytes = numbers.received_bytes * 0.97;
    match gap {
        Gap::Hostname => page.extend_from_slice(host::hostname(server).as_bytes()),
        Gap::Now => thousandths(page, numbers.now),
        Gap::Boot => whole(page, numbers.boot),
        Gap::Busy(cpu, mode) => hundredths(page, cpu_busy(numbers, cpu) * BUSY_MODES[mode].1),
        Gap::Idle(cpu) => hundredths(page, (numbers.uptime() - cpu_busy(numbers, cpu)).max(0.0)),
        Gap::MemoryFree => whole(page, memory_total * (1.0 - numbers.memory) * 0.4),
        Gap::MemoryAvailable => whole(page, memory_total * (1.0 - numbers.memory)),
        Gap::MemoryCached => whole(page, memory_total * (1.0 - numbers.memory) * 0.5),
        Gap::Load(factor) => hundredths(page, numbers.busy * f64::from(numbers.shape.cpus) * factor),
        Gap::ReceivedBytes(share) => whole(page, numbers.received_bytes * share),
        Gap::ReceivedPackets(share) => whole(page, Numbers::packets(numbers.received_bytes * share)),
        Gap::SentBytes(share) => whole(page, sent_bytes * share),
        Gap::SentPackets(share) => whole(page, Numbers::packets(sent_bytes * share)),
        Gap::Sessions(share, service) => {
            whole(page, if failed == Some(service) { 0.0 } else { numbers.clients * share });
        }
        Gap::Active(service) => page.push(if failed == Some(service) { b'0' } else { b'1' }),
        Gap::Failed(service) => page.push(if failed == Some(service) { b'1' } else { b'0' }),
        Gap::Rung(service) => page.push(if failed == Some(service) { b'0' } else { b'5' }),
        Gap::ExporterCpu => hundredths(page, numbers.uptime() * 2e-5),
    }
}

fn cpu_busy(numbers: &Numbers, cpu: u8) -> f64 {
    numbers.busy_seconds * CPU_SPREAD[usize::from(cpu) % CPU_SPREAD.len()]
}

/// Rounded down, so that what grows never falls. Negative numbers do not occur and become 0.
fn whole(page: &mut Vec<u8>, number: f64) {
    // Writing to a vector cannot fail.
    let _ = write!(page, "{}", number as u64);
}

fn hundredths(page: &mut Vec<u8>, number: f64) {
    let scaled = (number * 100.0) as u64;
    let _ = write!(page, "{}.{:02}", scaled / 100, scaled % 100);
}

fn thousandths(page: &mut Vec<u8>, number: f64) {
    let scaled = (number * 1000.0).round() as u64;
    let _ = write!(page, "{}.{:03}", scaled / 1000, scaled % 1000);
}
