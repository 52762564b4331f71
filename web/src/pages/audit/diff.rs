//! What a change made of something, as lines: pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// Characters shown of one value.
const MAX_CHARACTERS: usize = 300;

/// One field that differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// With a `.` before a field of a field; empty for a value that has none.
    pub(super) field: String,
    /// `None` where there was nothing.
    pub(super) before: Option<String>,
    /// `None` where there is nothing any more.
    pub(super) after: Option<String>,
}

/// The fields that differ, by name. Texts that are no JSON are nothing.
pub(super) fn diff(before: &str, after: &str) -> Vec<Line> {
    let fields = |text: &str| {
        let mut fields = BTreeMap::new();
        flatten(String::new(), serde_json::from_str(text).unwrap_or_default(), &mut fields);
        fields
    };
    let (mut before, after) = (fields(before), fields(after));
    let mut lines: Vec<Line> = after
        .into_iter()
        .map(|(field, after)| Line { before: before.remove(&field), after: Some(after), field })
        .collect();
    lines.extend(before.into_iter().map(|(field, before)| Line { field, before: Some(before), after: None }));
    lines.retain(|line| line.before != line.after);
    lines.sort_by(|a, b| a.field.cmp(&b.field));
    lines
}

/// Fields of fields as fields: where little differs, little is shown.
fn flatten(name: String, value: Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(inner) => inner.into_iter().for_each(|(field, value)| {
            let name = if name.is_empty() { field } else { format!("{name}.{field}") };
            flatten(name, value, fields);
        }),
        Value::String(text) => _ = fields.insert(name, cut(&text)),
        value => _ = fields.insert(name, cut(&value.to_string())),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let text = |side: Option<String>| side.unwrap_or_else(|| "-".into());
        let line = |line: Line| format!("{}: {} > {}", line.field, text(line.before), text(line.after));
        diff(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn only_what_differs_is_told() {
        let (before, after) = (r#"{"role":"admin","disabled":false}"#, r#"{"role":"readonly","disabled":false}"#);
        assert_eq!(told(before, after), ["role: admin > readonly"]);
        assert_eq!(told("", r#"{"tags":["a"],"paid":true}"#), ["paid: - > true", r#"tags: - > ["a"]"#]);
        assert_eq!(told(r#"{"notes":"x","gone":null}"#, "null"), ["notes: x > -"]);
        assert_eq!(
            told(r#"{"place":{"city":"Ulm","code":"DE"}}"#, r#"{"place":{"city":"Bonn","code":"DE"}}"#),
            ["place.city: Ulm > Bonn"]
        );
    }

    #[test]
    fn what_is_no_json_is_nothing_and_long_values_are_cut() {
        assert!(told("", "not json").is_empty());
        assert_eq!(diff("", &format!("\"{}\"", "ä".repeat(400)))[0].after.as_ref().unwrap().chars().count(), 301);
    }
}
