//! What an operator types of a server, to add or to change it, and what REST makes of it.
//!
//! A form says the same as a body of REST: each field is turned into the value that REST takes, and checked by what REST
//! checks it with, one by one, so that every mistake stands beside its field.

use std::collections::BTreeMap;

use mect_fleet::{ScrapeTarget, Server, TargetPolicy};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::pages::field::Field;
use crate::rest::v1::servers::body;

/// Bytes per second of a megabit per second.
const MEGABIT: f64 = 125_000.0;

/// What was typed, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    pub(crate) address: String,
    /// Name of the way in which the target is reached.
    pub(crate) access: String,
    /// Further endpoints, between blanks.
    pub(crate) endpoints: String,
    pub(crate) ip: String,
    pub(crate) hostname: String,
    pub(crate) country_code: String,
    pub(crate) region: String,
    pub(crate) city: String,
    pub(crate) coordinates: String,
    pub(crate) tags: String,
    /// Mbit/s.
    pub(crate) capacity: String,
    pub(crate) notes: String,
    // A box that is not ticked is not sent at all.
    pub(crate) insecure_credentials: Option<String>,
    pub(crate) gaming: Option<String>,
    pub(crate) streaming: Option<String>,
    pub(crate) paid: Option<String>,
    #[serde(rename = "static")]
    pub(crate) is_static: Option<String>,
    /// Of the server that the form was made of.
    pub(crate) revision: String,
}

/// A field of the form, and the field of REST that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) form: &'static str,
    rest: &'static str,
}

const fn name(form: &'static str, rest: &'static str) -> Name {
    Name { form, rest }
}

/// Every field.
const NAMES: [Name; 14] = [
    name("address", "target"),
    name("ip", "ip"),
    name("hostname", "hostname"),
    name("country_code", "country_code"),
    name("region", "region"),
    name("city", "city"),
    name("coordinates", "coordinates"),
    name("tags", "tags"),
    name("capacity", "capacity_bytes_per_second"),
    name("notes", "notes"),
    name("gaming", "gaming"),
    name("streaming", "streaming"),
    name("paid", "paid"),
    name("static", "static"),
];

/// What is wrong, by the form's field.
pub(crate) type Problems = BTreeMap<&'static str, String>;

impl Typed {
    /// What the form shows of a server.
    pub(crate) fn of(server: &Server) -> Self {
        let (place, target) = (&server.place, server.target.as_ref());
        let tick = |is_so: bool| is_so.then(|| "true".to_owned());
        Self {
            address: target.map(|target| target.endpoint.to_string()).unwrap_or_default(),
            access: target.and_then(|target| target.access.clone()).unwrap_or_default(),
            endpoints: target.map(endpoints).unwrap_or_default(),
            ip: server.ip.clone(),
            hostname: server.hostname.clone(),
            country_code: place.country_code.clone(),
            region: place.region.clone(),
            city: place.city.clone(),
            coordinates: place
                .coordinates
                .map(|point| format!("{}, {}", point.latitude(), point.longitude()))
                .unwrap_or_default(),
            tags: server.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>().join(" "),
            capacity: server
                .capacity_bytes_per_second
                .map(|capacity| (capacity as f64 / MEGABIT).to_string())
                .unwrap_or_default(),
            notes: server.notes.clone(),
            insecure_credentials: tick(target.is_some_and(|target| target.insecure_credentials)),
            gaming: tick(server.gaming),
            streaming: tick(server.streaming),
            paid: tick(server.paid),
            is_static: tick(server.is_static),
            revision: server.revision.to_string(),
        }
    }

