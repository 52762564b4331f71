//! The exporter from outside: its page on a fixture, its bus client against a fake bus, and the real
//! program over HTTP.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

mod bus;
mod daemon;
mod exposure;
mod fake_bus;
mod formats;
mod golden;
mod odd_hosts;
mod program;
mod real_host;
mod real_node_exporter;
mod settings;
mod tls;
mod vpn_host;
