//! Where a series comes from: the labels that all series of one server have.

use std::fmt::Write;

use mect_fleet::ServerView;

use super::text;

/// The labels that tell where a series comes from. Prometheus' rule: a page's own label of such a name is renamed.
pub(super) const NAMES: [&str; 4] = ["country_code", "instance", "job", "server_id"];

/// A server, or a part of the fleet.
pub(super) struct Origin {
    /// In the order of [`NAMES`]; the empty text is a label that is not there.
    values: [String; 4],
    /// As they are written, without braces.
    text: String,
}

impl Origin {
    /// A server whose page is at `instance`.
    pub(super) fn of_server(view: &ServerView, instance: &str, job: &str) -> Self {
        let (id, country) = (view.server.id.to_string(), view.server.place.country_code.clone());
        Self::new([country, instance.to_owned(), job.to_owned(), id])
    }

    /// All servers, or those of a country.
    pub(super) fn of_part(country_code: &str, job: &str) -> Self {
        Self::new([country_code.to_owned(), String::new(), job.to_owned(), String::new()])
    }

    fn new(values: [String; 4]) -> Self {
        let mut written = String::new();
        for (name, value) in NAMES.iter().zip(&values) {
            // An empty instance is written, or whoever scrapes us would put its own there.
            if value.is_empty() && *name != "instance" {
                continue;
            }
            let comma = if written.is_empty() { "" } else { "," };
            // Writing to memory does not fail.
            let _ = write!(written, "{comma}{name}=\"{}\"", text::escaped(value));
        }
        Self { values, text: written }
    }

    /// The value of one of [`NAMES`]; `None` for another label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let place = NAMES.iter().position(|known| *known == name)?;
        self.values.get(place).map(String::as_str)
    }

    /// Its labels, of which some may be empty.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        NAMES.into_iter().zip(self.values.iter().map(String::as_str))
    }

    /// Its labels as they are written, without braces.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}
