//! The page of a simulated server: our exporter's families, labels and help texts.

use std::io::Write as _;

use mect_fleet::Timestamp;

use super::Options;
use super::host;
use super::numbers::{Numbers, SHAPES, Shape, shape_of};
use super::template::Template;

/// Code, unit, instance and tunnel device of each service, and its share of clients and traffic.
pub(super) const SERVICES: [(&str, &str, &str, &str, f64); 4] = [
    ("wg", "wg-quick@wg0.service", "wg0", "wg0", 0.55),
    ("ov", "openvpn@server.service", "server", "tun0", 0.25),
    ("sq", "squid.service", "squid", "", 0.05),
    ("vr", "x-ui.service", "x-ui", "", 0.15),
];
/// The states of a systemd unit that the exporter shows.
const UNIT_STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];
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
const UPLINK: &str = "eth0";
const SAMPLERS: [&str; 10] =
    ["systemd", "cpu", "memory", "load", "network", "filesystem", "uname", "os", "time", "process"];

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
        Self { seed: options.seed, templates: SHAPES.map(|shape| template(&shape, padding)) }
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

fn template(shape: &Shape, padding: usize) -> Template<Gap> {
    let mut page = Template::new();
    // What the rest of the page will hold is not known before it is written: write it once to count.
    let own = fill_template(&mut Template::new(), shape, 0);
    fill_template(&mut page, shape, padding.saturating_sub(own));
    page
}

/// Writes the page and gives its number of samples.
fn fill_template(page: &mut Template<Gap>, shape: &Shape, padding: usize) -> usize {
    systemd(page, shape, padding);
    page.family("node_boot_time_seconds", "gauge", "When the host booted, in Unix time.");
    page.sample("node_boot_time_seconds", Gap::Boot);
    processors(page, shape);
    memory(page, shape);
    for (name, minutes, factor) in [("node_load1", "1 minute", 1.0), ("node_load5", "5 minutes", 0.98)] {
        page.family(name, "gauge", &format!("Load average over {minutes}."));
        page.sample(name, Gap::Load(factor));
    }
    page.family("node_load15", "gauge", "Load average over 15 minutes.");
    page.sample("node_load15", Gap::Load(0.95));
    network(page, shape);
    sessions(page, shape);
    identity(page);
    page.samples()
}

fn systemd(page: &mut Template<Gap>, shape: &Shape, padding: usize) {
    page.family("node_systemd_unit_state", "gauge", "Whether the unit is in this state; type is its service type.");
    for service in shape.services {
        for state in UNIT_STATES {
            let unit = SERVICES[*service].1;
            let series = format!("node_systemd_unit_state{{name=\"{unit}\",state=\"{state}\",type=\"simple\"}}");
            match state {
                "active" => page.sample(&series, Gap::Active(*service)),
                "failed" => page.sample(&series, Gap::Failed(*service)),
                _ => page.constant(&series, 0),
            }
        }
    }
    for number in 0..padding {
        let (unit, state) = (number / UNIT_STATES.len(), number % UNIT_STATES.len());
        let name = format!("name=\"unit-{unit:04}.service\",state=\"{}\"", UNIT_STATES[state]);
        page.constant(&format!("node_systemd_unit_state{{{name},type=\"simple\"}}"), u64::from(state == 0));
    }
    page.family("vpn_service_active", "gauge", "Whether systemd says that the service's unit is active.");
    for service in shape.services {
        let (code, unit, ..) = SERVICES[*service];
        page.sample(&format!("vpn_service_active{{service=\"{code}\",unit=\"{unit}\"}}"), Gap::Active(*service));
    }
}

fn processors(page: &mut Template<Gap>, shape: &Shape) {
    page.family("node_cpu_seconds_total", "counter", "Time that each CPU has spent in each mode since boot.");
    for cpu in 0..shape.cpus {
        let series = |mode: &str| format!("node_cpu_seconds_total{{cpu=\"{cpu}\",mode=\"{mode}\"}}");
        for (position, (mode, _)) in BUSY_MODES.iter().enumerate() {
            page.sample(&series(mode), Gap::Busy(cpu, position));
        }
        page.sample(&series("idle"), Gap::Idle(cpu));
    }
}

fn memory(page: &mut Template<Gap>, shape: &Shape) {
    let mut one = |name: &str, help: &str, gap: Result<Gap, u64>| {
        let name = format!("node_memory_{name}_bytes");
        page.family(&name, "gauge", help);
        match gap {
            Ok(gap) => page.sample(&name, gap),
            Err(constant) => page.constant(&name, constant),
        }
    };
    one("MemTotal", "Memory that the kernel can use.", Err(shape.memory_bytes));
    one("MemFree", "Memory that nothing uses, not even a cache.", Ok(Gap::MemoryFree));
    one("MemAvailable", "Memory that new programs can get without swapping.", Ok(Gap::MemoryAvailable));
    one("Buffers", "Memory that caches raw block devices.", Err(90_226_688));
    one("Cached", "Memory that caches file contents.", Ok(Gap::MemoryCached));
    one("SwapTotal", "Size of all swap areas.", Err(1_073_737_728));
    one("SwapFree", "Swap that is not in use.", Err(1_065_086_976));
}

