//! A list of servers, as CSV with a header or as Prometheus' `file_sd` in JSON, read into what the inventory is told.

use std::collections::BTreeMap;

use mect_fleet::server::MAX_ENDPOINTS;
use mect_fleet::store::Registration;
use mect_fleet::target_group::InvalidTarget;
use mect_fleet::{ScrapeTarget, TargetGroup, TargetPolicy};
use serde_json::{Map, Value, json};

use crate::pages::server::form::{capacity, coordinates, words};
use crate::rest::lenient;
use crate::rest::v1::servers::body;

use super::csv;

/// Servers of one list: what one request adds in time.
const MAX_SERVERS: usize = 500;
/// What a server may be called in a list, beside the address of its target.
const COLUMNS: [&str; 18] = [
    "ip",
    "hostname",
    "country_code",
    "country",
    "region",
    "city",
    "coordinates",
    "tags",
    "notes",
    "capacity",
    "gaming",
    "streaming",
    "paid",
    "enabled",
    "static",
    "endpoints",
    "access",
    "insecure_credentials",
];
/// The column of the target.
const ADDRESS: &str = "address";
/// The column of further endpoints.
const ENDPOINTS: &str = "endpoints";

/// A server of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// Where it stands in the list.
    pub(super) place: String,
    /// The target, as it was given.
    pub(super) address: String,
    /// What the inventory is told, or why it is not.
    pub(super) registration: Result<Registration, String>,
}

/// Reads a list, whichever kind it is. A target that `policy` does not allow is the entry's own mistake.
///
/// # Errors
/// It is neither, or too long.
pub(super) fn read(text: &str, policy: &TargetPolicy) -> Result<Vec<Entry>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let entries = if text.trim_start().starts_with('[') { of_groups(text, policy)? } else { of_lines(text, policy)? };
    match entries.len() {
        0 => Err("The list names no server".to_owned()),
        count if count > MAX_SERVERS => {
            Err(format!("The list names {count} servers; give at most {MAX_SERVERS} at once"))
        }
        _ => Ok(entries),
    }
}

fn of_lines(text: &str, policy: &TargetPolicy) -> Result<Vec<Entry>, String> {
    let mut records = csv::read(text)?.into_iter();
    let (_, header) = records.next().ok_or("The list is empty")?;
    let names: Vec<String> = header.iter().map(|name| name.to_ascii_lowercase()).collect();
    let allowed = || format!("the header may name {ADDRESS}, {}", COLUMNS.join(", "));
    if let Some(unknown) = names.iter().find(|name| *name != ADDRESS && !COLUMNS.contains(&name.as_str())) {
        return Err(format!("Column {unknown:?} is not known; {}", allowed()));
    }
    if !names.iter().any(|name| name == ADDRESS) {
        return Err(format!("The first line must be a header with the column {ADDRESS}; {}", allowed()));
    }
    if let Some(twice) =
        names.iter().enumerate().find(|(place, name)| names.iter().take(*place).any(|other| other == *name))
    {
        return Err(format!("Column {:?} stands there twice", twice.1));
    }
    let entry = |(line, record): csv::Record| {
        let fields: BTreeMap<&str, &str> =
            names.iter().map(String::as_str).zip(record.iter().map(String::as_str)).collect();
        let address = fields.get(ADDRESS).copied().unwrap_or_default().to_owned();
        let registration = if record.len() > names.len() {
            Err(format!("has {} fields, the header {}", record.len(), names.len()))
        } else {
            registration(&address, policy, |name| fields.get(name).copied())
        };
        Entry { place: format!("line {line}"), address, registration }
    };
    Ok(records.map(entry).collect())
}

fn of_groups(text: &str, policy: &TargetPolicy) -> Result<Vec<Entry>, String> {
    let groups = TargetGroup::from_json(text).map_err(|error| format!("Not a file_sd list: {error}"))?;
    let mut entries = Vec::new();
    for (group, number) in groups.into_iter().zip(1..) {
        for address in &group.targets {
            // Labels that mean nothing to us are left alone, as Prometheus' users expect.
            let label = |name: &str| group.labels.get(name).map(String::as_str);
            let endpoint = group.endpoint(address.trim()).map_err(|error| match error {
                InvalidTarget::Address(error) => format!("{ADDRESS}: {error}"),
                error => error.to_string(),
            });
            let registration = endpoint.and_then(|endpoint| registration(&endpoint.to_string(), policy, label));
            let entry = Entry { place: format!("group {number}"), address: address.clone(), registration };
            let alone = joined(&mut entries, entry);
            entries.extend(alone);
        }
    }
    Ok(entries)
}

