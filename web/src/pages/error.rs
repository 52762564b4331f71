//! Problems as pages: what a browser gets instead of problem+json.

use askama::Template;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::app::App;
use crate::auth::identity::{Identity, identify};
use crate::error::{Error, Problem};
use crate::pages::filter::escape;
use crate::pages::{Section, Who, assets, page};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    who: Option<Who>,
    status: u16,
    detail: &'a str,
    /// What to do next.
    next: &'static str,
    /// Where to sign in, for who is signed in no longer.
    sign_in: Option<String>,
}

/// What a person can do about it.
fn next(problem: &Problem) -> &'static str {
    match problem.status {
        StatusCode::FORBIDDEN
            if [Error::FormToken, Error::CrossSite].map(|e| e.to_string()).contains(&problem.detail) =>
        {
            "Nothing was changed. Open the page of the form again, and send it from there."
        }
        StatusCode::UNAUTHORIZED => "Nothing was changed. Sign in again, and send the form once more.",
        StatusCode::FORBIDDEN => {
            "It needs another role, or another way to sign in. A superadmin can give you the role."
        }
        StatusCode::NOT_FOUND => "The address may be mistyped, or what it named was removed.",
        StatusCode::METHOD_NOT_ALLOWED => "Go back, and use the links and buttons of the page.",
        StatusCode::TOO_MANY_REQUESTS => "Wait, then go back and try once more.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "Try again in some seconds. Servers are watched meanwhile, and the page About says what is wrong."
        }
        status if status.is_server_error() => {
            "This is a fault of the monitor, not yours. Its log says what happened; servers are watched all the same."
        }
        _ => "Go back, and try again with another input.",
    }
}

/// Who may want a page instead of a problem.
pub(crate) struct Browser {
    /// Of who wants HTML.
    headers: Option<HeaderMap>,
    is_visit: bool,
    uri: Uri,
}

impl Browser {
    /// The sender of a request; a browser if it asks for HTML.
    pub(crate) fn of(request: &Request) -> Self {
        let accept = request.headers().get_all(header::ACCEPT);
        let wants_html = accept.iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"));
        Self {
            headers: wants_html.then(|| request.headers().clone()),
            is_visit: request.method() == Method::GET,
            uri: request.uri().clone(),
        }
    }

    /// The answer, with its problem turned into a page, or a redirect to where the browser can solve it. Only for
    /// clients that ask for HTML; the status and the other headers stay.
    pub(crate) async fn shown(&self, app: &App, mut response: Response) -> Response {
        let Some(headers) = &self.headers else { return response };
        let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
        if let Some(page) = problem.solved_at {
            return Redirect::to(page).into_response();
        }
        if problem.status == StatusCode::UNAUTHORIZED && self.is_visit {
            let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
            return Redirect::to(&sign_in_at(target)).into_response();
        }
        let identity = match response.extensions_mut().remove::<Identity>() {
            Some(identity) => Some(identity),
            // Nobody was asked who this is.
            None if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&problem.status) => {
                identify(app, headers).await.ok()
            }
            None => None,
        };
        let who = identity.map(|identity| Who::on(Section::Elsewhere, &identity));
        let (status, detail) = (problem.status.as_u16(), &problem.detail);
        // Back to the page of the form.
        let sign_in = (problem.status == StatusCode::UNAUTHORIZED).then(|| sign_in_at(&referrer(headers)));
        match page(problem.status, &ErrorPage { who, status, detail, next: next(&problem), sign_in }) {
            Ok(mut shown) => {
                for name in [header::ALLOW, header::RETRY_AFTER] {
                    if let Some(value) = response.headers_mut().remove(&name) {
                        shown.headers_mut().insert(name, value);
                    }
                }
                shown
            }
            Err(_) => response,
        }
    }
}

/// The sign-in that leads to a page of ours.
fn sign_in_at(target: &str) -> String {
    format!("/login?next={}", escape(target))
}

/// The page of ours that the browser came from.
fn referrer(headers: &HeaderMap) -> String {
    let referrer = headers.get(header::REFERER).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    // What is not of this site, the sign-in refuses to go to; of another one a path alone is harmless.
    referrer.and_then(|uri| Some(uri.path_and_query()?.to_string())).unwrap_or_else(|| "/".to_owned())
}
