//! The host's clock, so that the collector can see a clock that is off. Boot time comes with the CPU
//! sampler, from the same file.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::page::Page;
use crate::sampler::SampleError;

/// Writes the present time.
///
/// # Errors
/// The clock stands before 1970.
pub fn sample(page: &mut Page) -> Result<(), SampleError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| SampleError::parse("the clock", "it stands before 1970"))?;
    page.gauge("node_time_seconds", "The host's clock, in Unix time.", now.as_secs_f64());
    Ok(())
}
