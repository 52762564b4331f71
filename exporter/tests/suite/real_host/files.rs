//! Configurations, keys and certificates of the host and of its client.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use std::io::Write;

use super::machine::{Machine, SERVER, wait_for};

/// Writes all that the host needs; `etc` becomes part of its /etc.
pub(super) fn write() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // The host's services run as other users.
    Command::new("chmod").arg("755").arg(dir.path()).status().unwrap();
    let put = |file: &str, text: &str| {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let (server, client, absent) = (wireguard_key(), wireguard_key(), wireguard_key());
    put(
        "etc/wireguard/wg0.conf",
        &format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.9.0.1/24\nListenPort = 51820\n\
             [Peer]\nPublicKey = {}\nAllowedIPs = 10.9.0.2/32\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.9.0.3/32\n",
            server.0, client.1, absent.1
        ),
    );
    put("client.key", &client.0);
    put("server.pub", &server.1);
    certificates(dir.path());
    put(
        "etc/openvpn/server.conf",
        "dev tun0\nport 1194\nproto udp\nserver 10.8.0.0 255.255.255.0\ntopology subnet\nmax-clients 50\n\
         status /run/openvpn/server.status 1\nca ca.crt\ncert server.crt\nkey server.key\ndh none\nkeepalive 2 8\n",
    );
    put(
        "etc/openvpn/server/office.conf",
        "dev tun1\nport 443\nproto tcp-server\nserver 10.8.1.0 255.255.255.0\ntopology subnet\nca ../ca.crt\n\
         cert ../server.crt\nkey ../server.key\ndh none\nmanagement 127.0.0.1 7505 /etc/openvpn/management.password\n",
    );
    put("etc/openvpn/management.password", "not-a-secret-here\n");
    put(
        "client.ovpn",
        &format!(
            "client\ndev tun7\nproto udp\nremote {SERVER} 1194\nnobind\nca {0}/etc/openvpn/ca.crt\ncert {0}/laptop.crt\n\
             key {0}/laptop.key\nconnect-retry 1 2\nkeepalive 2 8\n",
            dir.path().display()
        ),
    );
    put(
        "etc/squid/squid.conf",
        "http_port 3128\nhttp_access allow all\ncache deny all\npid_filename /run/squid.pid\nshutdown_lifetime 1 seconds\n\
         cache_log /var/log/squid/cache.log\naccess_log none\nnetdb_filename none\n",
    );
    put("xray.json", XRAY);
    put("client.json", &CLIENT_XRAY.replace("SERVER", SERVER));
    let unit = "[Service]\nExecStart=/bin/sh -c '/usr/bin/v2ray -config /run/host/xray.json & echo $! > /run/v2ray.pid; \
        exec sleep infinity'\n";
    put("etc/systemd/system/x-ui.service", unit);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/systemd/mect-exporter.service");
    put("etc/systemd/system/mect-exporter.service", &fs::read_to_string(shipped).unwrap());
    // WireGuard runs in user space here, and nobody wants to wait a minute for the watchdog.
    put(
        "etc/systemd/system/mect-exporter.service.d/test.conf",
        "[Service]\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\nAmbientCapabilities=CAP_DAC_OVERRIDE\nWatchdogSec=3\nRestartSec=1\n",
    );
    put(
        "etc/mect/exporter.toml",
        "page_seconds = 0\ndata_window_seconds = 6\ncertificates = [\"/etc/openvpn/server.crt\"]\n[services]\n\
         \"wg-quick@*\" = \"wg\"\n\"openvpn@*\" = \"ov\"\n\"squid\" = \"sq\"\n\
         \"openvpn-server@office\" = { service = \"ov\", control = \"127.0.0.1:7505\", \
         control_password_file = \"/etc/openvpn/management.password\" }\n\
         \"x-ui\" = { service = \"vr\", config = \"/run/host/xray.json\" }\n",
    );
    dir
}

