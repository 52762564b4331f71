//! Starts the real programs that tests run against, each on a free port in a directory of its own, and stops them
//! with the handle that started them. A program that is missing fails the test with what to install.
//!
//! Everything here blocks: it works in plain tests and, since nothing takes long, in asynchronous ones too.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

pub mod mmdb;
pub mod mongo;
pub mod process;
pub mod redis;

/// Nothing that a test waits for takes this long on a working system.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port of 127.0.0.1 that is free now.
///
/// # Panics
/// No port is left.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `ask` gives something.
///
/// # Panics
/// It gives nothing within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
