//! A system bus with systemd behind it, as far as one test needs it. It marshals by itself: a mistake in
//! the client's own marshalling must not cancel out.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// What the bus does with a call.
pub(crate) enum Answer {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Says nothing and keeps the connection open.
    Silence,
    /// Closes the connection.
    Close,
}

/// A method call that arrived.
pub(crate) struct Request {
    pub(crate) serial: u32,
    pub(crate) path: String,
    pub(crate) member: String,
    pub(crate) body: Vec<u8>,
}

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// A running bus; it ends with the value.
pub(crate) struct FakeBus {
    dir: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    logins: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl FakeBus {
    /// Accepts everyone and answers all calls but `Hello` with `handler`.
    pub(crate) fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_login("OK 0123456789abcdef", handler)
    }

    /// As [`FakeBus::start`], with another last line of the authentication.
    pub(crate) fn with_login(
        login: &'static str,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("bus")).unwrap();
        let (stop, logins) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let handler: Arc<Handler> = Arc::new(handler);
        let thread = std::thread::spawn({
            let (stop, logins) = (Arc::clone(&stop), Arc::clone(&logins));
            move || {
                // One at a time is enough: the client has one connection.
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let _ = converse(&stream.unwrap(), login, &logins, handler.as_ref());
                }
            }
        });
        Self { dir, stop, logins, thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("bus")
    }

    /// How many times a client has logged in.
    pub(crate) fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
}

impl Drop for FakeBus {
    /// Clients must be gone by now, or the conversation with them would be waited for.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.socket());
        let _ = self.thread.take().unwrap().join();
    }
}

fn converse(stream: &UnixStream, login: &str, logins: &AtomicUsize, handler: &Handler) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert_eq!(line, "\0AUTH EXTERNAL\r\n");
    writer.write_all(b"DATA\r\n")?;
    line.clear();
    reader.read_line(&mut line)?;
    assert_eq!(line, "DATA\r\n");
    writer.write_all(format!("{login}\r\n").as_bytes())?;
    line.clear();
    reader.read_line(&mut line)?;
    assert_eq!(line, "BEGIN\r\n");
    logins.fetch_add(1, Ordering::SeqCst);
    if login == HANGS_UP {
        return Ok(());
    }
    loop {
        let request = read_request(&mut reader)?;
        let answer = match request.member.as_str() {
            "Hello" => Answer::Bytes([reply(request.serial, "s", &string(":1.7")), signal()].concat()),
            _ => handler(&request),
        };
        match answer {
            Answer::Bytes(bytes) => writer.write_all(&bytes)?,
            Answer::Silence => {}
            Answer::Close => return Ok(()),
        }
    }
}

fn read_request(reader: &mut impl Read) -> std::io::Result<Request> {
    let mut head = [0; 16];
    reader.read_exact(&mut head)?;
    assert_eq!(head[..4], [b'l', 1, 2, 1], "little-endian, a call, no auto start, version 1");
    let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    let (body_bytes, serial, fields_bytes) = (number(4) as usize, number(8), number(12) as usize);
    let mut fields = vec![0; fields_bytes.next_multiple_of(8)];
    reader.read_exact(&mut fields)?;
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body)?;
    let (mut at, mut path, mut member) = (0, String::new(), String::new());
    while at < fields_bytes {
        let (code, kind) = (fields[at], fields[at + 2]);
        at += 4;
        let (length, prefix) = match kind {
            b'g' => (usize::from(fields[at]), 1),
            _ => (u32::from_le_bytes(fields[at..at + 4].try_into().unwrap()) as usize, 4),
        };
        let text = || String::from_utf8(fields[at + 4..at + 4 + length].to_vec()).unwrap();
        match code {
            1 => path = text(),
            3 => member = text(),
            _ => {}
        }
        at = (at + prefix + length + 1).next_multiple_of(8);
    }
    Ok(Request { serial, path, member, body })
}

/// A marshalled string, for the start of a body.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

fn message(kind: u8, fields: &[(u8, &str, Vec<u8>)], body: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    for (code, signature, value) in fields {
        list.resize(list.len().next_multiple_of(8), 0);
        list.extend_from_slice(&[*code, 1, signature.as_bytes()[0], 0]);
        list.extend_from_slice(value);
    }
    let mut bytes = vec![b'l', kind, 1, 1];
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&77u32.to_le_bytes());
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&list);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend_from_slice(body);
    bytes
}

fn signature(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes(), &[0]].concat()
}

/// A method's result.
pub(crate) fn reply(serial: u32, types: &str, body: &[u8]) -> Vec<u8> {
    message(2, &[(5, "u", serial.to_le_bytes().to_vec()), (8, "g", signature(types))], body)
}

/// A method's failure.
pub(crate) fn error(serial: u32, name: &str, text: &str) -> Vec<u8> {
    let fields = [(4, "s", string(name)), (5, "u", serial.to_le_bytes().to_vec()), (8, "g", signature("s"))];
    message(3, &fields, &string(text))
}

/// A signal that nobody has asked for.
pub(crate) fn signal() -> Vec<u8> {
    message(4, &[(3, "s", string("NameAcquired")), (8, "g", signature("s"))], &string(":1.7"))
}

/// A list of units as systemd sends it: name, load state, active state.
pub(crate) fn unit_list(units: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, load_state, active_state) in units {
        list.resize(list.len().next_multiple_of(8), 0);
        let text = |list: &mut Vec<u8>, value: &str| {
            list.resize(list.len().next_multiple_of(4), 0);
            list.extend_from_slice(&string(value));
        };
        let object = format!("/unit/{}", crate::vpn_host::object(name));
        for value in [name, "A description", load_state, active_state, "running", "", &object] {
            text(&mut list, value);
        }
        list.resize(list.len().next_multiple_of(4), 0);
        list.extend_from_slice(&0u32.to_le_bytes());
        text(&mut list, "");
        text(&mut list, "/");
    }
    // The elements start at a multiple of 8, after the length and its padding.
    [&(list.len() as u32).to_le_bytes()[..], &[0; 4], &list].concat()
}

/// A login that succeeds, and after which the bus closes the connection.
pub(crate) const HANGS_UP: &str = "OK bye";

pub(crate) const UNIT_LIST: &str = "a(ssssssouso)";

/// A systemd with a typical VPN host's units.
pub(crate) fn typical_systemd(request: &Request) -> Answer {
    let serial = request.serial;
    Answer::Bytes(match request.member.as_str() {
        "ListUnitsByNames" => {
            let units = [("squid.service", "loaded", "failed"), ("x-ui.service", "not-found", "inactive")];
            reply(serial, UNIT_LIST, &unit_list(&units))
        }
        "ListUnitsByPatterns" => {
            let units =
                [("wg-quick@wg0.service", "loaded", "active"), ("openvpn@server.service", "loaded", "reloading")];
            reply(serial, UNIT_LIST, &unit_list(&units))
        }
        "Get" => reply(serial, "v", &[&[1, b's', 0, 0][..], &string(&property(request))].concat()),
        other => error(serial, "org.freedesktop.DBus.Error.UnknownMethod", other),
    })
}

/// The value of a property that was asked for. All units stand in one control group.
fn property(request: &Request) -> String {
    let asks_for = |name: &str| request.body.windows(name.len()).any(|window| window == name.as_bytes());
    if asks_for("ControlGroup") { "/system.slice/typical.service".to_owned() } else { "oneshot".to_owned() }
}
