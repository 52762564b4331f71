//! A host with every kind of VPN service, made of files and of servers that say always the same: for what
//! the page looks like. Whether real services are understood is told by `real_host`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mect_exporter::collect::{Collector, Setup};
use mect_exporter::config::{Endpoint, Options, PerPeer, Rule, Service, UnitMap, Uplink};
use mect_exporter::root::Root;

use crate::fake_bus::{Answer, FakeBus, Request, UNIT_LIST, error, reply, string, unit_list};

const UNITS: [(&str, &str, &str); 4] = [
    ("openvpn@server.service", "loaded", "active"),
    ("squid.service", "loaded", "active"),
    ("wg-quick@wg0.service", "loaded", "active"),
    ("x-ui.service", "loaded", "active"),
];

pub(crate) struct VpnHost {
    dir: tempfile::TempDir,
    bus: FakeBus,
    squid: SocketAddr,
    xray: SocketAddr,
}

impl VpnHost {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        copy(&fixtures.join("root"), dir.path());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let status = std::fs::read_to_string(fixtures.join("openvpn/status-2")).unwrap();
        let run = dir.path().join("run/openvpn");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("server.status"), status.replace("1795400011", &now.to_string())).unwrap();
        serve_uapi(dir.path(), now);
        let squid = serve_http(&[
            (
                "/counters",
                "client_http.requests = 12\nclient_http.hits = 3\nclient_http.errors = 1\nclient_http.kbytes_in = 7\n\
              client_http.kbytes_out = 9\nserver.all.kbytes_in = 5\n",
            ),
            ("/info", "\tMaximum number of file descriptors:   1024\n\tNumber of file desc currently in use:   11\n"),
        ]);
        let vars = r#"{"stats": {"inbound": {"in-443": {"uplink": 10231, "downlink": 74460}, "api": {"uplink": 6, "downlink": 5}},
            "user": {"love@x": {"uplink": 276, "downlink": 158}}}}"#;
        let xray = serve_http(&[("/debug/vars", vars)]);
        Self { dir, bus: FakeBus::start(systemd), squid, xray }
    }

    /// Data comes from clients.
    pub(crate) fn traffic(&self) {
        for device in ["wg0", "tun0"] {
            let file = self.dir.path().join(format!("sys/class/net/{device}/statistics/rx_bytes"));
            let bytes: u64 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
            std::fs::write(&file, format!("{}\n", bytes + 1000)).unwrap();
        }
    }

    pub(crate) fn collector(&self, per_peer: PerPeer) -> Collector {
        let asked =
            |control: SocketAddr| Arc::new(Options { control: Some(Endpoint::Tcp(control)), ..Options::default() });
        let rule = |unit: &str, service, options| Rule { unit: unit.to_owned(), service, options };
        Collector::new(Setup {
            root: Root::new(self.dir.path()),
            bus: Ok(self.bus.socket()),
            services: UnitMap::from_operator(vec![
                rule("wg-quick@*.service", Service::Wg, Arc::default()),
                rule("openvpn@*.service", Service::Ov, Arc::default()),
                rule("squid.service", Service::Sq, asked(self.squid)),
                rule("x-ui.service", Service::Vr, asked(self.xray)),
            ]),
            uplink: Uplink::default(),
            certificates: Vec::new(),
            per_peer,
            data_window: Duration::from_secs(300),
        })
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

/// Every unit has a control group of its own, as on a real host.
fn systemd(request: &Request) -> Answer {
    let serial = request.serial;
    let (globs, names): (Vec<_>, Vec<_>) = UNITS.into_iter().partition(|(name, _, _)| name.contains('@'));
    Answer::Bytes(match request.member.as_str() {
        "ListUnitsByNames" => reply(serial, UNIT_LIST, &unit_list(&[&names[..], &globs].concat())),
        "ListUnitsByPatterns" => reply(serial, UNIT_LIST, &unit_list(&globs)),
        "Get" => {
            let is_group = request.body.windows(12).any(|window| window == b"ControlGroup");
            let name = request.path.strip_prefix("/unit/").unwrap();
            let unit = UNITS.iter().find(|(unit, _, _)| object(unit) == name).unwrap().0;
            let kind = if unit.starts_with("wg") { "oneshot" } else { "simple" };
            let value = if is_group { format!("/system.slice/{unit}") } else { kind.to_owned() };
            reply(serial, "v", &[&[1, b's', 0, 0][..], &string(&value)].concat())
        }
        other => error(serial, "org.freedesktop.DBus.Error.UnknownMethod", other),
    })
}

/// The name of a unit in its object path: what is no letter or digit is written in another way.
pub(crate) fn object(unit: &str) -> String {
    unit.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn serve_uapi(root: &Path, now: u64) {
    std::fs::create_dir_all(root.join("run/wireguard")).unwrap();
    let listener = UnixListener::bind(root.join("run/wireguard/wg0.sock")).unwrap();
    let answer = format!(
        "private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a\nlisten_port=51820\n\
         public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33\nlast_handshake_time_sec={}\n\
         rx_bytes=2224\ntx_bytes=38333\n\
         public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376\nlast_handshake_time_sec={}\n\
         rx_bytes=1\ntx_bytes=2\nerrno=0\n\n",
        now - 30,
        now - 500
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut question = [0; 7];
            stream.read_exact(&mut question).unwrap();
            assert_eq!(&question, b"get=1\n\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

/// Answers each path with its body, and everything else with a 404.
fn serve_http(pages: &[(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pages = pages.to_vec();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() {
                    break;
                }
                question.push(byte[0]);
            }
            let question = String::from_utf8(question).unwrap();
            let path = question.split(' ').nth(1).unwrap_or_default();
            let answer = match pages.iter().find(|(known, _)| path.ends_with(known)) {
                Some((_, body)) => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"),
                None => "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}
