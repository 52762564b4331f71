//! The exporter itself: of the `process_*` metrics that every Prometheus client library offers,
//! those that say whether it is well.
//!
//! Always from the real `/proc/self`, never from the injected root: with the host's files mounted
//! elsewhere, this process is still found in its own `/proc`.
//!
//! `/proc/self/stat` is parsed by hand: procfs' `Stat` panics when the line ends early.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::page::Page;
use crate::root::Root;
use crate::sampler::{SampleError, cpu::TICKS_PER_SECOND};

const STAT: &str = "/proc/self/stat";

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Process {
    root: Root,
    start_time_seconds: f64,
}

/// Use of CPU and memory, from `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage {
    /// User and system time together, in ticks of 1/100 s.
    pub cpu_ticks: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
}

impl Process {
    /// Notes the present moment as the start of the process.
    pub fn starting_now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { root: Root::new("/"), start_time_seconds: since_epoch.as_secs_f64() }
    }

    /// Reads `/proc/self` and writes the `process_*` families.
    ///
    /// # Errors
    /// A file cannot be read or parsed.
    pub fn sample(&self, page: &mut Page) -> Result<(), SampleError> {
        let usage = parse(&self.root.text(STAT)?)?;
        page.counter(
            "process_cpu_seconds_total",
            "CPU time that the exporter has used, user and system together.",
            usage.cpu_ticks as f64 / TICKS_PER_SECOND,
        );
        page.gauge(
            "process_resident_memory_bytes",
            "Memory of the exporter that is in RAM.",
            usage.resident_pages.saturating_mul(rustix::param::page_size() as u64),
        );
        page.gauge("process_start_time_seconds", "When the exporter started, in Unix time.", self.start_time_seconds);
        Ok(())
    }
}

/// Takes user time, system time and resident pages from a `stat` line, proc_pid_stat(5).
///
/// # Errors
/// The line is too short or a number is not one.
pub fn parse(text: &str) -> Result<Usage, SampleError> {
    let too_short = || SampleError::parse(STAT, "too few fields");
    // The second field is the program's name in parentheses and may hold spaces and parentheses.
    let (_, fields) = text.rsplit_once(')').ok_or_else(too_short)?;
    let mut fields = fields.split_ascii_whitespace();
    // Counted from the third field of the manual page: utime is 14, stime 15, rss 24.
    let mut number = |skip: usize| -> Result<u64, SampleError> {
        let field = fields.nth(skip).ok_or_else(too_short)?;
        field.parse().map_err(|_| SampleError::parse(STAT, format_args!("{field:?} is not a number")))
    };
    let user = number(11)?;
    let system = number(0)?;
    let resident_pages = number(8)?;
    Ok(Usage { cpu_ticks: user.saturating_add(system), resident_pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14 15 16 1 18 19 20 555 22 23";

    #[test]
    fn odd_program_names_do_not_shift_fields() {
        assert_eq!(parse(GOOD).unwrap(), Usage { cpu_ticks: 42, resident_pages: 555 });
    }

    #[test]
    fn bad_lines_are_errors() {
        for bad in ["", "1 (x)", "1 x S 1 2", "1 (x) S 1 2 3 4 5 6 7 8 9 10 y 12 13 14 15 16 1 18 19 20 555"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        for end in 0..GOOD.len() {
            let _ = parse(&GOOD[..end]);
        }
    }

    #[test]
    fn this_process_is_seen() {
        let mut page = Page::new();
        Process::starting_now().sample(&mut page).unwrap();
        assert_eq!(page.into_text().lines().filter(|line| !line.starts_with('#')).count(), 3);
    }
}
