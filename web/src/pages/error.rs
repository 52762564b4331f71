//! Problems as pages: what a browser gets instead of problem+json.

use askama::Template;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode, header};

use crate::error::Problem;
use crate::pages::filter::escape;
use crate::pages::{Who, assets, page};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    who: Option<Who>,
    status: u16,
    detail: &'a str,
}

/// Turns the problem of an answer into a page, or a redirect to where the browser can solve it. Only for clients
/// that ask for HTML; the status and the other headers stay.
pub(crate) async fn for_browsers(request: Request, next: Next) -> Response {
    let accept = request.headers().get_all(header::ACCEPT);
    let wants_html = accept.iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"));
    let is_visit = request.method() == Method::GET;
    let target = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>().filter(|_| wants_html) else { return response };
    if problem.must_change_password {
        return Redirect::to("/password").into_response();
    }
    if problem.status == StatusCode::UNAUTHORIZED && is_visit {
        return Redirect::to(&format!("/login?next={}", escape(&target))).into_response();
    }
    let template = ErrorPage { who: None, status: problem.status.as_u16(), detail: &problem.detail };
    match page(problem.status, &template) {
        Ok(mut shown) => {
            if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
                shown.headers_mut().insert(header::ALLOW, allow);
            }
            shown
        }
        Err(_) => response,
    }
}
