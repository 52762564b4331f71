//! `mect-exporter check`: what each sampler sees here, what it lacks, and what mends that.

use std::fmt::Write;
use std::io::ErrorKind;
use std::time::Duration;

use crate::collect::{BUDGET, Collected, Collector, Setup};
use crate::dbus::DbusError;
use crate::root::Root;
use crate::sampler::SampleError;
use crate::vpn::Seen;
use crate::vpn::rung::RUNGS;

/// Pause between two looks: only the second can say that data moves.
const PAUSE: Duration = Duration::from_secs(1);

/// Capabilities that samplers may need, their numbers (linux/capability.h), and what for.
const CAPABILITIES: [(&str, u32, &str); 3] = [
    ("CAP_DAC_OVERRIDE", 1, "sockets of user-space WireGuard, OpenVPN's management by socket"),
    ("CAP_DAC_READ_SEARCH", 2, "OpenVPN's status file, configurations that only root may read"),
    ("CAP_NET_ADMIN", 12, "WireGuard of the kernel"),
];

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// Nothing is lacking.
    pub is_well: bool,
}

/// Looks twice, and says what was seen.
pub async fn check(setup: Setup) -> Report {
    let root = setup.root.clone();
    let mut collector = Collector::new(setup);
    collector.collect(BUDGET).await;
    tokio::time::sleep(PAUSE).await;
    describe(&root, &collector.collect(BUDGET).await)
}

fn describe(root: &Root, collected: &Collected) -> Report {
    // Writing to a String cannot fail, here and below.
    let mut text = rights();
    text.push_str("\nsamplers\n");
    for outcome in &collected.outcomes {
        match &outcome.error {
            None => {
                let _ = writeln!(text, "  ok      {}", outcome.sampler);
            }
            Some(error) => {
                let _ = writeln!(text, "  FAILED  {}: {error}", outcome.sampler);
                if let Some(mend) = mend(outcome.sampler, error) {
                    let _ = writeln!(text, "          to mend it: {mend}");
                }
            }
        }
    }
    text.push_str("\nservices\n");
    if collected.services.is_empty() {
        text.push_str("  none: no unit of [services] exists here, and no WireGuard device\n");
    }
    for seen in &collected.services {
        service(seen, &mut text);
    }
    let series = collected.page.text().lines().filter(|line| !line.starts_with('#')).count();
    let _ = writeln!(
        text,
        "\npage\n  {series} series, {} bytes, from {}",
        collected.page.text().len(),
        root.path("/").display()
    );
    Report { text, is_well: collected.outcomes.iter().all(|outcome| outcome.error.is_none()) }
}

fn service(seen: &Seen, text: &mut String) {
    let instance = &seen.instance;
    let (name, rung) = (instance.title(), seen.evidence.rung());
    let words = match RUNGS.get(usize::from(rung)) {
        // It has none to be active.
        Some(_) if rung == 1 && instance.unit.is_empty() => "found without a unit",
        words => words.copied().unwrap_or_default(),
    };
    let _ = write!(text, "  {}  {name}: rung {rung}, {words}", instance.service.id());
    if let Some(sessions) = seen.reading.sessions {
        let _ = write!(text, "; {sessions} sessions");
    }
    for (port, bound) in &seen.listening {
        let _ = write!(text, "; {port} {}", if *bound { "bound" } else { "NOT bound" });
    }
    text.push('\n');
    if instance.active && instance.processes.is_none() && !instance.unit.is_empty() {
        text.push_str("      its control group cannot be read, so that its processes are not known\n");
    }
    for gap in &seen.reading.gaps {
        let _ = writeln!(text, "      {gap}");
    }
}

