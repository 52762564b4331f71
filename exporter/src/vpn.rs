//! The VPN services: how well each does, who is connected, and what it has carried.
//!
//! ```text
//! systemd's units ─► Instance ─► wireguard | openvpn | squid | xray ─► Reading ┐
//!                    process       files and control channels, together        ├─► memory ─► Evidence ─► rung
//!                                            socket ───────────────────────────┘
//! ```
//!
//! A service that cannot be asked costs its own metrics and never the others'. No name, key or address of
//! a client leaves this module, unless peers are to be shown, and then only [hashed](peers).

pub mod ask;
pub mod memory;
pub mod openvpn;
pub mod peers;
pub mod process;
pub mod render;
pub mod rung;
pub mod socket;
pub mod squid;
pub mod wireguard;
pub mod xray;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use crate::config::{Options, Port, Service};
use crate::root::Root;
use crate::sampler::SampleError;
use crate::sampler::systemd::units::Row;
use memory::Memories;
use process::Process;
use rung::Evidence;
use socket::Sockets;

/// Most WireGuard devices without a unit that are looked at; units are bounded where they are listed.
const MAX_DEVICES: usize = 64;

/// A service on this host: a unit, or a WireGuard device that no unit stands for.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Which service.
    pub service: Service,
    /// The unit; empty for a device without one.
    pub unit: String,
    /// The instance of a template, else the unit without its suffix.
    pub name: String,
    /// What labels call it: the device for WireGuard, else its name, or the whole unit where two have one name.
    pub label: String,
    /// systemd says that it is active; also true without a unit.
    pub active: bool,
    /// Its living processes; `None` when they cannot be found out.
    pub processes: Option<Vec<Process>>,
    /// What the operator says about it.
    pub options: Arc<Options>,
}

/// Bytes carried, seen from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// From clients.
    pub receive_bytes: u64,
    /// To clients.
    pub transmit_bytes: u64,
}

/// What one service has told.
#[derive(Debug, Default)]
pub struct Reading {
    /// See [`Evidence::process`]; `None` leaves it to the unit's processes.
    pub process: Option<bool>,
    /// Ports that it should listen on.
    pub ports: Vec<Port>,
    /// See [`Evidence::control`].
    pub control: Option<bool>,
    /// Known to have moved data lately, as long as there is only one value of its counters.
    pub moving: Option<bool>,
    /// Clients connected now.
    pub sessions: Option<u64>,
    /// Most clients at a time.
    pub session_limit: Option<u64>,
    /// Its sessions are the addresses connected to its ports, unless it knows better.
    pub counts_connections: bool,
    /// Its tunnel device, when that is the only one of its kind rather than named: see [`Vpn::look`].
    pub guessed_device: Option<String>,
    /// Traffic since it started.
    pub traffic: Option<Traffic>,
    /// A counter that grows only with real work, where received bytes do not say so.
    pub work: Option<u64>,
    /// Traffic by user's name.
    pub users: Option<Vec<(String, u64)>>,
    /// Why its sampler failed.
    pub problem: Option<SampleError>,
    /// What could not be seen or does not hold, for people.
    pub gaps: Vec<String>,
    /// What only this kind of service has.
    pub details: Details,
}

/// What only one kind of service has.
#[derive(Debug, Default)]
pub enum Details {
    /// Nothing.
    #[default]
    None,
    /// WireGuard.
    WireGuard(wireguard::Device),
    /// OpenVPN.
    OpenVpn(openvpn::OpenVpn),
    /// Squid.
    Squid(squid::Squid),
    /// Xray or V2Ray.
    Xray(xray::Xray),
}

/// An instance with all that was seen of it.
#[derive(Debug)]
pub struct Seen {
    /// Which.
    pub instance: Instance,
    /// What it told.
    pub reading: Reading,
    /// How well it does.
    pub evidence: Evidence,
    /// Ports, and whether each is bound.
    pub listening: Vec<(Port, bool)>,
    /// How long it took to ask.
    pub seconds: f64,
}

