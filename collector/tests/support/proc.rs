//! What the kernel itself says, read by the test: the judge of every number that went through exporter and collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mect_fleet::Timestamp;

/// How often the kernel is asked.
const EVERY: Duration = Duration::from_millis(10);

/// Counters of one moment.
#[derive(Clone, Copy)]
pub struct Moment {
    pub at: Timestamp,
    pub cpu_total: f64,
    pub cpu_idle: f64,
    pub memory_used: f64,
    pub received: f64,
    pub sent: f64,
}

impl Moment {
    fn read(device: &str) -> Self {
        let at = Timestamp::now();
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        // user nice system idle iowait irq softirq steal; guest time is in user already.
        let cpu: Vec<f64> = stat.lines().next().unwrap().split_whitespace().skip(1).take(8).map(number).collect();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let memory = |key: &str| {
            let line = meminfo.lines().find(|line| line.starts_with(key)).unwrap();
            number(line.split_whitespace().nth(1).unwrap())
        };
        let network = std::fs::read_to_string("/proc/net/dev").unwrap();
        let line = network.lines().find_map(|line| line.trim().strip_prefix(device)?.strip_prefix(':')).unwrap();
        let columns: Vec<f64> = line.split_whitespace().map(number).collect();
        Self {
            at,
            cpu_total: cpu.iter().sum(),
            cpu_idle: cpu[3],
            memory_used: 1.0 - memory("MemAvailable:") / memory("MemTotal:"),
            received: columns[0],
            sent: columns[8],
        }
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

/// The device of the default route.
pub fn uplink() -> String {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap();
    let default = routes.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    default.filter(|columns| columns[1] == "00000000").map(|columns| columns[0].to_owned()).next().unwrap()
}

/// Notes the counters every few milliseconds until it is asked for them.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Moment>>,
}

impl Watch {
    pub fn start(device: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, device) = (Arc::clone(&stop), device.to_owned());
        let thread = std::thread::spawn(move || {
            let mut moments = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                moments.push(Moment::read(&device));
                std::thread::sleep(EVERY);
            }
            moments
        });
        Self { stop, thread }
    }

    pub fn finish(self) -> Moments {
        self.stop.store(true, Ordering::Relaxed);
        Moments(self.thread.join().unwrap())
    }
}

/// What was noted.
pub struct Moments(Vec<Moment>);

impl Moments {
    /// The moment nearest to `at`; `None` when nothing was noted within a tenth of a second.
    pub fn at(&self, at: Timestamp) -> Option<Moment> {
        let distance = |moment: &&Moment| (moment.at.as_millis() - at.as_millis()).abs();
        self.0.iter().min_by_key(distance).filter(|moment| distance(moment) <= 100).copied()
    }
}