    /// The value that REST takes for a field.
    fn value(&self, name: Name) -> Result<Value, String> {
        Ok(match name.form {
            "address" if self.address.trim().is_empty() => Value::Null,
            "address" => json!({
                "address": self.address.trim(),
                "insecure_credentials": self.insecure_credentials.is_some(),
                "access": Some(self.access.trim()).filter(|access| !access.is_empty()),
                "endpoints": words(&self.endpoints),
            }),
            "coordinates" => coordinates(&self.coordinates)?,
            "tags" => words(&self.tags).into(),
            "capacity" => capacity(&self.capacity)?,
            "gaming" => self.gaming.is_some().into(),
            "streaming" => self.streaming.is_some().into(),
            "paid" => self.paid.is_some().into(),
            "static" => self.is_static.is_some().into(),
            "ip" => self.ip.trim().into(),
            // A browser sends a text's lines as HTTP ends them.
            "notes" => self.notes.replace("\r\n", "\n").trim().into(),
            form => self.text(form).trim().into(),
        })
    }

    /// The text of a field.
    pub(crate) fn text(&self, form: &str) -> &str {
        match form {
            "address" => &self.address,
            "access" => &self.access,
            "endpoints" => &self.endpoints,
            "ip" => &self.ip,
            "hostname" => &self.hostname,
            "country_code" => &self.country_code,
            "region" => &self.region,
            "city" => &self.city,
            "coordinates" => &self.coordinates,
            "tags" => &self.tags,
            "capacity" => &self.capacity,
            "notes" => &self.notes,
            _ => "",
        }
    }

    /// The body of REST that says what differs from `known`, each field checked, the target by `policy`; or what is
    /// wrong, field by field.
    pub(crate) fn body(&self, known: &Self, policy: &TargetPolicy) -> Result<Value, Problems> {
        let (mut body, mut problems) = (Map::new(), Problems::new());
        for name in NAMES {
            let value = self.value(name);
            if value == known.value(name) {
                continue;
            }
            let checked = value.and_then(|value| {
                let alone = Value::Object(Map::from_iter([(name.rest.to_owned(), value.clone())]));
                body::patch_of(alone, policy).map_err(|error| plain(&error)).map(|_| value)
            });
            match checked {
                Ok(value) => drop(body.insert(name.rest.to_owned(), value)),
                Err(problem) => drop(problems.insert(name.form, problem)),
            }
        }
        if problems.is_empty() { Ok(Value::Object(body)) } else { Err(problems) }
    }

    /// A field with what was typed and what is wrong with it.
    pub(crate) fn field(&self, form: &'static str, label: &'static str, problems: &Problems) -> Field {
        let field = Field { value: self.text(form).to_owned(), ..Field::new(form, label) };
        match problems.get(form) {
            Some(problem) => field.wrong(problem),
            None => field,
        }
    }
}

/// An error without the name of the field, beside which it stands.
fn plain(error: &Error) -> String {
    let text = error.to_string();
    match text.split_once(": ") {
        Some((field, problem)) if !field.contains(' ') => problem.to_owned(),
        _ => text,
    }
}

/// Further endpoints as they are typed: the port alone where that says all.
fn endpoints(target: &ScrapeTarget) -> String {
    let short = |page: &ScrapeTarget| {
        let port = format!(":{}", page.endpoint.port());
        let says_all = target.endpoint.beside(&port).is_ok_and(|endpoint| endpoint == page.endpoint);
        if says_all { port } else { page.endpoint.to_string() }
    };
    target.further.iter().map(short).collect::<Vec<_>>().join(" ")
}

/// Words between blanks or commas.
pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| letter.is_whitespace() || letter == ',').filter(|word| !word.is_empty()).collect()
}

/// Null for nothing; degrees north and east otherwise.
pub(crate) fn coordinates(text: &str) -> Result<Value, String> {
    let numbers: Option<Vec<f64>> = words(text).into_iter().map(|word| word.parse().ok()).collect();
    match numbers.as_deref() {
        Some([]) => Ok(Value::Null),
        Some([lat, lon]) if lat.is_finite() && lon.is_finite() => Ok(json!({"lat": lat, "lon": lon})),
        _ => Err("needs degrees north and east, for example 50.11, 8.68".to_owned()),
    }
}