/// Makes the target of an entry one more endpoint of the server that an earlier one names on the same host; gives it back
/// where there is none, or where it cannot be that.
fn joined(earlier: &mut [Entry], entry: Entry) -> Option<Entry> {
    let Some(target) = entry.registration.as_ref().ok().and_then(|new| new.target.clone()) else { return Some(entry) };
    let is_same_host = |known: &&mut ScrapeTarget| known.endpoint.host() == target.endpoint.host();
    let mut known = earlier.iter_mut().filter_map(|entry| entry.registration.as_mut().ok()?.target.as_mut());
    let Some(known) = known.find(is_same_host) else { return Some(entry) };
    let is_known = known.pages().any(|page| page.endpoint.is_same_page(&target.endpoint));
    if is_known || known.pages().count() >= MAX_ENDPOINTS {
        return Some(entry);
    }
    known.further = known.further.iter().cloned().chain([target]).collect();
    None
}

/// What the inventory is told, by way of the body of REST that says the same.
fn registration<'a>(
    address: &str,
    policy: &TargetPolicy,
    field: impl Fn(&str) -> Option<&'a str>,
) -> Result<Registration, String> {
    let mut body = Map::new();
    let (mut insecure, mut access, mut endpoints) = (false, None, Vec::new());
    for name in COLUMNS {
        let Some(text) = field(name).map(str::trim).filter(|text| !text.is_empty()) else { continue };
        let flag = || lenient::word(text).ok_or_else(|| format!("{name}: {text:?} is not allowed; give true or false"));
        let said = |value: Result<Value, String>| value.map_err(|problem| format!("{name}: {problem}"));
        let (name, value) = match name {
            "insecure_credentials" => {
                insecure = flag()?;
                continue;
            }
            "access" => {
                access = Some(text);
                continue;
            }
            "endpoints" => {
                endpoints = words(text);
                continue;
            }
            "gaming" | "streaming" | "paid" | "enabled" | "static" => (name, flag()?.into()),
            "tags" => (name, words(text).into()),
            "coordinates" => (name, said(coordinates(text))?),
            "capacity" => ("capacity_bytes_per_second", said(capacity(text))?),
            _ => (name, text.into()),
        };
        body.insert(name.to_owned(), value);
    }
    let target = json!({
        "address": address.trim(), "insecure_credentials": insecure, "access": access, "endpoints": endpoints
    });
    body.insert("target".to_owned(), target);
    let checked = body::registration_of(Value::Object(body), policy);
    checked.map_err(|error| error.to_string().replace("target.address", ADDRESS).replace("target.endpoints", ENDPOINTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Entry>, String> {
        super::read(text, &TargetPolicy::default())
    }

    fn problem(text: &str) -> String {
        read(text).unwrap_err()
    }

    #[test]
    fn both_kinds_say_the_same() {
        let csv = "Address,hostname,country_code,city,tags,capacity,paid,access,insecure_credentials\n\
                   192.0.2.1:9776,de-fra-1,de,\"Frankfurt, Main\",eu fast,1000,yes,edge,true\n";
        let json = r#"[{"targets": ["192.0.2.1:9776"], "labels": {"hostname": "de-fra-1", "country_code": "de",
            "city": "Frankfurt, Main", "tags": "eu,fast", "capacity": "1000", "paid": "true", "access": "edge",
            "insecure_credentials": "true", "anything": "else"}}]"#;
        let (csv, json) = (read(csv).unwrap(), read(json).unwrap());
        assert_eq!(csv[0].registration, json[0].registration);
        assert_eq!((csv[0].place.as_str(), json[0].place.as_str()), ("line 2", "group 1"));
        let new = csv[0].registration.as_ref().unwrap();
        assert_eq!((new.ip.as_str(), new.place.country_code.as_str(), new.tags.len()), ("192.0.2.1", "DE", 2));
        assert_eq!(new.target.as_ref().unwrap().access.as_deref(), Some("edge"));
        assert!(new.target.as_ref().unwrap().insecure_credentials && new.flags.paid == Some(true));
        assert_eq!(new.capacity_bytes_per_second, Some(125_000_000));
    }

    #[test]
    fn another_path_may_be_given_as_prometheus_does() {
        let entries = read(r#"[{"targets": ["a:1"], "labels": {"__metrics_path__": "/probe"}}]"#).unwrap();
        let target = entries[0].registration.as_ref().unwrap().target.as_ref().unwrap();
        assert_eq!(target.endpoint.to_string(), "http://a:1/probe");
    }

    #[test]
    fn targets_of_one_host_are_endpoints_of_one_server() {
        let json = r#"[{"targets": ["192.0.2.1:9100", "192.0.2.2:9100"], "labels": {"hostname": "de-fra-1"}},
            {"targets": ["192.0.2.1:9550", "192.0.2.1:9100"], "labels": {"__metrics_path__": "/scrape"}},
            {"targets": ["192.0.2.1:9100"]}]"#;
        let entries = read(json).unwrap();
        let shown: Vec<_> = entries.iter().map(|entry| (entry.place.as_str(), entry.address.as_str())).collect();
        assert_eq!(
            shown,
            [("group 1", "192.0.2.1:9100"), ("group 1", "192.0.2.2:9100"), ("group 3", "192.0.2.1:9100")]
        );
        let of_list = entries[0].registration.as_ref().unwrap().target.clone().unwrap();
        let further: Vec<_> = of_list.further.iter().map(|page| page.endpoint.to_string()).collect();
        assert_eq!(further, ["http://192.0.2.1:9550/scrape", "http://192.0.2.1:9100/scrape"]);
        let csv = "address,hostname,endpoints\n192.0.2.1:9100,de-fra-1,:9550/scrape :9100/scrape\n192.0.2.2:1,,:1\n";
        let entries = read(csv).unwrap();
        assert_eq!(entries[0].registration.as_ref().unwrap().target.as_ref(), Some(&of_list));
        let problem = entries[1].registration.as_ref().unwrap_err();
        assert_eq!(problem, "endpoints: `:1` is named twice");
    }

    #[test]
    fn a_list_that_is_none_is_refused_as_a_whole() {
        assert!(problem("").contains("empty") && problem("address\n").contains("no server"));
        assert!(problem("192.0.2.1:9776\n").contains("not known; the header may name address, ip"));
        assert!(problem("hostname\nde1\n").contains("must be a header"));
        assert!(problem("address,address\na:1,b:1\n").contains("twice"));
        assert!(problem("[{\"targets\": [1]}]").starts_with("Not a file_sd list"));
        let many = format!("address\n{}", "192.0.2.1:9776\n".repeat(MAX_SERVERS + 1));
        assert!(problem(&many).contains("501 servers; give at most 500"));
    }

    #[test]
    fn a_mistake_in_a_line_is_the_lines_own() {
        let text = "address,paid,tags,city\n169.254.169.254:80,,,\nb:1,maybe,,\nc:1,,Bad!,\nd:1,,,,,\n,,,Berlin\ne:1,,,\n127.0.0.1:9,,,\n";
        let entries = read(text).unwrap();
        let problems: Vec<_> = entries.iter().map(|entry| entry.registration.as_ref().err().cloned()).collect();
        assert!(problems[0].as_ref().unwrap().starts_with("address: must be the address of one host"));
        assert_eq!(problems[1].as_deref(), Some("paid: \"maybe\" is not allowed; give true or false"));
        assert!(problems[2].as_ref().unwrap().starts_with("tags"), "{:?}", problems[2]);
        assert_eq!(problems[3].as_deref(), Some("has 6 fields, the header 4"));
        assert!(problems[4].as_ref().unwrap().starts_with("address: needs"), "{:?}", problems[4]);
        assert_eq!(problems[5], None);
        let loopback = problems[6].as_ref().unwrap();
        assert!(
            loopback.starts_with("address: a loopback address") && loopback.contains("inside_networks"),
            "{loopback}"
        );
    }
}
