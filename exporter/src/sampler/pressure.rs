//! How long work has waited for CPU, memory and I/O: pressure stall information, `/proc/pressure`.
//!
//! Names and meaning are those of node_exporter's `pressure` collector. Kernels without it, or with it
//! switched off, show nothing; that is no failure.

use std::io::ErrorKind;

use crate::page::Page;
use crate::root::Root;
use crate::sampler::SampleError;

/// File, family and HELP text.
const SOURCES: [(&str, &str, &str); 3] = [
    ("cpu", "node_pressure_cpu_waiting_seconds_total", "Time that at least one task has waited for a CPU."),
    ("memory", "node_pressure_memory_waiting_seconds_total", "Time that at least one task has waited for memory."),
    ("io", "node_pressure_io_waiting_seconds_total", "Time that at least one task has waited for I/O."),
];

/// Reads `/proc/pressure` and writes its families.
///
/// # Errors
/// A file that is there cannot be read or parsed.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    for (source, name, help) in SOURCES {
        let file = format!("/proc/pressure/{source}");
        let text = match root.text(&file) {
            Ok(text) => text,
            // The kernel answers with the second when it was started with psi=0.
            Err(SampleError::Read { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let micros = parse(&text).ok_or_else(|| SampleError::parse(&file, "no line \"some … total=NUMBER\""))?;
        page.counter(name, help, micros as f64 / 1e6);
    }
    Ok(())
}

/// Microseconds of the line `some`.
pub fn parse(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|field| field.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_taken() {
        let text = "some avg10=88.94 avg60=71.90 avg300=62.54 total=1203022177\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        assert_eq!(parse(text), Some(1_203_022_177));
        for bad in ["", "some", "some avg10=1", "some total=x", "full total=5", "some total=-1"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_kernel_without_it_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        sample(&Root::new(dir.path()), &mut Page::new()).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/pressure")).unwrap();
        std::fs::write(dir.path().join("proc/pressure/cpu"), "odd").unwrap();
        assert!(sample(&Root::new(dir.path()), &mut Page::new()).is_err());
    }
}
