//! The whole page for a fixture host, compared with a page kept in the repository.
//!
//! After an intended change, run with `UPDATE_GOLDEN=1` and read the difference before it is committed.

use std::path::{Path, PathBuf};

use std::time::Duration;

use mect_exporter::collect::{BUDGET, Collector, Setup};
use mect_exporter::config::{PerPeer, UnitMap, Uplink};
use mect_exporter::root::Root;

use crate::vpn_host::VpnHost;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

async fn collect(root: &Path, bus: &Path) -> String {
    collector(root, bus).collect(BUDGET).await.page.text().to_owned()
}

fn collector(root: &Path, bus: &Path) -> Collector {
    Collector::new(Setup {
        root: Root::new(root),
        bus: Ok(bus.to_owned()),
        services: UnitMap::built_in(),
        uplink: Uplink::default(),
        certificates: Vec::new(),
        per_peer: PerPeer::Off,
        data_window: Duration::from_secs(300),
    })
}

/// Replaces what differs from host to host and from run to run.
fn normalise(page: &str) -> String {
    let volatile_value = [
        "node_filesystem_",
        "node_time_seconds",
        "process_",
        "vpn_exporter_sampler_duration_seconds",
        "vpn_openvpn_status_t",
        "vpn_wireguard_latest",
    ];
    let volatile_labels = ["node_uname_info", "vpn_exporter_build_info"];
    page.lines()
        .map(|line| {
            let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
            if line.starts_with('#') {
                line.to_owned()
            } else if volatile_value.iter().any(|prefix| line.starts_with(prefix)) {
                format!("{series} VALUE")
            } else if let Some(name) = volatile_labels.iter().find(|name| line.starts_with(**name)) {
                format!("{name}{{LABELS}} 1")
            } else {
                line.to_owned()
            }
        })
        .fold(String::new(), |text, line| text + &line + "\n")
}

#[tokio::test]
async fn the_page_of_the_fixture_host_is_the_expected_one() {
    let host = VpnHost::start();
    let mut collector = host.collector(PerPeer::Off);
    // Only the second page can say that data moves.
    collector.collect(BUDGET).await;
    host.traffic();
    let collected = collector.collect(BUDGET).await;
    let page = normalise(collected.page.text());
    // Derived from the machine id of the fixture, which itself is nowhere on the page.
    assert!(collected.page.text().contains("host_id=\"7a5160781fbe4e8394769e45f7cb3131\""));
    assert!(!collected.page.text().contains("0123456789abcdef"));
    let expected_file = fixtures().join("page.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&expected_file, &page).unwrap();
    }
    let expected = std::fs::read_to_string(&expected_file).unwrap();
    for (line, (got, want)) in page.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, want, "line {} of {}", line + 1, expected_file.display());
    }
    assert_eq!(page.lines().count(), expected.lines().count());

    let gaps: Vec<&String> = collected.services.iter().flat_map(|seen| &seen.reading.gaps).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
}

/// A host with two CPUs and every kind of service has no more than is allowed.
#[tokio::test]
async fn a_full_host_stays_within_its_budget() {
    let host = VpnHost::start();
    let page = host.collector(PerPeer::Off).collect(BUDGET).await.page.text().to_owned();
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 120, "{series} series");
    assert!(page.len() <= 20 * 1024, "{} bytes", page.len());
}

/// Nothing that a client could be known by: names, addresses and keys of the fixture.
#[tokio::test]
async fn nothing_on_the_page_tells_who_is_connected() {
    let host = VpnHost::start();
    for per_peer in [PerPeer::Off, PerPeer::Hashed] {
        let page = host.collector(per_peer).collect(BUDGET).await.page.text().to_owned();
        for secret in ["laptop", "phone", "192.0.2.", "2001:db8", "b85996fe", "love@x", "10.8.0."] {
            assert!(!page.contains(secret), "{secret}: {page}");
        }
        let shown = page.lines().filter(|line| line.contains("peer=") || line.contains("client=")).count();
        assert_eq!(shown, if per_peer == PerPeer::Off { 0 } else { 3 * 2 + 2 * 2 }, "{page}");
    }
}

#[tokio::test]
async fn a_host_without_anything_still_gets_a_page() {
    let empty = tempfile::tempdir().unwrap();
    let page = collect(empty.path(), Path::new("/nonexistent/bus")).await;
    for sampler in ["cpu", "memory", "load", "network", "filesystem", "os", "systemd"] {
        let line = format!("vpn_exporter_sampler_success{{sampler=\"{sampler}\"}} 0\n");
        assert!(page.contains(&line), "{line}{page}");
    }
    assert!(page.contains("\nnode_time_seconds "));
    assert!(!page.contains("node_cpu"));
}

#[tokio::test]
async fn a_failure_is_told_when_it_comes_and_when_it_goes() {
    let host = tempfile::tempdir().unwrap();
    std::fs::create_dir(host.path().join("proc")).unwrap();
    let file = host.path().join("proc/loadavg");
    let mut collector = collector(host.path(), Path::new("/nonexistent/bus"));
    let mut notices = async || -> Vec<String> {
        collector.collect(BUDGET).await.notices.into_iter().filter(|notice| notice.contains(" load ")).collect()
    };
    assert!(notices().await[0].starts_with("sampler load failed: cannot read"));
    assert!(notices().await.is_empty());
    std::fs::write(&file, "x").unwrap();
    assert_eq!(
        notices().await,
        ["sampler load failed: cannot understand /proc/loadavg: a line or a field is missing or malformed"]
    );
    std::fs::write(&file, "0.1 0.2 0.3 1/2 3").unwrap();
    assert_eq!(notices().await, ["sampler load works again"]);
    assert!(notices().await.is_empty());
}

/// Each file in turn is cut short, emptied and filled with noise: whatever a sampler makes of it, the
/// page stays whole and the other samplers are not touched.
#[tokio::test]
async fn broken_files_cost_only_their_own_metrics() {
    let files = [
        "proc/stat",
        "proc/meminfo",
        "proc/loadavg",
        "proc/net/dev",
        "proc/net/route",
        "proc/1/mounts",
        "etc/os-release",
    ];
    let noise: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for broken in files {
        let original = std::fs::read(fixtures().join("root").join(broken)).unwrap();
        let half = original[..original.len() / 2].to_vec();
        for content in [vec![], half, noise.clone()] {
            let host = tempfile::tempdir().unwrap();
            for file in files {
                let target = host.path().join(file);
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::copy(fixtures().join("root").join(file), target).unwrap();
            }
            std::fs::write(host.path().join(broken), content).unwrap();
            let page = collect(host.path(), Path::new("/nonexistent/bus")).await;
            let failed =
                page.lines().filter(|line| line.starts_with("vpn_exporter_sampler_success") && line.ends_with(" 0"));
            assert!(failed.count() <= 2, "systemd and the one with the broken file {broken}:\n{page}");
            assert!(page.ends_with(" 1\n"), "{page}");
        }
    }
}
