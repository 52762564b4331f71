//! A host of its own, in a network namespace.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread::JoinHandle;

/// A network namespace with one cable to this one, removed at the end.
pub struct Host {
    name: String,
    /// The near end of the cable.
    pub cable: String,
}

impl Host {
    /// With these addresses at the cable's ends, of a /30.
    pub fn new(here: Ipv4Addr, there: Ipv4Addr) -> Self {
        let number = std::process::id();
        let host = Self { name: format!("mect-host-{number}"), cable: format!("mect{number}") };
        let inside = "eth0";
        ip(&["netns", "add", &host.name]);
        ip(&["link", "add", &host.cable, "type", "veth", "peer", "name", inside, "netns", &host.name]);
        ip(&["addr", "add", &format!("{here}/30"), "dev", &host.cable]);
        ip(&["link", "set", &host.cable, "up"]);
        host.ip_inside(&["addr", "add", &format!("{there}/30"), "dev", inside]);
        host.ip_inside(&["link", "set", "lo", "up"]);
        host.ip_inside(&["link", "set", inside, "up"]);
        host.ip_inside(&["route", "add", "default", "via", &here.to_string()]);
        host
    }

    /// `ip` as seen from the host.
    pub fn ip_inside(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.name], arguments].concat());
    }
}

impl Host {
    /// The name under which `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread that lives in the host's network.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            let network = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(network)).unwrap();
            work();
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The cable goes with the namespace; a failed removal must not hide why the test failed.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = Command::new("ip").args(["link", "del", &self.cable]).stderr(std::process::Stdio::null()).status();
    }
}

/// Runs `ip`.
pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("ip cannot be started ({error}): apt-get install iproute2"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {}: {said} (this test makes a network namespace: run it as root)",
        arguments.join(" ")
    );
}
