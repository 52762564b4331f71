//! Who may call what: one table. A route that it does not name cannot be called at all.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use mect_fleet::Role;

use crate::app::Shared;
use crate::auth::identity::identify;
use crate::error::Error;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Nothing.
    Public,
    /// An account, even one whose password must be changed first.
    SignedIn,
    /// An account in good order with at least this role.
    Needs(Role),
    /// As `Needs(Readonly)`, unless the operator opened the metrics to everyone.
    Metrics,
}

use Access::{Metrics, Needs, Public, SignedIn};
use Role::{Admin, Readonly};

#[rustfmt::skip]
const TABLE: &[(&str, &str, Access)] = &[
    // Programs
    ("GET",   "/servers",               Needs(Readonly)),
    ("PATCH", "/server/{ip}/config",    Needs(Admin)),
    ("POST",  "/token",                 Public),
    ("GET",   "/users/me",              SignedIn),
    ("POST",  "/users/change-password", SignedIn),
    // People
    ("GET",   "/",                      Needs(Readonly)),
    ("POST",  "/server/{ip}/flags",     Needs(Admin)),
    ("GET",   "/login",                 Public),
    ("POST",  "/login",                 Public),
    ("POST",  "/logout",                Public),
    ("GET",   "/password",              SignedIn),
    ("POST",  "/password",              SignedIn),
    ("GET",   "/assets/{hash}/{name}",  Public),
    // Machinery
    ("GET",   "/healthz",               Public),
    ("GET",   "/readyz",                Public),
    ("GET",   "/metrics",               Metrics),
];

/// Lets a request through to its handler if the table allows it, with the [`Identity`](crate::auth::identity::Identity)
/// of its sender.
pub(crate) async fn guard(
    State(app): State<Shared>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let access = find(request.method(), path.as_str())?;
    let role = match access {
        Public => None,
        Metrics if app.settings.open_metrics => None,
        SignedIn => {
            let identity = identify(&app, request.headers()).await?;
            request.extensions_mut().insert(identity);
            None
        }
        Needs(role) => Some(role),
        Metrics => Some(Readonly),
    };
    if let Some(role) = role {
        let identity = identify(&app, request.headers()).await?;
        if identity.user().must_change_password {
            return Err(Error::MustChangePassword);
        }
        if !identity.may(role) {
            return Err(Error::Forbidden);
        }
        request.extensions_mut().insert(identity);
    }
    Ok(next.run(request).await)
}

fn find(method: &Method, path: &str) -> Result<Access, Error> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut allow = Vec::new();
    for (row_method, row_path, access) in TABLE {
        if *row_path == path {
            if *row_method == method {
                return Ok(*access);
            }
            allow.push(*row_method);
        }
    }
    if allow.is_empty() { Err(Error::NotFound) } else { Err(Error::MethodNotAllowed { allow: allow.join(", ") }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_refused() {
        assert_eq!(find(&Method::GET, "/servers").unwrap(), Needs(Readonly));
        assert_eq!(find(&Method::HEAD, "/servers").unwrap(), Needs(Readonly));
        assert!(matches!(find(&Method::GET, "/users"), Err(Error::NotFound)));
        let Err(Error::MethodNotAllowed { allow }) = find(&Method::DELETE, "/login") else { panic!("allowed") };
        assert_eq!(allow, "GET, POST");
    }
}
