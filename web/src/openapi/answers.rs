//! What holds for every operation: who may call it, and the errors of the layers around its handler.

use serde_json::{Map, Value, json};

use crate::access::Access;

const PROBLEM: &str = "#/components/schemas/Problem";

/// Errors that come from the layers, by status: the name among the document's components, and what they mean.
const ERRORS: [(&str, &str, &str); 10] = [
    ("400", "BadRequest", "The request cannot be read"),
    ("401", "Unauthorized", "No credentials, or none that count"),
    ("403", "Forbidden", "The caller may not do this, must change the password first, or asks from another site"),
    ("413", "TooLarge", "The body is larger than 64 KiB"),
    ("415", "MediaType", "The body is of another type than expected"),
    ("422", "Invalid", "A field or parameter is unknown or has a value that is not allowed; the detail names it"),
    ("429", "TooMany", "Too many attempts; `Retry-After` says when to come back"),
    ("431", "HeadTooLong", "The head of the request, its address included, is longer than 8 KiB"),
    ("500", "Internal", "A fault of this program; its log says more"),
    ("503", "Unavailable", "Something that the answer needs is busy or away; `Retry-After` says when to come back"),
];

/// Adds the errors and the ways to sign in that operations refer to.
pub(super) fn add_components(document: &mut Value) {
    let problem = json!({"application/problem+json": {"schema": {"$ref": PROBLEM}}});
    for (status, name, description) in ERRORS {
        let mut answer = json!({"description": description, "content": problem});
        let text = json!({"schema": {"type": "string"}});
        match status {
            "401" => answer["headers"] = json!({"WWW-Authenticate": text}),
            // Answered before the request is anybody's: without a body.
            "431" => answer["content"] = Value::Null,
            "429" | "503" => answer["headers"] = json!({"Retry-After": text}),
            _ => {}
        }
        if answer["content"].is_null() {
            answer = json!({ "description": description });
        }
        document["components"]["responses"][name] = answer;
    }
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "A token from `POST /token` or `POST /api/v1/login`, or an API token that was made for a program",
        },
        "agent": {
            "type": "apiKey", "in": "header", "name": "X-API-Key",
            "description": "The key that agents and exporters share with the collector",
        },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "mect_session",
            "description": "The session of a browser that signed in; `__Host-mect_session` over TLS",
        },
    });
}

/// Adds to an operation what its access and its parts bring with them. What the handler described itself stays.
pub(super) fn complete(method: &str, access: Access, operation: &mut Map<String, Value>) {
    let mut statuses = vec!["431", "500", "503"];
    if access != Access::Public {
        statuses.extend(["401", "403"]);
    }
    if method != "GET" {
        // The cross-site check.
        statuses.push("403");
    }
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        statuses.push(if parameter["in"] == "path" { "400" } else { "422" });
    }
    if operation.contains_key("requestBody") {
        statuses.extend(["400", "413", "415", "422"]);
    }
    if let Some(answers) = operation.entry("responses").or_insert_with(|| json!({})).as_object_mut() {
        for (status, name, _) in ERRORS.iter().filter(|(status, ..)| statuses.contains(status)) {
            let answer = json!({"$ref": format!("#/components/responses/{name}")});
            answers.entry(*status).or_insert(answer);
        }
        // Whoever describes an error of its own leaves the body to us: it is always the same.
        for (status, own) in answers.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
            if status == "401" && own.get("$ref").is_none() && own.get("headers").is_none() {
                own["headers"] = json!({"WWW-Authenticate": {"schema": {"type": "string"}}});
            }
            if own.get("$ref").is_none() && own.get("content").is_none() {
                own["content"] = json!({"application/problem+json": {"schema": {"$ref": PROBLEM}}});
            }
        }
    }
    let security = match access {
        Access::Public => json!([]),
        Access::Agent => json!([{"agent": []}, {"bearer": []}]),
        _ => json!([{"bearer": []}, {"session": []}]),
    };
    operation.insert("security".to_owned(), security);
    describe(access, operation);
}

/// Says who may call.
fn describe(access: Access, operation: &mut Map<String, Value>) {
    let mut description = operation.get("description").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    if !description.is_empty() {
        description.push_str("\n\n");
    }
    description.push_str(&access.sentence());
    operation.insert("description".to_owned(), description.into());
}
