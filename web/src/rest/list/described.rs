//! How queries and answers are described in OpenAPI. What takes and makes them is elsewhere.
#![expect(dead_code, reason = "the fields are read by the description alone")]

use mect_fleet::Service;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::rest::lenient::Lenient;
use crate::rest::list::{fields, query};
use crate::rest::server_json::ServerJson;

/// Filters of servers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterParams {
    /// Codes or names of countries, separated by commas; any of them.
    #[param(style = Form, explode = false, max_items = 100)]
    country: Option<Vec<String>>,
    /// Name of a city, in any case.
    city: Option<String>,
    /// Kinds of service, separated by commas; one of them is active.
    #[param(inline, style = Form, explode = false)]
    service: Option<Vec<ServiceCode>>,
    /// Offered for games, or not.
    #[param(value_type = Option<Lenient>)]
    gaming: Option<bool>,
    /// Offered for video streaming, or not.
    #[param(value_type = Option<Lenient>)]
    streaming: Option<bool>,
    /// Reserved for paying clients, or not.
    #[param(value_type = Option<Lenient>)]
    paid: Option<bool>,
    /// Words by which the operator groups servers, separated by commas; any of them.
    #[param(inline, style = Form, explode = false, max_items = 100)]
    tag: Option<Vec<TagWord>>,
}

/// Query of `GET /servers`. Parameters that mean nothing here are left alone.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Also those that are down, pending or disabled.
    #[param(value_type = Option<Lenient>)]
    all_servers: Option<bool>,
    /// Order, best first by default, by host name with `all_servers`; descending after a `-`.
    #[param(inline)]
    sort: Option<SortName>,
    /// These fields of each server alone, separated by commas.
    #[param(inline, style = Form, explode = false)]
    fields: Option<Vec<FieldName>>,
    /// So many servers at most.
    #[param(minimum = 1, maximum = 1_000_000)]
    limit: Option<u32>,
}

/// Query of `GET /api/v1/recommendations`, beside the filters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecommendationParams {
    /// Where the client is, in degrees north; with `lon` or not at all.
    #[param(minimum = -90, maximum = 90)]
    lat: Option<f64>,
    /// Where the client is, in degrees east; with `lat` or not at all.
    #[param(minimum = -180, maximum = 180)]
    lon: Option<f64>,
    /// Ids or addresses of servers that the client does not want again, separated by commas.
    #[param(style = Form, explode = false, max_items = 100)]
    exclude: Option<Vec<String>>,
    /// So many servers at most; 10 unless said otherwise.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Any text that is always the same for a client and another one for every other. Without it the user's name and
    /// the client's address.
    #[param(max_length = 1000)]
    seed: Option<String>,
}

/// A text that is one of some words.
fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
}

/// What `service` takes.
struct ServiceCode;

impl PartialSchema for ServiceCode {
    fn schema() -> RefOr<Schema> {
        words(Service::ALL.map(Service::code))
    }
}

impl ToSchema for ServiceCode {}

/// What `tag` takes.
struct TagWord;

impl PartialSchema for TagWord {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[a-z0-9][a-z0-9._:-]{0,31}$")).into()
    }
}

impl ToSchema for TagWord {}

/// What `sort` takes.
struct SortName;

impl PartialSchema for SortName {
    fn schema() -> RefOr<Schema> {
        let names: Vec<_> = query::sort_names().flat_map(|name| [name.to_owned(), format!("-{name}")]).collect();
        words(names.iter().map(String::as_str))
    }
}

impl ToSchema for SortName {}

/// What `fields` takes.
struct FieldName;

impl PartialSchema for FieldName {
    fn schema() -> RefOr<Schema> {
        words(fields::NAMES)
    }
}

impl ToSchema for FieldName {}

/// What `GET /servers` answers: whole servers, or with `fields` parts of them.
pub(crate) struct ListedServers;

impl PartialSchema for ListedServers {
    fn schema() -> RefOr<Schema> {
        let part = ObjectBuilder::new().schema_type(Type::Object).description(Some("The fields that were asked for"));
        let whole = Ref::from_schema_name(ServerJson::name());
        ArrayBuilder::new().items(AnyOfBuilder::new().item(whole).item(part)).into()
    }
}

impl ToSchema for ListedServers {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ServerJson::name().into_owned(), ServerJson::schema()));
        ServerJson::schemas(schemas);
    }
}
