//! Kernel and host name, from the `uname` system call as in node_exporter.
//!
//! The call needs no file, so the injected root plays no part here.

use rustix::system::Uname;

use crate::page::{Kind, Page};
use crate::sampler::SampleError;

/// Writes `node_uname_info`.
///
/// # Errors
/// None: the call cannot fail. The type is that of all samplers.
pub fn sample(page: &mut Page) -> Result<(), SampleError> {
    let uname = rustix::system::uname();
    render(&Labels::from(&uname), page);
    Ok(())
}

/// The fields of `uname`, in text.
#[derive(Debug)]
struct Labels {
    domain: String,
    machine: String,
    node: String,
    release: String,
    system: String,
    version: String,
}

impl From<&Uname> for Labels {
    fn from(uname: &Uname) -> Self {
        Self {
            domain: uname.domainname().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            node: uname.nodename().to_string_lossy().into_owned(),
            release: uname.release().to_string_lossy().into_owned(),
            system: uname.sysname().to_string_lossy().into_owned(),
            version: uname.version().to_string_lossy().into_owned(),
        }
    }
}

fn render(labels: &Labels, page: &mut Page) {
    page.family("node_uname_info", Kind::Gauge, "Kernel and host name as the uname call gives them; always 1.").sample(
        &[
            ("domainname", &labels.domain),
            ("machine", &labels.machine),
            ("nodename", &labels.node),
            ("release", &labels.release),
            ("sysname", &labels.system),
            ("version", &labels.version),
        ],
        1u64,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_is_named() {
        let mut page = Page::new();
        sample(&mut page).unwrap();
        assert!(page.into_text().contains("sysname=\"Linux\""));
    }
}
