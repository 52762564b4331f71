//! Pages that show the description to people: Swagger UI and ReDoc, from files of our own.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::error::Error;
use crate::pages::{assets, page};

/// Both build their looks in the page, from inline styles and `data:` images and fonts, and ReDoc searches in a worker that it
/// makes itself. Neither evaluates text as code, and nothing comes from or goes to another host.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

#[derive(Template)]
#[template(path = "reader.html")]
struct Reader {
    /// A module that the script of the page loads.
    bundle: Option<&'static str>,
    styles: &'static [&'static str],
    scripts: &'static [&'static str],
}

/// `GET /docs`: Swagger UI, which can also call what it shows.
pub(crate) async fn swagger() -> Result<Response, Error> {
    show(&Reader { bundle: None, styles: &["swagger-ui.css"], scripts: &["swagger-ui-bundle.js", "swagger.js"] })
}

/// `GET /redoc`: ReDoc, for reading.
pub(crate) async fn redoc() -> Result<Response, Error> {
    show(&Reader { bundle: Some("redoc.standalone.js"), styles: &[], scripts: &["redoc.js"] })
}

fn show(reader: &Reader) -> Result<Response, Error> {
    let mut response = page(StatusCode::OK, reader)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    Ok(response)
}
