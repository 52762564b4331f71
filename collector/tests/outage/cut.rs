//! The network between collector and database is cut: connections stay open and nothing comes through.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mect_testkit::mongo::ReplicaSet;

use crate::alone;
use crate::faults::{endures, recovers};
use crate::scene::{Readers, SERVERS, Scene};
use crate::support::eventually;

#[test]
fn a_cut_network() {
    let _alone = alone();
    let set = ReplicaSet::start(1);
    let wire = Wire::to(&set.address(set.primary()));
    let scene = Scene::new(&format!("mongodb://127.0.0.1:{}/cut?directConnection=true", wire.port), 0.5, &[]);
    let collector = scene.home.start();
    eventually("the fleet", || (collector.get("/servers").json().as_array()?.len() == SERVERS).then_some(()));
    let readers = Readers::start(&collector);
    for _ in 0..2 {
        wire.cut(true);
        endures(&scene, &collector);
        wire.cut(false);
        recovers(&collector);
    }
    // Stopped in the outage: what was scraped waits for the next start.
    wire.cut(true);
    endures(&scene, &collector);
    let (shown, _) = readers.finish();
    collector.stop();
    wire.cut(false);
    let collector = scene.home.start();
    recovers(&collector);
    collector.stop();
    scene.check(&set, &shown, 0);
}

/// Forwards connections to one address, unless it is cut.
pub(crate) struct Wire {
    pub(crate) port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) fn to(address: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let (address, cut) = (address.to_owned(), Arc::clone(&is_cut));
        // Ends with the test program; nothing but the test talks to it.
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(&address).unwrap());
                forward(near.try_clone().unwrap(), far.try_clone().unwrap(), Arc::clone(&cut));
                forward(far, near, Arc::clone(&cut));
            }
        });
        Self { port, is_cut }
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

/// Copies one direction; holds everything back while the wire is cut.
fn forward(mut from: TcpStream, mut to: TcpStream, cut: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            while cut.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