/// A core as a panel configures it: an inbound with a user, counters, and the API to read them.
const XRAY: &str = r#"{
  "log": {"loglevel": "warning"},
  "api": {"tag": "api", "services": ["StatsService"]},
  "stats": {},
  "policy": {
    "levels": {"0": {"statsUserUplink": true, "statsUserDownlink": true}},
    "system": {"statsInboundUplink": true, "statsInboundDownlink": true}
  },
  "inbounds": [
    {"tag": "api", "listen": "127.0.0.1", "port": 10085, "protocol": "dokodemo-door", "settings": {"address": "127.0.0.1"}},
    {"tag": "in-1", "port": 10086, "protocol": "vmess", "settings": {"clients": [
      {"id": "b831381d-6324-4d53-ad4f-8cda48b30811", "alterId": 0, "email": "user@vpn"}]}}
  ],
  "outbounds": [{"protocol": "freedom", "tag": "out"}],
  "routing": {"rules": [{"type": "field", "inboundTag": ["api"], "outboundTag": "api"}]}
}"#;

const CLIENT_XRAY: &str = r#"{
  "log": {"loglevel": "warning"},
  "inbounds": [{"listen": "127.0.0.1", "port": 1080, "protocol": "socks", "settings": {"auth": "noauth"}}],
  "outbounds": [{"protocol": "vmess", "settings": {"vnext": [{"address": "SERVER", "port": 10086, "users": [
    {"id": "b831381d-6324-4d53-ad4f-8cda48b30811", "alterId": 0}]}]}}]
}"#;

/// Starts the client's side of every service.
pub(super) fn connect_clients(machine: &mut Machine) {
    let file = |name: &str| machine.files.path().join(name).display().to_string();
    let (wireguard_key, ovpn, json) = (file("client.key"), file("client.ovpn"), file("client.json"));
    let public = fs::read_to_string(machine.files.path().join("server.pub")).unwrap();
    // In the foreground, so that it ends with us.
    machine.run_client(&["wireguard-go", "-f", "wgclient"], "wireguard-client.log");
    wait_for("the client's device", || machine.on_client(&["ip", "link", "show", "wgclient"]).0.then_some(()));
    wait_for("the client's WireGuard", || {
        let endpoint = format!("{SERVER}:51820");
        let set =
            ["wg", "set", "wgclient", "private-key", &wireguard_key, "peer", &public, "allowed-ips", "10.9.0.0/24"];
        machine.on_client(&[&set[..], &["endpoint", &endpoint]].concat()).0.then_some(())
    });
    for command in
        [&["ip", "address", "add", "10.9.0.2/24", "dev", "wgclient"][..], &["ip", "link", "set", "wgclient", "up"]]
    {
        let (success, said) = machine.on_client(command);
        assert!(success, "{said}");
    }
    machine.run_client(&["openvpn", "--config", &ovpn], "openvpn-client.log");
    machine.run_client(&["v2ray", "-config", &json], "v2ray-client.log");
}

/// A private key and its public one.
fn wireguard_key() -> (String, String) {
    let private = Command::new("wg").arg("genkey").output().unwrap_or_else(|_| missing("wireguard-tools")).stdout;
    let mut public = Command::new("wg").arg("pubkey").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    public.stdin.take().unwrap().write_all(&private).unwrap();
    let public = public.wait_with_output().unwrap().stdout;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    (text(private), text(public))
}

fn missing(package: &str) -> ! {
    panic!("missing: apt-get install {package}")
}

/// An authority and two certificates that it has signed.
fn certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
        let output = output.unwrap_or_else(|_| missing("openssl"));
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.crt -days 30 -subj /CN=authority"));
    for name in ["server", "laptop"] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!("x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 30"));
    }
    fs::create_dir_all(dir.join("etc/openvpn")).unwrap();
    for file in ["ca.crt", "server.crt", "server.key"] {
        fs::copy(dir.join(file), dir.join("etc/openvpn").join(file)).unwrap();
    }
}
