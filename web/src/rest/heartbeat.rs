//! `POST /heartbeat`: what agents of the old system report of their own server.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use mect_fleet::store::{Registration, StoreError};
use mect_fleet::{Place, Reading, Service, ServiceReading, Timestamp, country, is_nobody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::Shared;
use crate::error::Error;
use crate::extract::JsonBody;
use crate::rest::v1::text;

/// Services of one host; the old agent knew four.
const MAX_SERVICES: usize = 64;

/// What an agent says. What it does not know it leaves out; what we do not know of it is left aside.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Heartbeat {
    /// Address of the server.
    #[schema(value_type = String, example = "192.0.2.1")]
    ip: IpAddr,
    #[serde(rename = "countryCode")]
    country_code: Option<String>,
    country: Option<String>,
    region: Option<String>,
    city: Option<String>,
    hostname: Option<String>,
    services: Option<Vec<PushedService>>,
    load: Option<PushedLoad>,
}

/// A service and whether it runs.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PushedService {
    /// `wg`, `ov`, `sq` or `vr`; others are left aside.
    name: String,
    active: bool,
}

/// In percent.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PushedLoad {
    cpu: Option<f64>,
    ram: Option<f64>,
    net: Option<f64>,
}

/// What a heartbeat is answered with.
#[derive(Serialize, ToSchema)]
pub(crate) struct Taken {
    /// Always `ok`.
    status: &'static str,
    /// Identity of the server.
    server_id: String,
}

/// Takes a heartbeat of an agent of the old system. The server is created by its first one.
#[utoipa::path(
    post, path = "/heartbeat", tag = "servers", operation_id = "push_heartbeat", request_body = Heartbeat,
    responses(
        (status = 200, description = "The heartbeat is recorded", body = Taken),
        (status = 401, description = "No agent key, or a wrong one"),
        (status = 404, description = "Agents may not report, see `web.legacy_push`"),
    )
)]
pub(crate) async fn take(
    State(app): State<Shared>,
    JsonBody(heartbeat): JsonBody<Heartbeat>,
) -> Result<Json<Taken>, Error> {
    let heartbeats = app.collecting.heartbeats.as_ref().ok_or(Error::NotFound)?;
    if is_nobody(heartbeat.ip) {
        return Err(Error::Invalid("ip: must be the address of one host that can be reached".to_owned()));
    }
    let reading = heartbeat.reading()?;
    let taken = heartbeats.take(heartbeat.registration()?, reading, Timestamp::now()).await;
    let server = taken.map_err(|error| match error {
        StoreError::Conflict(problem) => Error::Conflict(problem),
        error => error.into(),
    })?;
    Ok(Json(Taken { status: "ok", server_id: server.to_string() }))
}

impl Heartbeat {
    fn registration(self) -> Result<Registration, Error> {
        let line = |field, said: Option<String>, most| text::line(field, &said.unwrap_or_default(), most);
        // The old agents looked themselves up on the web, which said `XX` or `Unknown` where it did not know.
        let code = self.country_code.unwrap_or_default().to_ascii_uppercase();
        let is_known = country::name(&code).is_some();
        let country = line("country", self.country, text::NAME_CHARS)?;
        Ok(Registration {
            ip: self.ip.to_canonical().to_string(),
            hostname: line("hostname", self.hostname, text::HOSTNAME_CHARS)?,
            place: Place {
                country: if is_known || country::code(&country).is_some() { country } else { String::new() },
                country_code: if is_known { code } else { String::new() },
                region: line("region", self.region, text::NAME_CHARS)?,
                city: line("city", self.city, text::NAME_CHARS)?,
                coordinates: None,
            },
            pushed: true,
            ..Registration::default()
        })
    }

    fn reading(&self) -> Result<Reading, Error> {
        let load = self.load.as_ref();
        let services = self.services.as_deref().unwrap_or_default();
        if services.len() > MAX_SERVICES {
            return Err(Error::Invalid(format!("services: more than {MAX_SERVICES}")));
        }
        let services = services.iter().filter_map(|told| {
            let service: Service = told.name.parse().ok()?;
            Some(ServiceReading { service, unit: service.code().into(), active: told.active, rung: None })
        });
        Ok(Reading {
            cpu: load.and_then(|load| ratio(load.cpu)),
            ram: load.and_then(|load| ratio(load.ram)),
            net: load.and_then(|load| ratio(load.net)),
            services: services.collect(),
            ..Reading::default()
        })
    }
}

fn ratio(percent: Option<f64>) -> Option<f32> {
    percent.map(|percent| (percent / 100.0).clamp(0.0, 1.0) as f32)
}
