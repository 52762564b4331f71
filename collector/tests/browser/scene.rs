//! A collector with exporters, and users of every role.

use std::io::BufReader;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::browser::Browser;
use crate::support::collector::{Collector, Home, PASSWORD};
use crate::support::{Program, eventually, read_until};

/// The roles, each also the name of a user who signs in with [`PASSWORD`].
pub(crate) const ROLES: [&str; 3] = ["readonly", "admin", "superadmin"];

/// A running collector with what it scrapes.
pub(crate) struct Scene {
    pub(crate) collector: Collector,
    pub(crate) home: Home,
    _simulation: Option<Program>,
}

impl Scene {
    /// With a simulated fleet, in which some servers are slow, failing or flapping; waits until every one was judged.
    pub(crate) fn simulated(servers: usize) -> Self {
        let home = Home::new("");
        let targets = home.path().join("targets.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
        command.args(["simulate", "--port", "0", "--servers", &servers.to_string(), "--targets"]);
        command.arg(&targets).stdout(Stdio::piped());
        let mut simulation = Program::start("mect-collector", "cargo build", &mut command);
        read_until(&mut BufReader::new(simulation.child.stdout.take().unwrap()), "simulating exporters");
        home.configure(&format!(
            "[web]\nstatus_page = true\n\
             [scrape]\ninterval_seconds = 3\ntimeout_seconds = 2\nrecheck_seconds = 0.5\n\
             [[file_sd]]\nfiles = [\"{}\"]\n",
            targets.display()
        ));
        let scene = Self::of(home, Some(simulation));
        eventually("every server to be judged", || {
            let all = scene.collector.all_servers();
            (all.len() == servers && all.iter().all(|server| server["health"] != "pending")).then_some(())
        });
        scene
    }

    /// With these settings alone.
    pub(crate) fn of_config(config: &str) -> Self {
        Self::of(Home::new(config), None)
    }

    fn of(home: Home, simulation: Option<Program>) -> Self {
        let collector = home.start();
        for role in ROLES.iter().filter(|role| **role != "admin") {
            let user = json!({ "username": role, "password": PASSWORD, "role": role, "must_change_password": false });
            assert_eq!(collector.post("/api/v1/users", &user).status, 201);
        }
        Self { collector, home, _simulation: simulation }
    }

    /// A browser in which the user of that role is signed in; `admin` is the first admin, who may do everything.
    pub(crate) fn browser(&self, user: &str) -> Browser {
        let browser = Browser::new(&self.collector);
        browser.sign_in(user, PASSWORD);
        browser.arrives("/");
        browser
    }
}
