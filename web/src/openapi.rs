//! REST as an OpenAPI 3.1 document.
//!
//! The routes describe themselves ([`crate::router::routes`]), so that a described one is a served one. What holds for
//! all of them is added here, from the access table and from what an operation takes: who may call it and the errors
//! that the layers around every handler answer with.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use serde_json::{Map, Value};
use utoipa::OpenApi;

use crate::access::{self, Access};
use crate::error::Problem;
use crate::router;

mod answers;
mod curl;
pub(crate) mod readers;

/// What stands above the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mect VPN Monitor",
        description = "A fleet of VPN hosts: which of them clients should use, how they are, and what happened.\n\n\
            Times are RFC 3339 in UTC. Errors are problems (RFC 9457) with a `detail` for a person.\n\n\
            The examples read the address of the collector from `$URL`, and the token from a file that only you can \
            read:\n\n    umask 077; printf 'Authorization: Bearer %s' \"$TOKEN\" > mect.token",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "servers", description = "The fleet: servers, their load and flags"),
        (name = "events", description = "What happened, and what went wrong"),
        (name = "identity", description = "Signing in, accounts and passwords"),
        (name = "machinery", description = "Probes, metrics and this description"),
    )
)]
struct Frame;

/// The methods that a path item may describe.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let (_, described) = router::routes().merge(router::lists()).split_for_parts();
    let mut document = serde_json::to_value(described).expect("texts and numbers are always JSON");
    answers::add_components(&mut document);
    let components = document["components"].clone();
    for (method, path, operation) in operations(&mut document) {
        // The access table may be ahead of the routes in a test only; such an operation stays without.
        if let Some(access) = access::needed(&method, &path) {
            answers::complete(&method, access, operation);
            curl::add(&method, &path, credentials(access), &components, operation);
        }
    }
    document
});

static BODY: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());

/// What routes are described in.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "machinery",
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json"))
)]
pub(crate) async fn json() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], BODY.clone()).into_response()
}

/// This document, at its address among the new routes.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "machinery", operation_id = "json_v1",
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json"))
)]
pub(crate) async fn json_v1() -> Response {
    json().await
}

/// Every operation with its method in capitals and its path.
fn operations(document: &mut Value) -> Vec<(String, String, &mut Map<String, Value>)> {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return Vec::new() };
    let items = paths.iter_mut().filter_map(|(path, item)| Some((path, item.as_object_mut()?)));
    items
        .flat_map(|(path, item)| {
            item.iter_mut()
                .filter(|(method, _)| METHODS.contains(&method.as_str()))
                .filter_map(|(method, operation)| {
                    Some((method.to_uppercase(), path.clone(), operation.as_object_mut()?))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The file with the header that a call needs; see [`curl`].
fn credentials(access: Access) -> Option<&'static str> {
    match access {
        Access::Public => None,
        Access::Agent => Some("agent.key"),
        _ => Some("mect.token"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Pages for people are seen, not called.
    const PAGES: &[&str] =
        &["/", "/server/{ip}/flags", "/login", "/logout", "/password", "/assets/{hash}/{name}", "/docs", "/redoc"];
    /// So are all that begin with one of these.
    const PAGE_ROOTS: &[&str] =
        &["/servers/", "/account", "/admin/", "/incidents", "/events", "/targets", "/about", "/status"];

    fn is_page(path: &str) -> bool {
        PAGES.contains(&path) || PAGE_ROOTS.iter().any(|root| path.starts_with(root))
    }

    #[test]
    fn every_route_is_described() {
        let mut document = DOCUMENT.clone();
        let described: BTreeSet<_> =
            operations(&mut document).into_iter().map(|(method, path, _)| (method, path)).collect();
        let served: BTreeSet<_> = access::rows()
            .filter(|(_, path)| !is_page(path))
            .map(|(method, path)| (method.to_owned(), path.to_owned()))
            .collect();
        let missing: Vec<_> = served.difference(&described).collect();
        assert!(missing.is_empty(), "served, but not described by `#[utoipa::path]` and `routes!`: {missing:?}");
        let unknown: Vec<_> = described.difference(&served).collect();
        assert!(unknown.is_empty(), "described, but not in the access table: {unknown:?}");
    }

    #[test]
    fn operations_have_names_of_their_own_words_and_a_group() {
        let mut document = DOCUMENT.clone();
        let groups: Vec<Value> =
            document["tags"].as_array().unwrap().iter().map(|group| group["name"].clone()).collect();
        let mut names = BTreeSet::new();
        for (method, path, operation) in operations(&mut document) {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert!(names.insert(name), "{method} {path}: the name {} is taken", operation["operationId"]);
            assert!(operation.contains_key("summary"), "{method} {path}: no first line of documentation");
            assert!(groups.contains(&operation["tags"][0]), "{method} {path}: group {}", operation["tags"]);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn visit(document: &Value, value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        let found = document.pointer(reference.strip_prefix('#').unwrap());
                        assert!(found.is_some(), "{reference} leads nowhere");
                    }
                    fields.values().for_each(|value| visit(document, value));
                }
                Value::Array(values) => values.iter().for_each(|value| visit(document, value)),
                _ => {}
            }
        }
        visit(&DOCUMENT, &DOCUMENT);
    }

    #[test]
    fn who_may_call_stands_with_every_operation() {
        let operation = |path: &str, method: &str| DOCUMENT["paths"][path][method].clone();
        assert_eq!(operation("/token", "post")["security"], serde_json::json!([]));
        assert_eq!(operation("/servers", "get")["security"][0], serde_json::json!({"bearer": []}));
        let configure = operation("/server/{ip}/config", "patch");
        assert!(configure["description"].as_str().unwrap().contains("`admin`"), "{configure}");
        for status in ["200", "400", "401", "403", "404", "413", "415", "422", "503"] {
            assert!(configure["responses"].get(status).is_some(), "{status} in {configure}");
        }
    }
}
