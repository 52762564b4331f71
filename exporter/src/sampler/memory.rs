//! Memory and swap, from `/proc/meminfo` by the procfs crate.
//!
//! node_exporter shows every line of that file; these seven are the ones that dashboards and the
//! collector's RAM figure (1 − MemAvailable ÷ MemTotal) need.

use procfs::{FromRead, Meminfo};

use crate::page::Page;
use crate::root::Root;
use crate::sampler::SampleError;

const FILE: &str = "/proc/meminfo";

/// Reads `/proc/meminfo` and writes its families.
///
/// # Errors
/// The file cannot be read or parsed.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    render(&parse(&root.bytes(FILE)?)?, page);
    Ok(())
}

fn render(memory: &Meminfo, page: &mut Page) {
    page.gauge("node_memory_MemTotal_bytes", "Memory that the kernel can use.", memory.mem_total);
    page.gauge("node_memory_MemFree_bytes", "Memory that nothing uses, not even a cache.", memory.mem_free);
    // Kernels before 3.14 do not estimate it.
    if let Some(available) = memory.mem_available {
        page.gauge("node_memory_MemAvailable_bytes", "Memory that new programs can get without swapping.", available);
    }
    page.gauge("node_memory_Buffers_bytes", "Memory that caches raw block devices.", memory.buffers);
    page.gauge("node_memory_Cached_bytes", "Memory that caches file contents.", memory.cached);
    page.gauge("node_memory_SwapTotal_bytes", "Size of all swap areas.", memory.swap_total);
    page.gauge("node_memory_SwapFree_bytes", "Swap that is not in use.", memory.swap_free);
}

/// Parses `/proc/meminfo`; amounts are in bytes.
///
/// # Errors
/// A line or a number is malformed, or a field is missing.
pub fn parse(bytes: &[u8]) -> Result<Meminfo, SampleError> {
    // procfs cuts the last byte off each name, which panics inside a multi-byte character.
    if !bytes.is_ascii() {
        return Err(SampleError::parse(FILE, "not ASCII"));
    }
    Meminfo::from_read(bytes).map_err(|error| SampleError::procfs(FILE, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = include_bytes!("../../tests/fixtures/root/proc/meminfo");

    #[test]
    fn amounts_are_bytes() {
        let memory = parse(GOOD).unwrap();
        assert_eq!(memory.mem_total, 2_035_128 * 1024);
        assert_eq!(memory.mem_available, Some(1_402_336 * 1024));
    }

    #[test]
    fn bad_files_are_errors() {
        for bad in [&b""[..], b"MemTotal:\n", b"MemTotal: many kB\n", b"MemTotal: 5 kB\n", "Mем: 5 kB\n".as_bytes()] {
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