/// The user and the capabilities of this very process: another one may see more or less.
fn rights() -> String {
    let user = rustix::process::geteuid().as_raw();
    let status = Root::new("/").text("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let mut text = format!("seen by user {user}\n");
    for (name, number, use_) in CAPABILITIES {
        let has = if effective & (1 << number) == 0 { "without" } else { "with   " };
        let _ = writeln!(text, "  {has} {name} ({use_})");
    }
    text
}

fn mend(sampler: &str, error: &SampleError) -> Option<String> {
    let text = match error {
        SampleError::Read { path, source } => match (source.kind(), sampler) {
            (ErrorKind::PermissionDenied, _) => {
                format!("let this user read {}, or give it CAP_DAC_READ_SEARCH", path.display())
            }
            (ErrorKind::NotFound, "openvpn") => {
                "add `status FILE 10` to the instance's configuration, or name its file as `status` under [services]"
                    .to_owned()
            }
            (ErrorKind::NotFound, "certificate") => "correct `certificates`, or `cert` under [tls]".to_owned(),
            (ErrorKind::NotFound, _) => "mount the host's /proc and /sys, and name the place with --root".to_owned(),
            _ => return None,
        },
        SampleError::Connect { source, .. } => match (source.kind(), sampler) {
            (ErrorKind::PermissionDenied, "wireguard") => {
                "give this user CAP_NET_ADMIN for a device of the kernel, CAP_DAC_OVERRIDE for one in user space"
                    .to_owned()
            }
            (ErrorKind::PermissionDenied, _) => {
                "let this user write to the socket, or give it CAP_DAC_OVERRIDE".to_owned()
            }
            (ErrorKind::NotFound, "wireguard") => "load the kernel's module: modprobe wireguard".to_owned(),
            _ => "correct `control` or `stats_api` under [services], or start what should listen there".to_owned(),
        },
        SampleError::Silent { .. } => match sampler {
            "openvpn" => {
                "disconnect whoever else uses the management, or drop `control` and let the status file do".to_owned()
            }
            _ => "look at the service: it accepts connections and does not answer".to_owned(),
        },
        SampleError::Bus(DbusError::Connect { source, .. }) if source.kind() == ErrorKind::NotFound => {
            "start D-Bus (apt-get install dbus); without systemd set an empty [services]".to_owned()
        }
        SampleError::Bus(DbusError::HungUp) => "run the exporter as a user from /etc/passwd".to_owned(),
        SampleError::Bus(_) => "look at the system bus: busctl status".to_owned(),
        SampleError::Parse { .. } => match sampler {
            "squid" => "allow the manager to the host itself: `http_access allow localhost manager`".to_owned(),
            "network" => "correct `device` under [uplink]".to_owned(),
            _ => return None,
        },
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_permission_names_the_capability() {
        let denied = || std::io::Error::from(ErrorKind::PermissionDenied);
        let file = SampleError::Read { path: "/run/openvpn/a.status".into(), source: denied() };
        assert!(mend("openvpn", &file).unwrap().contains("CAP_DAC_READ_SEARCH"));
        let socket = SampleError::Connect { endpoint: "x".into(), source: denied() };
        assert!(mend("wireguard", &socket).unwrap().contains("CAP_NET_ADMIN"));
        assert!(mend("openvpn", &socket).unwrap().contains("CAP_DAC_OVERRIDE"));
    }

    #[tokio::test]
    async fn an_empty_host_is_described() {
        let dir = tempfile::tempdir().unwrap();
        let report = check(Setup {
            root: Root::new(dir.path()),
            bus: Ok("/nonexistent/bus".into()),
            services: crate::config::UnitMap::built_in(),
            uplink: crate::config::Uplink::default(),
            certificates: Vec::new(),
            per_peer: crate::config::PerPeer::Off,
            data_window: PAUSE,
        })
        .await;
        assert!(!report.is_well);
        for part in ["seen by user", "FAILED  cpu: cannot read", "ok      netstat", "none: no unit", "start D-Bus"] {
            assert!(report.text.contains(part), "{part}\n{}", report.text);
        }
    }
}