fn network(page: &mut Template<Gap>, shape: &Shape) {
    let tunnels = shape.services.iter().map(|service| SERVICES[*service]).filter(|service| !service.3.is_empty());
    let devices: Vec<(&str, f64)> =
        std::iter::once((UPLINK, 1.0)).chain(tunnels.map(|(.., device, share)| (device, share))).collect();
    let mut each = |name: &str, kind: &str, help: &str, gap: fn(f64) -> Option<Gap>| {
        page.family(name, kind, help);
        for (device, share) in &devices {
            let series = format!("{name}{{device=\"{device}\"}}");
            match gap(*share) {
                Some(gap) => page.sample(&series, gap),
                None => page.constant(&series, u64::from(kind == "gauge")),
            }
        }
    };
    let received = "node_network_receive";
    let sent = "node_network_transmit";
    let count = "counter";
    each(&format!("{received}_bytes_total"), count, "Bytes received.", |share| Some(Gap::ReceivedBytes(share)));
    each(&format!("{received}_packets_total"), count, "Packets received.", |share| Some(Gap::ReceivedPackets(share)));
    each(&format!("{received}_errs_total"), count, "Packets received with an error.", |_| None);
    each(&format!("{received}_drop_total"), count, "Received packets that were dropped.", |_| None);
    each(&format!("{sent}_bytes_total"), count, "Bytes sent.", |share| Some(Gap::SentBytes(share)));
    each(&format!("{sent}_packets_total"), count, "Packets sent.", |share| Some(Gap::SentPackets(share)));
    each(&format!("{sent}_errs_total"), count, "Packets that could not be sent for an error.", |_| None);
    each(&format!("{sent}_drop_total"), count, "Packets dropped before they were sent.", |_| None);
    each("node_network_up", "gauge", "Whether the device's operstate is \"up\".", |_| None);

    let capacity = u64::from(shape.uplink_bytes_per_second);
    let device = format!("device=\"{UPLINK}\"");
    page.family("node_network_speed_bytes", "gauge", "Link speed in bytes per second.");
    page.constant(&format!("node_network_speed_bytes{{{device}}}"), capacity);
    let help = "Device that carries the host's traffic to the Internet; always 1.";
    page.family("vpn_uplink_info", "gauge", help);
    page.constant(&format!("vpn_uplink_info{{{device}}}"), 1);
    let name = "vpn_uplink_capacity_bytes_per_second";
    page.family(name, "gauge", "What the uplink can carry in one direction; source says where the figure comes from.");
    page.constant(&format!("{name}{{{device},source=\"link\"}}"), capacity);
}

fn sessions(page: &mut Template<Gap>, shape: &Shape) {
    page.family("vpn_sessions", "gauge", "Clients connected.");
    for service in shape.services {
        let (code, _, instance, _, share) = SERVICES[*service];
        let series = format!("vpn_sessions{{service=\"{code}\",instance=\"{instance}\"}}");
        page.sample(&series, Gap::Sessions(share, *service));
    }
}

fn identity(page: &mut Template<Gap>) {
    let root = "{device=\"/dev/vda1\",fstype=\"ext4\",mountpoint=\"/\"}";
    page.family("node_filesystem_size_bytes", "gauge", "Size of the file system.");
    page.constant(&format!("node_filesystem_size_bytes{root}"), 42_004_086_784);
    page.family("node_filesystem_avail_bytes", "gauge", "Space that unprivileged users can still fill.");
    page.constant(&format!("node_filesystem_avail_bytes{root}"), 33_512_488_960);
    let help = "Kernel and host name as the uname call gives them; always 1.";
    page.family("node_uname_info", "gauge", help);
    page.info(
        "node_uname_info{domainname=\"(none)\",machine=\"x86_64\",nodename=\"",
        Gap::Hostname,
        "\",release=\"6.1.0-31-amd64\",sysname=\"Linux\",version=\"#1 SMP PREEMPT_DYNAMIC Debian 6.1.128-1\"}",
    );
    page.family("node_time_seconds", "gauge", "The host's clock, in Unix time.");
    page.sample("node_time_seconds", Gap::Now);
    let help = "CPU time that the exporter has used, user and system together.";
    page.family("process_cpu_seconds_total", "counter", help);
    page.sample("process_cpu_seconds_total", Gap::ExporterCpu);
    page.family("process_resident_memory_bytes", "gauge", "Memory of the exporter that is in RAM.");
    page.constant("process_resident_memory_bytes", 3_481_600);
    page.family("process_start_time_seconds", "gauge", "When the exporter started, in Unix time.");
    page.sample("process_start_time_seconds", Gap::Boot);
    let help = "Whether the sampler could read its source for this page.";
    page.family("vpn_exporter_sampler_success", "gauge", help);
    for sampler in SAMPLERS {
        page.constant(&format!("vpn_exporter_sampler_success{{sampler=\"{sampler}\"}}"), 1);
    }
    page.family("vpn_exporter_build_info", "gauge", "Version of the exporter; always 1.");
    page.constant(concat!("vpn_exporter_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
}
