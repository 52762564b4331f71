//! From systemd's list of units to rows and metrics. No I/O.

use std::sync::Arc;

use crate::config::{Options, Service, UnitMap};
use crate::dbus::DbusError;
use crate::dbus::message::Message;
use crate::page::{Kind, Page};

/// Most units accepted in one reply.
const MAX_UNITS: usize = 4096;

/// Most units shown; those last by name give way.
const MAX_ROWS: usize = 64;

/// The states that node_exporter shows, in its order. Ours show `active` always and the others while they
/// hold: they would only be zeros on every page.
const STATES: [&str; 5] = [ACTIVE, "activating", "deactivating", "inactive", "failed"];

const ACTIVE: &str = "active";

/// A unit as systemd lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Primary name, e.g. `wg-quick@wg0.service`. For an alias this is not the name asked for.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub load_state: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`, …
    pub active_state: String,
    /// D-Bus object of the unit.
    pub object_path: String,
}

/// A unit to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Unit name with suffix.
    pub name: String,
    /// The service it belongs to.
    pub service: Service,
    /// As [`Unit::active_state`].
    pub active_state: String,
    /// Whether systemd has a usable unit file for it.
    pub loaded: bool,
    /// Service type, e.g. `oneshot`; empty when there is none.
    pub kind: String,
    /// As [`Unit::object_path`].
    pub object_path: String,
    /// Its control group, e.g. `/system.slice/squid.service`; empty when it has none.
    pub control_group: String,
    /// What the operator says about it.
    pub options: Arc<Options>,
}

impl Unit {
    /// Types of the reply to `ListUnitsByNames` and `ListUnitsByPatterns`: name, description, load
    /// state, active state, sub state, followed unit, object path, job id, job type, job path.
    const SIGNATURE: &'static str = "a(ssssssouso)";
}

impl Row {
    /// Whether the unit has a service type and a control group to ask for.
    pub fn is_service(&self) -> bool {
        self.loaded && self.name.ends_with(".service") && !self.object_path.is_empty()
    }

    /// A service that reloads its configuration keeps running.
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "refreshing")
    }
}

/// Reads a list of units out of a reply.
///
/// # Errors
/// The reply is not such a list, or has more than 4096 units.
pub fn parse(reply: &Message) -> Result<Vec<Unit>, DbusError> {
    let mut body = reply.body(Unit::SIGNATURE)?;
    body.array(8, MAX_UNITS, |list| {
        list.align(8)?;
        let name = list.string()?.to_owned();
        let _description = list.string()?;
        let load_state = list.string()?.to_owned();
        let active_state = list.string()?.to_owned();
        let _sub_state = list.string()?;
        let _following = list.string()?;
        let object_path = list.string()?.to_owned();
        let _job_id = list.u32()?;
        let _job_type = list.string()?;
        let _job_path = list.string()?;
        Ok(Unit { name, load_state, active_state, object_path })
    })
}

/// Joins systemd's answers with the map: `named` answers its exact names in their order, `matched` its
/// globs. Units that do not exist are left out when they come from the built-in map, which names what a
/// host *may* run; a unit that an operator has named is shown as not active. Sorted by unit name.
pub fn select(map: &UnitMap, named: &[Unit], matched: &[Unit]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |name: &str, unit: Option<&Unit>| {
        let Some(rule) = map.rule(name) else { return };
        let load_state = unit.map_or("not-found", |unit| unit.load_state.as_str());
        let exists = !matches!(load_state, "not-found" | "masked");
        if rows.iter().any(|row| row.name == name) || (!exists && map.is_built_in()) {
            return;
        }
        rows.push(Row {
            name: name.to_owned(),
            service: rule.service,
            active_state: unit.map(|unit| unit.active_state.clone()).unwrap_or_default(),
            loaded: load_state == "loaded",
            kind: String::new(),
            object_path: unit.map(|unit| unit.object_path.clone()).unwrap_or_default(),
            control_group: String::new(),
            options: Arc::clone(&rule.options),
        });
    };
    let names = map.names();
    for (index, name) in names.iter().copied().enumerate() {
        // An alias is answered under its primary name; its place in the list still says whose answer it is.
        let by_place = || named.get(index).filter(|_| named.len() == names.len());
        let unit = named.iter().find(|unit| unit.name == name).or_else(by_place);
        add(name, unit);
    }
    for unit in matched.iter().filter(|unit| unit.load_state != "not-found") {
        add(&unit.name, Some(unit));
    }
    rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    rows.truncate(MAX_ROWS);
    rows
}

