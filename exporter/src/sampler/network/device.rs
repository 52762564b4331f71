//! Which devices are shown, and what `/sys/class/net` says about them.

use procfs::net::DeviceStatus;

use crate::root::Root;
use crate::sampler::SampleError;

/// One Mbit/s in bytes per second.
const MBIT_BYTES: u64 = 125_000;

/// Capacity of an uplink that nothing is known about: 1 Gbit/s, what most hosts are rented with.
const DEFAULT_CAPACITY_MBIT: u64 = 1000;

/// Most devices shown; the ones last by name give way. A host with more tunnels than this needs sums,
/// not thousands of series on every page.
const MAX_DEVICES: usize = 32;

/// Devices to show.
#[derive(Debug)]
pub struct Chosen<'a> {
    /// Device that carries the traffic to the Internet, when one is clear.
    pub uplink: Option<&'a str>,
    /// The uplink first, then tunnels by name; without an uplink the best that is there.
    pub devices: Vec<&'a DeviceStatus>,
}

/// What an uplink can carry in one direction.
#[derive(Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// `configured`, `link` (what the driver says) or `default`.
    pub source: &'static str,
}

/// Chooses the uplink (configured, else the default route's device, else the only physical device) and
/// the devices to show. Without an uplink these are all physical ones, or `lo` as a last resort, so
/// that something is always visible.
///
/// # Errors
/// The configured device does not exist.
pub fn choose<'a>(
    statuses: &'a [DeviceStatus],
    configured: Option<&str>,
    default_route: Option<&str>,
    is_physical: impl Fn(&str) -> bool,
) -> Result<Chosen<'a>, SampleError> {
    let find = |name: &str| statuses.iter().find(|status| status.name == name);
    let mut uplink = match configured {
        Some(name) => Some(find(name).ok_or_else(|| {
            SampleError::parse("/proc/net/dev", format_args!("no device {name:?}, which [uplink] device names"))
        })?),
        None => default_route.and_then(find),
    };
    let mut devices = Vec::new();
    if uplink.is_none() {
        devices.extend(statuses.iter().filter(|status| is_physical(&status.name)));
        if let [only] = devices[..] {
            uplink = Some(only);
        }
    }
    if let Some(uplink) = uplink {
        devices = vec![uplink];
    }
    let shown: Vec<&str> = devices.iter().map(|status| status.name.as_str()).collect();
    devices.extend(statuses.iter().filter(|status| is_tunnel(&status.name) && !shown.contains(&status.name.as_str())));
    if devices.is_empty() {
        devices.extend(find("lo"));
    }
    devices.truncate(MAX_DEVICES);
    Ok(Chosen { uplink: uplink.map(|status| status.name.as_str()), devices })
}

/// Longest device name, `IFNAMSIZ` in linux/if.h without its NUL.
pub const MAX_NAME_BYTES: usize = 15;

/// Whether the kernel would take this as a device's name. It becomes a part of paths below `/sys`, so that it
/// may not lead elsewhere.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
}