/// Looks at the services.
#[derive(Debug)]
pub struct Vpn {
    root: Root,
    memories: Memories,
}

impl Instance {
    /// The tunnel device that the operator names.
    pub fn device(&self) -> Option<&str> {
        self.options.device.as_deref()
    }

    fn of_row(root: &Root, row: &Row) -> Self {
        let stem = row.name.rsplit_once('.').map_or(row.name.as_str(), |(stem, _)| stem);
        let name = stem.split_once('@').map_or(stem, |(_, instance)| instance);
        let device = row.options.device.as_deref().filter(|_| row.service == Service::Wg);
        Self {
            service: row.service,
            unit: row.name.clone(),
            name: name.to_owned(),
            label: device.unwrap_or(name).to_owned(),
            active: row.is_active(),
            processes: process::of_group(root, &row.control_group),
            options: Arc::clone(&row.options),
        }
    }

    fn of_device(device: &str) -> Self {
        Self {
            service: Service::Wg,
            unit: String::new(),
            name: device.to_owned(),
            label: device.to_owned(),
            active: true,
            processes: None,
            options: Arc::default(),
        }
    }

    /// The unit, or the device that stands for itself: by this it is shown and remembered.
    pub fn title(&self) -> &str {
        if self.unit.is_empty() { &self.name } else { &self.unit }
    }
}

impl Reading {
    /// Takes the traffic of a tunnel device. A device that is gone has none.
    fn take_traffic(&mut self, root: &Root, device: &str) {
        let counter = |name: &str| {
            let text = root.text(format!("/sys/class/net/{device}/statistics/{name}")).ok()?;
            text.trim().parse().ok()
        };
        if let (Some(receive_bytes), Some(transmit_bytes)) = (counter("rx_bytes"), counter("tx_bytes")) {
            self.traffic = Some(Traffic { receive_bytes, transmit_bytes });
        }
    }
}

impl Vpn {
    /// Looks below `root`; data counts as moving for `window` after it last did.
    pub fn new(root: Root, window: Duration) -> Self {
        Self { root, memories: Memories::new(window) }
    }

