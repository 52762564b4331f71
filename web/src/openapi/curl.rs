//! An example for each operation: the command that calls it, made from its description.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// Adds the example to an operation, where readers look for it (`x-codeSamples`).
pub(super) fn add(
    method: &str,
    path: &str,
    credentials: Option<&str>,
    components: &Value,
    operation: &mut Map<String, Value>,
) {
    let source = command(method, path, credentials, components, operation);
    operation.insert("x-codeSamples".to_owned(), json!([{"lang": "Shell", "label": "curl", "source": source}]));
}

/// The command. `$URL` is the address of the collector; a path's parts are variables in capitals; the file `credentials`
/// holds the header with the token or key, which so stands neither in the history of the shell nor in a list of processes, and
/// the body is read from the command's input for the same reason.
fn command(
    method: &str,
    path: &str,
    credentials: Option<&str>,
    components: &Value,
    operation: &Map<String, Value>,
) -> String {
    let mut command = "curl --silent --show-error".to_owned();
    if is_endless(operation) {
        command.push_str(" --no-buffer --max-time 5");
    }
    if let Some(file) = credentials {
        _ = write!(command, " -H @{file}");
    }
    if method != "GET" {
        _ = write!(command, " -X {method}");
    }
    let body = body(components, operation);
    if let Some((content_type, _)) = &body {
        _ = write!(command, " -H 'Content-Type: {content_type}' -d @-");
    }
    _ = write!(command, " \"$URL{}{}\"", variables(path), query(components, operation));
    if let Some((_, text)) = body {
        _ = write!(command, " <<'END'\n{text}\nEND");
    }
    command
}

/// True for an answer that does not end by itself.
pub(super) fn is_endless(operation: &Map<String, Value>) -> bool {
    operation.get("x-endless") == Some(&Value::Bool(true))
}

/// `/servers/{id}` as `/servers/$ID`.
fn variables(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        Some(name) => format!("${}", name.to_uppercase()),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The parameters without which there is no answer.
fn query(components: &Value, operation: &Map<String, Value>) -> String {
    let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let needed = parameters.filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    let mut query = String::new();
    for parameter in needed {
        let value = parameter.get("example").cloned().unwrap_or_else(|| example(components, &parameter["schema"], 0));
        // A parameter that may be given several times is given once. Brackets would be curl's own.
        let (name, value) = (form(&parameter["name"]), value.get(0).unwrap_or(&value));
        _ = write!(query, "{}{name}={}", if query.is_empty() { '?' } else { '&' }, form(value));
    }
    query
}

/// Type and text of a body.
fn body(components: &Value, operation: &Map<String, Value>) -> Option<(String, String)> {
    let contents = operation.get("requestBody")?.get("content")?.as_object()?;
    let (content_type, content) = contents.iter().next()?;
    let value = content.get("example").cloned().unwrap_or_else(|| example(components, &content["schema"], 0));
    let text = match content_type.as_str() {
        "application/x-www-form-urlencoded" => {
            let fields = value.as_object()?.iter();
            fields.map(|(name, value)| format!("{name}={}", form(value))).collect::<Vec<_>>().join("&")
        }
        _ => serde_json::to_string(&value).ok()?,
    };
    Some((content_type.clone(), text))
}

fn form(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Schemas that refer to themselves end here.
const MAX_DEPTH: usize = 8;

/// A value of a schema: the example that it gives, or the smallest one.
fn example(components: &Value, schema: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let deeper = |schema: &Value| example(components, schema, depth + 1);
    if let Some(reference) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components")) {
        return components.pointer(reference).map_or(Value::Null, deeper);
    }
    if let Some(given) = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0)) {
        return given.clone();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema[choice].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            return deeper(first);
        }
    }
    let kind = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
    match kind.as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let fields = required.map(|name| (name.to_owned(), deeper(&schema["properties"][name])));
            Value::Object(fields.collect())
        }
        Some("array") => json!([deeper(&schema["items"])]),
        Some("string") if schema["format"] == "date-time" => json!("2026-11-24T03:17:19Z"),
        Some("string") if schema["format"] == "password" => json!("correct horse battery"),
        Some("string") => json!("text"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(operation) => operation,
            other => panic!("no operation: {other}"),
        }
    }

    #[test]
    fn the_token_and_the_body_are_no_arguments() {
        let components = json!({"schemas": {"New": {
            "type": "object", "required": ["name", "tags"],
            "properties": {"name": {"type": "string", "example": "it's"}, "tags": {"type": "array", "items": {"type": "string"}}},
        }}});
        let body =
            json!({"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}}});
        assert_eq!(
            command("PATCH", "/api/v1/servers/{id}", Some("mect.token"), &components, &operation(body)),
            "curl --silent --show-error -H @mect.token -X PATCH -H 'Content-Type: application/json' -d @- \
             \"$URL/api/v1/servers/$ID\" <<'END'\n{\"name\":\"it's\",\"tags\":[\"text\"]}\nEND"
        );
        assert_eq!(
            command("GET", "/healthz", None, &components, &Map::new()),
            "curl --silent --show-error \"$URL/healthz\""
        );
    }

    #[test]
    fn queries_are_escaped() {
        let schema = json!({"type": "array", "items": {"type": "string", "example": "up{a=\"b\"}"}});
        let parameter = json!({"in": "query", "name": "match[]", "required": true, "schema": schema});
        let text = command("GET", "/federate", None, &Value::Null, &operation(json!({"parameters": [parameter]})));
        assert!(text.ends_with("\"$URL/federate?match%5B%5D=up%7Ba%3D%22b%22%7D\""), "{text}");
    }

    #[test]
    fn forms_are_escaped() {
        let schema = json!({"type": "object", "example": {"username": "a&b", "password": "two words"}});
        let body = json!({"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}});
        let text = command("POST", "/token", None, &Value::Null, &operation(body));
        assert!(text.ends_with("<<'END'\npassword=two%20words&username=a%26b\nEND"), "{text}");
    }

    #[test]
    fn a_schema_that_holds_itself_has_an_example() {
        let components = json!({"schemas": {"Tree": {
            "type": "object", "required": ["child"], "properties": {"child": {"$ref": "#/components/schemas/Tree"}},
        }}});
        assert!(example(&components, &json!({"$ref": "#/components/schemas/Tree"}), 0).is_object());
    }
}
