//! Load averages, from `/proc/loadavg` by the procfs crate.

use procfs::{FromRead, LoadAverage};

use crate::page::Page;
use crate::root::Root;
use crate::sampler::SampleError;

const FILE: &str = "/proc/loadavg";

/// Reads `/proc/loadavg` and writes its families.
///
/// # Errors
/// The file cannot be read or parsed.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    render(&parse(&root.bytes(FILE)?)?, page);
    Ok(())
}

fn render(load: &LoadAverage, page: &mut Page) {
    page.gauge("node_load1", "Load average over 1 minute.", exact(load.one));
    page.gauge("node_load5", "Load average over 5 minutes.", exact(load.five));
    page.gauge("node_load15", "Load average over 15 minutes.", exact(load.fifteen));
}

/// The kernel prints two decimals; procfs keeps them in an `f32`, which as an `f64` would show noise.
fn exact(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}

/// Parses `/proc/loadavg`.
///
/// # Errors
/// A field is missing or not a finite number.
pub fn parse(bytes: &[u8]) -> Result<LoadAverage, SampleError> {
    let load = LoadAverage::from_read(bytes).map_err(|error| SampleError::procfs(FILE, &error))?;
    // The number parser would also accept "inf" and "nan".
    if [load.one, load.five, load.fifteen].iter().all(|value| value.is_finite()) {
        Ok(load)
    } else {
        Err(SampleError::parse(FILE, "not a finite number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_decimals_stay_two_decimals() {
        let mut page = Page::new();
        render(&parse(b"0.18 12.07 1234.56 1/99 4242\n").unwrap(), &mut page);
        let text = page.into_text();
        for line in ["node_load1 0.18\n", "node_load5 12.07\n", "node_load15 1234.56\n"] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn bad_files_are_errors() {
        for bad in [&b""[..], b"0.1", b"0.1 0.2 x 1/2 3", b"nan 0.1 0.2 1/2 3", b"0.1 0.2 inf 1/2 3", b"\xff\xfe"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
