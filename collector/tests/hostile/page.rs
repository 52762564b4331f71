//! Pages, and answers around them.

/// Head of an answer that holds a page, without its length.
pub(crate) const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n";

/// Clients of a good host.
pub(crate) const SESSIONS: u64 = 7;
/// Used share of its memory, in percent.
pub(crate) const RAM: f64 = 50.0;

/// Whose pages they are.
pub(crate) const HOST: &str = "7a5160781fbe4e8394769e45f7cb3131";

/// What a page says of the host that it is of.
pub(crate) fn host(id: &str) -> String {
    format!("vpn_exporter_build_info{{arch=\"x86_64\",host_id=\"{id}\",version=\"1.0.0\"}} 1\n")
}

/// The page that a good host serves `turn` scrapes after its first one.
pub(crate) fn good(turn: u64) -> String {
    format!("{}{}{}{}vpn_sessions {SESSIONS}\n", host(HOST), cpu(turn), memory(), network(turn))
}

/// Processor time: a tenth of it is busy.
pub(crate) fn cpu(turn: u64) -> String {
    let (idle, busy) = (1_000 + 9 * turn, 100 + turn);
    format!(
        "node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} {idle}\nnode_cpu_seconds_total{{cpu=\"0\",mode=\"user\"}} {busy}\n"
    )
}

/// Memory, half of it used.
pub(crate) fn memory() -> &'static str {
    "node_memory_MemTotal_bytes 1000\nnode_memory_MemAvailable_bytes 500\n"
}

/// Traffic of the uplink.
pub(crate) fn network(turn: u64) -> String {
    let bytes = 1_000_000 + 10_000 * turn;
    format!(
        "node_network_receive_bytes_total{{device=\"eth0\"}} {bytes}\nnode_network_transmit_bytes_total{{device=\"eth0\"}} {bytes}\n"
    )
}

/// An answer with that page.
pub(crate) fn of(page: &str) -> String {
    format!("{HEAD}content-length: {}\r\n\r\n{page}", page.len())
}

/// An answer with that body, and more lines in its head.
pub(crate) fn with(lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{HEAD}{lines}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