/// Whether the name is that of a VPN tunnel: `wg*`, `tun*` or `tap*`.
pub fn is_tunnel(name: &str) -> bool {
    ["wg", "tun", "tap"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether hardware, real or virtual, stands behind the device. Bridges, veth pairs and tunnels have none.
pub fn is_physical(root: &Root, name: &str) -> bool {
    root.exists(format!("/sys/class/net/{name}/device"))
}

/// Whether the device's `operstate` is `up`. Tunnels say `unknown`, which counts as not up: that is
/// what node_exporter shows.
pub fn is_up(root: &Root, name: &str) -> bool {
    root.text(format!("/sys/class/net/{name}/operstate")).is_ok_and(|state| state.trim() == "up")
}

/// Link speed in bytes per second. Virtual devices say −1 or refuse the read; that is no speed.
pub fn speed_bytes(root: &Root, name: &str) -> Option<u64> {
    parse_speed(&root.text(format!("/sys/class/net/{name}/speed")).ok()?)
}

fn parse_speed(text: &str) -> Option<u64> {
    let mbit: u64 = text.trim().parse().ok()?;
    // Old drivers say "unknown" as a 16-bit or 32-bit −1.
    if mbit == 0 || mbit == u64::from(u16::MAX) || mbit >= u64::from(u32::MAX) { None } else { Some(mbit * MBIT_BYTES) }
}

/// The configured capacity, else the link's speed, else 1 Gbit/s.
pub fn capacity(configured_mbit: Option<u64>, link_bytes: Option<u64>) -> Capacity {
    match (configured_mbit, link_bytes) {
        (Some(mbit), _) => Capacity { bytes_per_second: mbit.saturating_mul(MBIT_BYTES), source: "configured" },
        (None, Some(bytes_per_second)) => Capacity { bytes_per_second, source: "link" },
        (None, None) => Capacity { bytes_per_second: DEFAULT_CAPACITY_MBIT * MBIT_BYTES, source: "default" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(names: &[&str]) -> Vec<DeviceStatus> {
        let columns = "0 ".repeat(16);
        let lines: String = names.iter().map(|name| format!("{name}: {columns}\n")).collect();
        super::super::parse(&format!("\n\n{lines}")).unwrap()
    }

    fn chosen(names: &[&str], configured: Option<&str>, route: Option<&str>) -> (Option<String>, Vec<String>) {
        let statuses = statuses(names);
        let chosen = choose(&statuses, configured, route, |name| name.starts_with('e')).unwrap();
        (chosen.uplink.map(str::to_owned), chosen.devices.iter().map(|status| status.name.clone()).collect())
    }

    #[test]
    fn uplink_first_then_tunnels_and_nothing_else() {
        let names = ["docker0", "eth0", "eth1", "lo", "tap3", "tun0", "veth1", "wg0"];
        let (uplink, devices) = chosen(&names, None, Some("eth1"));
        assert_eq!(uplink.as_deref(), Some("eth1"));
        assert_eq!(devices, ["eth1", "tap3", "tun0", "wg0"]);
        assert_eq!(chosen(&names, Some("tun0"), Some("eth1")).1, ["tun0", "tap3", "wg0"]);
    }

    #[test]
    fn something_is_always_visible() {
        assert_eq!(chosen(&["eth0", "eth1", "lo", "wg0"], None, None), (None, strings(&["eth0", "eth1", "wg0"])));
        assert_eq!(chosen(&["eth0", "lo"], None, Some("gone")), (Some("eth0".into()), strings(&["eth0"])));
        assert_eq!(chosen(&["lo", "veth0"], None, None), (None, strings(&["lo"])));
        assert_eq!(chosen(&["veth0"], None, None), (None, vec![]));
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_missing_configured_device_is_an_error_that_names_it() {
        let error = choose(&statuses(&["eth0"]), Some("eth9"), Some("eth0"), |_| true).unwrap_err();
        assert!(error.to_string().contains("eth9"), "{error}");
    }

    #[test]
    fn speeds_that_mean_unknown_are_no_speed() {
        for unknown in ["-1\n", "", "0\n", "65535\n", "4294967295\n", "fast", "99999999999999999999"] {
            assert_eq!(parse_speed(unknown), None, "{unknown:?}");
        }
        assert_eq!(parse_speed("1000\n"), Some(125_000_000));
    }

    #[test]
    fn configuration_beats_the_link_and_the_link_beats_the_guess() {
        assert_eq!(capacity(Some(200), Some(1)), Capacity { bytes_per_second: 25_000_000, source: "configured" });
        assert_eq!(capacity(None, Some(7)), Capacity { bytes_per_second: 7, source: "link" });
        assert_eq!(capacity(None, None), Capacity { bytes_per_second: 125_000_000, source: "default" });
    }
}
