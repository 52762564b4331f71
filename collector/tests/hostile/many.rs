//! A host that turns on whoever scrapes it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::case::{Case, reads};
use crate::page;

/// Connections that come back for one scrape.
const CONNECTIONS: usize = 1000;
/// How long they stay.
const HELD: Duration = Duration::from_secs(2);

/// Connects to `there` from `own_address`; says nothing.
fn connect(own_address: Ipv4Addr, there: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((own_address, 0)).into())?;
    socket.set_nonblocking(true)?;
    // It is under way: as good.
    let _ = socket.connect(&there.into());
    Ok(socket.into())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        reads("opens_a_thousand_connections_back", |peer| {
            let there = *peer.around.collector.get().unwrap();
            let connections = if peer.turn == 0 { CONNECTIONS } else { 0 };
            let _back: Vec<_> = (0..connections).map_while(|_| connect(peer.own_address, there).ok()).collect();
            peer.socket.write_all(page::of(&page::good(peer.turn)).as_bytes())?;
            // They stay open for a while.
            std::thread::sleep(HELD);
            Ok(())
        }),
        reads("asks_for_the_list_a_thousand_times", |peer| {
            let there = *peer.around.collector.get().unwrap();
            if peer.turn == 0 {
                let mut back = connect(peer.own_address, there)?;
                back.set_nonblocking(false)?;
                for _ in 0..CONNECTIONS {
                    // It is hung up on at some time.
                    if back.write_all(b"GET /servers HTTP/1.1\r\nhost: x\r\n\r\n").is_err() {
                        break;
                    }
                }
            }
            peer.socket.write_all(page::of(&page::good(peer.turn)).as_bytes())
        }),
    ]
}