    /// Looks at the services of these units, and at WireGuard devices without one. Waits for control
    /// channels for at most `budget`, for all of them together.
    ///
    /// An OpenVPN with `dev tun` gets its device's number from the kernel, and nobody tells which: the only such
    /// device is taken for its own, unless several instances do so.
    pub async fn look(&mut self, rows: &[Row], budget: Duration) -> Vec<Seen> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let instances = self.instances(rows);
        let mut tasks = JoinSet::new();
        for (at, instance) in instances.iter().enumerate() {
            let (root, instance) = (self.root.clone(), instance.clone());
            tasks.spawn(async move {
                let started = Instant::now();
                let reading = read(&root, &instance, now, budget).await;
                (at, reading, started.elapsed().as_secs_f64())
            });
        }
        let mut readings: Vec<Option<(Reading, f64)>> = instances.iter().map(|_| None).collect();
        while let Some(joined) = tasks.join_next().await {
            // One that panicked leaves an empty reading; nothing here is allowed to.
            if let Ok((at, reading, seconds)) = joined
                && let Some(slot) = readings.get_mut(at)
            {
                *slot = Some((reading, seconds));
            }
        }
        let seen = instances.into_iter().zip(readings).map(|(instance, reading)| {
            let (reading, seconds) = reading.unwrap_or_default();
            Seen { instance, reading, evidence: Evidence::default(), listening: Vec::new(), seconds }
        });
        self.judge(seen.collect())
    }

    fn instances(&self, rows: &[Row]) -> Vec<Instance> {
        let mut instances: Vec<Instance> = Vec::new();
        for row in rows {
            let mut instance = Instance::of_row(&self.root, row);
            // `openvpn@a` and `openvpn-server@a` must not become one.
            if instances.iter().any(|other| other.service == instance.service && other.label == instance.label) {
                instance.label.clone_from(&instance.unit);
            }
            instances.push(instance);
        }
        let devices = wireguard::devices(&self.root)
            .into_iter()
            .filter(|device| !instances.iter().any(|other| other.service == Service::Wg && other.label == *device));
        let devices: Vec<Instance> = devices.take(MAX_DEVICES).map(|device| Instance::of_device(&device)).collect();
        instances.extend(devices);
        instances
    }

    /// Adds what needs all of them, or the past: sockets, memory, rungs.
    fn judge(&mut self, mut all: Vec<Seen>) -> Vec<Seen> {
        drop_contested_guesses(&mut all);
        for seen in &mut all {
            if !seen.instance.options.ports.is_empty() {
                seen.reading.ports.clone_from(&seen.instance.options.ports);
            }
            // A service that is down says no longer where it listened.
            self.memories.recall_ports(seen.instance.title(), &mut seen.reading.ports);
        }
        let watched: BTreeSet<Port> = all.iter().flat_map(|seen| seen.reading.ports.iter().copied()).collect();
        let counts = |seen: &&Seen| seen.reading.counts_connections && seen.reading.users.is_none();
        let counted: BTreeSet<Port> =
            all.iter().filter(counts).flat_map(|seen| seen.reading.ports.iter().copied()).collect();
        let sockets = Sockets::read(&self.root, &watched, &counted);
        for seen in &mut all {
            self.judge_one(seen, &sockets);
        }
        self.memories.keep_only(&all.iter().map(|seen| seen.instance.title().to_owned()).collect());
        all
    }

    fn judge_one(&mut self, seen: &mut Seen, sockets: &Sockets) {
        let (instance, reading) = (&seen.instance, &mut seen.reading);
        seen.listening = reading.ports.iter().map(|port| (*port, sockets.is_bound(*port))).collect();
        for (port, _) in seen.listening.iter().filter(|(_, bound)| !bound) {
            reading.gaps.push(format!("nothing listens on {port}"));
        }
        let window = self.memories.window;
        let memory = self.memories.of(instance.title());
        let online = reading.users.as_deref().map(|users| memory.online(users));
        if !instance.active {
            // A WireGuard device may be up without its unit, and knows better.
            reading.sessions.get_or_insert(0);
        } else if let Some(online) = online {
            reading.sessions = online;
        } else if reading.counts_connections && !reading.ports.is_empty() {
            reading.sessions = Some(sockets.clients(&reading.ports));
        }
        let work = reading.work.or(reading.traffic.map(|traffic| traffic.receive_bytes));
        let moved = memory.moved(work, reading.moving, window);
        let any_process = instance.processes.as_ref().map(|processes| !processes.is_empty());
        seen.evidence = Evidence {
            active: instance.active,
            process: reading.process.or(any_process),
            bound: (!seen.listening.is_empty()).then(|| seen.listening.iter().all(|(_, bound)| *bound)),
            control: reading.control,
            moving: moved,
        };
    }
}

/// Two instances that both take the only tunnel for theirs cannot both be right: its bytes would count twice.
fn drop_contested_guesses(all: &mut [Seen]) {
    let guesses: Vec<String> = all.iter().filter_map(|seen| seen.reading.guessed_device.clone()).collect();
    for seen in all {
        let reading = &mut seen.reading;
        if let Some(device) = &reading.guessed_device
            && guesses.iter().filter(|other| *other == device).count() > 1
        {
            reading.gaps.push(format!("{device} may be its device or another instance's: set `device`"));
            reading.traffic = None;
        }
    }
}

async fn read(root: &Root, instance: &Instance, now: u64, budget: Duration) -> Reading {
    match instance.service {
        // Its device may be up without its unit.
        Service::Wg => wireguard::read(root, instance, now, budget).await,
        _ if !instance.active => Reading::default(),
        Service::Ov => openvpn::read(root, instance, now, budget).await,
        Service::Sq => squid::read(root, instance, budget).await,
        Service::Vr => xray::read(root, instance, budget).await,
    }
}
