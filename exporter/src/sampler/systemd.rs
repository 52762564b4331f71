//! State of the VPN services' systemd units.
//!
//! `node_systemd_unit_state` is node_exporter's; `vpn_service_active` joins it with the service that
//! the configuration maps the unit to. systemd is asked over D-Bus, with one round trip per page:
//! `ListUnitsByNames` for exact names (it also sees units that are not loaded) and
//! `ListUnitsByPatterns` for globs. The connection is kept, so that a page costs no login.

pub mod units;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::config::UnitMap;
use crate::dbus::connection::Connection;
use crate::dbus::message::Call;
use crate::dbus::wire::Encoder;
use crate::dbus::{DbusError, message};
use crate::page::Page;
use crate::sampler::SampleError;
use units::Row;

/// How long a unit's service type and control group are remembered: they change only when an operator edits
/// the unit.
const FACTS_LIFETIME: Duration = Duration::from_secs(300);

const DESTINATION: &str = "org.freedesktop.systemd1";

/// Asks systemd for the mapped units.
#[derive(Debug)]
pub struct Systemd {
    socket: Result<PathBuf, String>,
    map: UnitMap,
    connection: Option<Connection>,
    /// What hardly changes, by unit.
    facts: HashMap<String, Facts>,
    facts_since: Instant,
    /// Units that a glob has found since the start. systemd forgets a stopped unit that nothing wants,
    /// and globs see only what it remembers: asked for by name, such a unit shows as not active instead
    /// of vanishing just when it matters. One that is gone for good does so until the exporter restarts.
    seen: Vec<String>,
}

/// What hardly changes of a unit.
#[derive(Debug, Default)]
struct Facts {
    /// Service type (`simple`, `oneshot`, …), for the `type` label.
    kind: String,
    /// Control group; a unit that does not run has none yet.
    control_group: String,
}

impl Systemd {
    /// Asks over `socket`; or the address that could not be understood, which then fails every time.
    pub fn new(socket: Result<PathBuf, String>, map: UnitMap) -> Self {
        Self { socket, map, connection: None, facts: HashMap::new(), facts_since: Instant::now(), seen: Vec::new() }
    }

    /// Asks systemd, writes the families and gives the units. A map without units asks nothing.
    ///
    /// # Errors
    /// systemd cannot be reached, does not answer within `budget`, or answers with an error.
    pub async fn sample(&mut self, budget: Duration, page: &mut Page) -> Result<Vec<Row>, SampleError> {
        if self.map.is_empty() {
            return Ok(Vec::new());
        }
        let silent = |_| DbusError::Timeout(budget.as_millis() as u64);
        let rows = timeout(budget, self.query()).await.map_err(silent)??;
        units::render(&rows, page);
        Ok(rows)
    }

    async fn query(&mut self) -> Result<Vec<Row>, DbusError> {
        // Taken out while in use: when this future is dropped half-way, its replies are still to come
        // and the connection must go with them.
        if let Some(mut connection) = self.connection.take()
            && let Ok(rows) = self.rows(&mut connection).await
        {
            self.connection = Some(connection);
            return Ok(rows);
        }
        // There was none, or the bus has closed it meanwhile.
        let socket = self.socket.as_ref().map_err(|address| DbusError::Address(address.clone()))?;
        let mut connection = Connection::open(socket).await?;
        let rows = self.rows(&mut connection).await?;
        self.connection = Some(connection);
        Ok(rows)
    }

    async fn rows(&mut self, connection: &mut Connection) -> Result<Vec<Row>, DbusError> {
        let (mut names, patterns) = (self.map.names(), self.map.patterns());
        let exact = names.len();
        names.extend(self.seen.iter().map(String::as_str));
        let mut calls = Vec::new();
        if !names.is_empty() {
            calls.push(manager_call("ListUnitsByNames", &[&names]));
        }
        if !patterns.is_empty() {
            // The first list would limit the states; empty means any.
            calls.push(manager_call("ListUnitsByPatterns", &[&[], &patterns]));
        }
        let mut replies = connection.call(&calls).await?.into_iter();
        let mut list = |asked: bool| match asked.then(|| replies.next()) {
            Some(Some(reply)) => units::parse(&reply?),
            Some(None) => Err(DbusError::Malformed("a reply is missing")),
            None => Ok(Vec::new()),
        };
        let mut named = list(!names.is_empty())?;
        let mut matched = list(!patterns.is_empty())?;
        // systemd answers names in their order, so that those seen earlier stand at the end.
        let seen = if named.len() == names.len() { named.split_off(exact) } else { Vec::new() };
        matched.extend(seen);
        let mut rows = units::select(&self.map, &named, &matched);
        let by_glob = |row: &&Row| !self.map.names().contains(&row.name.as_str());
        self.seen = rows.iter().filter(by_glob).map(|row| row.name.clone()).collect();
        self.add_facts(connection, &mut rows).await?;
        Ok(rows)
    }

    /// Fills in types and control groups, asking only for those not asked for lately.
    async fn add_facts(&mut self, connection: &mut Connection, rows: &mut [Row]) -> Result<(), DbusError> {
        if self.facts_since.elapsed() >= FACTS_LIFETIME {
            self.facts.clear();
            self.facts_since = Instant::now();
        }
        let is_known = |row: &Row| {
            self.facts.get(&row.name).is_some_and(|facts| !facts.control_group.is_empty() || !row.is_active())
        };
        let unknown: Vec<&Row> = rows.iter().filter(|row| row.is_service() && !is_known(row)).collect();
        if !unknown.is_empty() {
            let calls: Vec<Call<'_>> = unknown
                .iter()
                .flat_map(|row| FACTS.map(|property| property_call(&row.object_path, property)))
                .collect();
            let mut replies = connection.call(&calls).await?.into_iter();
            // A unit may vanish between the two calls: it then has no type, as in node_exporter.
            let mut text = || replies.next().and_then(|reply| string_variant(&reply.ok()?).ok()).unwrap_or_default();
            for row in unknown {
                let facts = Facts { kind: text(), control_group: text() };
                self.facts.insert(row.name.clone(), facts);
            }
        }
        for row in rows {
            if let Some(facts) = self.facts.get(&row.name) {
                row.kind.clone_from(&facts.kind);
                row.control_group.clone_from(&facts.control_group);
            }
        }
        Ok(())
    }
}

/// A call of a method of systemd's manager that takes lists of strings.
fn manager_call(member: &'static str, lists: &[&[&str]]) -> Call<'static> {
    let mut body = Encoder::new();
    for list in lists {
        body.strings(list);
    }
    Call {
        destination: DESTINATION,
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member,
        arguments: Some((if lists.len() == 1 { "as" } else { "asas" }, body.finish())),
    }
}

/// The properties of a service that make up [`Facts`], in that order.
const FACTS: [&str; 2] = ["Type", "ControlGroup"];

fn property_call<'a>(object_path: &'a str, property: &str) -> Call<'a> {
    let mut body = Encoder::new();
    body.string("org.freedesktop.systemd1.Service");
    body.string(property);
    Call {
        destination: DESTINATION,
        path: object_path,
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        arguments: Some(("ss", body.finish())),
    }
}

fn string_variant(reply: &message::Message) -> Result<String, DbusError> {
    let mut body = reply.body("v")?;
    match body.signature()? {
        "s" => Ok(body.string()?.to_owned()),
        _ => Err(DbusError::Malformed("the property is no string")),
    }
}