/// Writes the families.
pub fn render(rows: &[Row], page: &mut Page) {
    let mut family = page.family(
        "node_systemd_unit_state",
        Kind::Gauge,
        "Whether the unit is in this state; type is its service type.",
    );
    // Like node_exporter, only units with a usable unit file have a state.
    for row in rows.iter().filter(|row| row.loaded) {
        for state in STATES {
            let holds = row.active_state == state;
            if holds || state == ACTIVE {
                let labels = [("name", row.name.as_str()), ("state", state), ("type", row.kind.as_str())];
                family.sample(&labels, holds);
            }
        }
    }
    let mut family =
        page.family("vpn_service_active", Kind::Gauge, "Whether systemd says that the service's unit is active.");
    for row in rows {
        family.sample(&[("service", row.service.id()), ("unit", &row.name)], row.is_active());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rule;

    fn unit(name: &str, load_state: &str, active_state: &str) -> Unit {
        Unit {
            name: name.into(),
            load_state: load_state.into(),
            active_state: active_state.into(),
            object_path: "/o".into(),
        }
    }

    fn operator_map(rules: &[(&str, Service)]) -> UnitMap {
        UnitMap::from_operator(rules.iter().map(|(name, service)| Rule::plain(*name, *service)).collect())
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn absent_units_of_the_built_in_map_are_not_shown() {
        let map = UnitMap::built_in();
        let named = [unit("squid.service", "not-found", "inactive"), unit("x-ui.service", "loaded", "active")];
        let matched =
            [unit("wg-quick@wg0.service", "loaded", "active"), unit("wg-quick@old.service", "not-found", "failed")];
        assert_eq!(names(&select(&map, &named, &matched)), ["wg-quick@wg0.service", "x-ui.service"]);
    }

    #[test]
    fn a_unit_that_the_operator_names_is_always_shown() {
        let map = operator_map(&[
            ("gone.service", Service::Wg),
            ("wg-*.service", Service::Wg),
            ("broken.service", Service::Ov),
        ]);
        let named = [unit("broken.service", "bad-setting", "inactive"), unit("gone.service", "not-found", "inactive")];
        let rows = select(&map, &named, &[]);
        assert_eq!(names(&rows), ["broken.service", "gone.service"]);
        let mut page = Page::new();
        render(&rows, &mut page);
        let text = page.into_text();
        assert!(text.contains("vpn_service_active{service=\"wg\",unit=\"gone.service\"} 0\n"), "{text}");
        assert!(!text.contains("node_systemd_unit_state"), "{text}");
    }

    #[test]
    fn an_alias_keeps_the_name_that_was_asked_for() {
        let map = operator_map(&[("squid3.service", Service::Sq)]);
        let rows = select(&map, &[unit("squid.service", "loaded", "active")], &[]);
        assert_eq!(names(&rows), ["squid3.service"]);
        assert!(rows[0].is_active());
    }

    #[test]
    fn a_unit_found_both_ways_is_shown_once_and_strangers_never() {
        let map = operator_map(&[("a.service", Service::Wg), ("a*.service", Service::Ov)]);
        let found = unit("a.service", "loaded", "active");
        let rows =
            select(&map, std::slice::from_ref(&found), &[found.clone(), unit("zzz.service", "loaded", "active")]);
        assert_eq!(names(&rows), ["a.service"]);
        assert_eq!(rows[0].service, Service::Wg);
    }

    #[test]
    fn reloading_is_active_and_in_none_of_the_five_states() {
        let map = operator_map(&[("a.service", Service::Ov)]);
        let mut page = Page::new();
        render(&select(&map, &[unit("a.service", "loaded", "reloading")], &[]), &mut page);
        let text = page.into_text();
        assert!(text.contains("vpn_service_active{service=\"ov\",unit=\"a.service\"} 1\n"));
        assert_eq!(text.lines().filter(|line| line.starts_with("node_") && line.ends_with(" 0")).count(), 1);
    }
}
