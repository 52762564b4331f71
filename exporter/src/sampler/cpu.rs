//! CPU time per mode and boot time, both from one read of `/proc/stat`.
//!
//! Names and modes are those of node_exporter's `cpu` and `stat` collectors. Its
//! `node_cpu_guest_seconds_total` is left out: guest time is already part of `user` and `nice`, and it
//! would cost two series per CPU on hosts that run no virtual machines.
//!
//! procfs' `KernelStats` is not used here: it numbers CPUs by position, so that with CPU 1 offline
//! the times of CPU 2 would appear as `cpu="1"`, and it copies the long `intr` line.

use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

const FILE: &str = "/proc/stat";

/// Ticks per second in `/proc/stat` (`USER_HZ`): 100 on every architecture this is built for, whatever
/// the kernel's own tick is. node_exporter fixes it likewise.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// Columns of a `cpuN` line, in the kernel's order.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// What `/proc/stat` says.
#[derive(Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// CPU number and ticks per mode. Kernels that lack a column leave it 0.
    pub cpus: Vec<(&'a str, [u64; MODES.len()])>,
    /// Boot time, Unix seconds.
    pub boot_time_seconds: u64,
}

/// Reads `/proc/stat` and writes its families.
///
/// # Errors
/// The file cannot be read or parsed.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    let text = root.text(FILE)?;
    render(&parse(&text)?, page);
    Ok(())
}

fn render(stat: &Stat<'_>, page: &mut Page) {
    page.gauge("node_boot_time_seconds", "When the host booted, in Unix time.", stat.boot_time_seconds);
    let mut family =
        page.family("node_cpu_seconds_total", Kind::Counter, "Time that each CPU has spent in each mode since boot.");
    for (cpu, ticks) in &stat.cpus {
        for (mode, ticks) in MODES.iter().zip(ticks) {
            family.sample(&[("cpu", cpu), ("mode", mode)], *ticks as f64 / TICKS_PER_SECOND);
        }
    }
}

/// Takes the `cpuN` and `btime` lines out of `/proc/stat`.
///
/// # Errors
/// No CPU or no boot time is there, or a number is not one.
pub fn parse(text: &str) -> Result<Stat<'_>, SampleError> {
    let mut cpus = Vec::new();
    let mut boot_time_seconds = None;
    for line in text.lines() {
        let Some((key, rest)) = line.split_once(' ') else { continue };
        if key == "btime" {
            let value = rest.trim().parse().map_err(|_| SampleError::parse(FILE, "btime is not a number"))?;
            boot_time_seconds = Some(value);
        } else if let Some(number) = key.strip_prefix("cpu").filter(|n| !n.is_empty()) {
            if number.parse::<u32>().is_err() {
                return Err(SampleError::parse(FILE, format_args!("{key:?} names no CPU")));
            }
            cpus.push((number, parse_ticks(key, rest)?));
        }
    }
    match boot_time_seconds {
        _ if cpus.is_empty() => Err(SampleError::parse(FILE, "no cpu line")),
        None => Err(SampleError::parse(FILE, "no btime line")),
        Some(boot_time_seconds) => Ok(Stat { cpus, boot_time_seconds }),
    }
}

fn parse_ticks(cpu: &str, columns: &str) -> Result<[u64; MODES.len()], SampleError> {
    let mut ticks = [0; MODES.len()];
    let mut columns = columns.split_ascii_whitespace();
    for (index, (mode, slot)) in MODES.iter().zip(&mut ticks).enumerate() {
        match columns.next().map(str::parse) {
            Some(Ok(value)) => *slot = value,
            // The first four columns are as old as the file; the others came with later kernels.
            None if index >= 4 => break,
            _ => return Err(SampleError::parse(FILE, format_args!("{cpu} has no number for {mode}"))),
        }
    }
    Ok(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "cpu  3 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu2 10 20 30 40\nintr 5 6\nbtime 1700000000\n";

    #[test]
    fn cpus_keep_their_own_numbers() {
        let stat = parse(GOOD).unwrap();
        assert_eq!(stat.boot_time_seconds, 1_700_000_000);
        assert_eq!(stat.cpus, [("0", [1, 2, 3, 4, 5, 6, 7, 8]), ("2", [10, 20, 30, 40, 0, 0, 0, 0])]);
    }

    #[test]
    fn seconds_are_ticks_over_a_hundred() {
        let mut page = Page::new();
        render(&parse(GOOD).unwrap(), &mut page);
        assert!(page.into_text().contains("node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.01\n"));
    }

    #[test]
    fn bad_files_are_errors() {
        for bad in [
            "",
            "cpu 1 2 3 4\nbtime 5\n",
            "cpu0 1 2 3 4\n",
            "cpu0 1 2\nbtime 5\n",
            "cpu0 1 2 x 4\nbtime 5\n",
            "cpu0 1 2 3 -4\nbtime 5\n",
            "cpux 1 2 3 4\nbtime 5\n",
            "cpu0 1 2 3 4\nbtime soon\n",
            "cpu0 1 2 3 99999999999999999999999\nbtime 5\n",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_truncation_panics() {
        for end in 0..GOOD.len() {
            let _ = parse(&GOOD[..end]);
        }
    }
}
