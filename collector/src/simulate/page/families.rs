//! The metric families of a page, in our exporter's order and words.

use super::{BUSY_MODES, Gap, SERVICES};
use crate::simulate::numbers::Shape;
use crate::simulate::template::Template;

/// The states of a systemd unit that the exporter shows.
const UNIT_STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];
const UPLINK: &str = "eth0";
const SAMPLERS: [&str; 10] =
    ["systemd", "cpu", "memory", "load", "network", "filesystem", "uname", "os", "time", "process"];

/// The page of a shape, padded to about `padding` samples.
pub(super) fn template(shape: &Shape, padding: usize) -> Template<Gap> {
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
    page.family("vpn_service_health", "gauge", "How well the service does, in rungs from 0 to 5.");
    for service in shape.services {
        let (code, unit, ..) = SERVICES[*service];
        page.sample(&format!("vpn_service_health{{service=\"{code}\",unit=\"{unit}\"}}"), Gap::Rung(*service));
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