/// Null for nothing; bytes per second of what was given in Mbit/s otherwise.
pub(crate) fn capacity(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match text.parse::<f64>() {
        // Beyond what a u64 holds it is the largest, which is refused.
        Ok(megabits) if megabits.is_finite() && megabits > 0.0 => Ok(((megabits * MEGABIT).round() as u64).into()),
        _ => Err("needs a number of Mbit/s above 0, for example 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use mect_fleet::store::{Registration, story};
    use mect_fleet::{ServerId, Timestamp};

    use super::*;

    fn policy() -> TargetPolicy {
        TargetPolicy::default()
    }

    fn server() -> Server {
        let registration = Registration { capacity_bytes_per_second: Some(125_000_000), ..story::registration(1) };
        Server::new(ServerId::random().unwrap(), &registration, Timestamp::from_secs(1))
    }

    #[test]
    fn what_is_shown_and_sent_back_changes_nothing() {
        let known = Typed::of(&server());
        assert_eq!(known.body(&known, &policy()), Ok(json!({})));
        assert_eq!(known.capacity, "1000");
        let with_blanks = Typed { city: format!(" {} ", known.city), ..known.clone() };
        assert_eq!(with_blanks.body(&known, &policy()), Ok(json!({})));
    }

    #[test]
    fn what_differs_is_said_as_rest_says_it() {
        let known = Typed::of(&server());
        let typed = Typed {
            address: "192.0.2.9:9776".into(),
            insecure_credentials: Some("true".into()),
            access: "edge".into(),
            endpoints: ":9586, :9550/scrape".into(),
            tags: "eu, fast".into(),
            capacity: String::new(),
            coordinates: "50.11 8.68".into(),
            notes: "one\r\ntwo".into(),
            paid: Some("true".into()),
            ..known.clone()
        };
        let body = typed.body(&known, &policy()).unwrap();
        let expected = json!({
            "target": {"address": "192.0.2.9:9776", "insecure_credentials": true, "access": "edge",
                "endpoints": [":9586", ":9550/scrape"]}, "tags": ["eu", "fast"],
            "capacity_bytes_per_second": null, "coordinates": {"lat": 50.11, "lon": 8.68}, "notes": "one\ntwo", "paid": true
        });
        assert_eq!(body, expected);
        assert!(body::patch_of(body, &policy()).is_ok());
    }

    #[test]
    fn every_mistake_stands_beside_its_field() {
        let typed = Typed {
            address: "nonsense".into(),
            ip: "a b".into(),
            hostname: "x".repeat(300),
            country_code: "XX".into(),
            coordinates: "north".into(),
            tags: "Bad!".into(),
            capacity: "fast".into(),
            city: "a\u{202e}b".into(),
            ..Typed::default()
        };
        let problems = typed.body(&Typed::default(), &policy()).unwrap_err();
        let named: Vec<_> = problems.keys().copied().collect();
        assert_eq!(named, ["address", "capacity", "city", "coordinates", "country_code", "hostname", "ip", "tags"]);
        assert_eq!(problems["address"], "needs a port from 1 to 65535, for example 192.0.2.1:9776");
        assert!(problems["tags"].starts_with("not a tag"), "{}", problems["tags"]);
        assert_eq!(problems["hostname"], "longer than 253 characters");
        let field = typed.field("tags", "Tags", &problems);
        assert_eq!((field.value.as_str(), field.problem.is_some()), ("Bad!", true));
    }

    #[test]
    fn numbers_have_bounds() {
        assert!(
            coordinates("91 0").is_ok_and(|point| body::patch_of(json!({"coordinates": point}), &policy()).is_err())
        );
        for bad in ["0", "-1", "inf", "NaN", "1e400", "ten"] {
            assert!(capacity(bad).is_err(), "{bad}");
        }
        assert!(
            capacity("1e300")
                .is_ok_and(|most| body::patch_of(json!({"capacity_bytes_per_second": most}), &policy()).is_err())
        );
        assert_eq!(capacity("2.5"), Ok(json!(312_500)));
    }
}
