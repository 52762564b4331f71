//! Who may call what: one table. A route that it does not name cannot be called at all.

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use mect_fleet::{Role, Scope};

use crate::app::{App, Shared};
use crate::audit::{self, Change, Changes};
use crate::auth::agents;
use crate::auth::identity::{Identity, identify};
use crate::client::ClientAddress;
use crate::error::Error;
use crate::router;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Public,
    /// An account, even one whose password must be changed first.
    Account,
    /// The same, by a sign-in of its own: an API token is not enough.
    SignedIn,
    /// A sign-in to an account in good order.
    Personal,
    /// An account in good order with at least this role; for an API token also the scope that goes with the role.
    Needs(Role),
    /// As `Needs`, by a sign-in of its own: an API token is not enough.
    InPerson(Role),
    /// As `Needs(Readonly)`, for an API token with the scope `federate`; unless the operator opened the metrics to
    /// everyone.
    Metrics,
    /// As `Needs(Readonly)`, for an API token with the scope `federate`. Never open: it tells where servers are.
    Federate,
    /// As `Needs(Readonly)`; for an API token the scope `read:list` is enough. If the operator opened the list to
    /// everyone, nothing is needed of those who show no credentials.
    List,
    /// As `Needs(Readonly)`; for an API token the scope `read:list` is enough.
    Clients,
    /// As `Needs(Readonly)`, unless the operator opened the description of REST to everyone.
    Docs,
    /// The agent key, and that the operator lets agents call it at all.
    Agent,
}

impl Access {
    /// The sentence for the description of REST.
    pub(crate) fn sentence(self) -> String {
        let who = match self {
            Public => "Anyone may call this.".to_owned(),
            Account => "Needs an account of any role, even one whose password must be changed first.".to_owned(),
            SignedIn => "Needs an account of any role, even one whose password must be changed first; an API token \
                         is not enough."
                .to_owned(),
            Personal => "Needs an account of any role; an API token is not enough.".to_owned(),
            Needs(role) => format!("Needs the role `{role}` or a higher one."),
            InPerson(role) => format!("Needs the role `{role}` or a higher one; an API token is not enough."),
            Clients | Federate => "Needs the role `readonly`.".to_owned(),
            Metrics => "Needs the role `readonly`, unless `web.open_metrics` lets everyone in.".to_owned(),
            List => "Needs the role `readonly`, unless `web.public_list` lets everyone in: without credentials \
                     loads are rounded to tens, and times to minutes."
                .to_owned(),
            Agent => "Needs the agent key as a bearer token or in `X-API-Key`.".to_owned(),
            Docs => "Needs the role `readonly`, unless `web.open_docs` lets everyone in.".to_owned(),
        };
        self.scope().map_or(who.clone(), |scope| format!("{who} An API token needs the scope `{scope}`."))
    }

    /// The least role in good order; `None` where any account will do, or none is needed.
    fn role(self) -> Option<Role> {
        match self {
            Public | Agent | Account | SignedIn => None,
            Needs(role) | InPerson(role) => Some(role),
            List | Clients | Metrics | Federate | Docs | Personal => Some(Readonly),
        }
    }

    /// What an API token must be good for; `None` where none will do, or any.
    fn scope(self) -> Option<Scope> {
        match self {
            Public | Agent | Account | SignedIn | Personal | InPerson(_) => None,
            Docs | Needs(Readonly) => Some(Scope::ReadFleet),
            Needs(Admin) => Some(Scope::WriteFleet),
            Needs(Superadmin) => Some(Scope::Admin),
            List | Clients => Some(Scope::ReadList),
            Metrics | Federate => Some(Scope::Federate),
        }
    }

    /// What an API token gets that is refused for what it is; `None` for one that may go on.
    fn refuses_token(self, identity: &Identity) -> Option<Error> {
        if matches!(self, SignedIn | Personal | InPerson(_)) && !identity.signed_in() {
            return Some(Error::NeedsSignIn);
        }
        self.scope().filter(|scope| !identity.has_scope(*scope)).map(Error::MissingScope)
    }
}

use Access::{Account, Agent, Clients, Docs, Federate, InPerson, List, Metrics, Needs, Personal, Public, SignedIn};
use Role::{Admin, Readonly, Superadmin};

#[rustfmt::skip]
const TABLE: &[(&str, &str, Access)] = &[
    // Programs
    ("GET",    "/servers",                                List),
    ("GET",    "/servers.sig",                            List),
    ("GET",    "/servers.pub",                            Public),
    ("GET",    "/api/v1/loads",                           Clients),
    ("GET",    "/api/v1/recommendations",                 Clients),
    ("PATCH",  "/server/{ip}/config",                     Needs(Admin)),
    ("POST",   "/token",                                  Public),
    ("GET",    "/users",                                  Needs(Superadmin)),
    ("POST",   "/users",                                  Needs(Superadmin)),
    ("GET",    "/users/me",                               Account),
    ("POST",   "/users/change-password",                  SignedIn),
    ("DELETE", "/users/{username}",                       Needs(Superadmin)),
    ("POST",   "/users/{username}/reset-password",        Needs(Superadmin)),
    // Identity
    ("POST",   "/api/v1/login",                           Public),
    ("POST",   "/api/v1/refresh",                         Public),
    ("POST",   "/api/v1/logout",                          SignedIn),
    ("POST",   "/api/v1/totp",                            SignedIn),
    ("POST",   "/api/v1/totp/confirm",                    SignedIn),
    ("POST",   "/api/v1/totp/remove",                     SignedIn),
    ("GET",    "/api/v1/tokens",                          Personal),
    ("POST",   "/api/v1/tokens",                          Personal),
    ("DELETE", "/api/v1/tokens/{name}",                   Personal),
    ("GET",    "/api/v1/users",                           Needs(Superadmin)),
    ("POST",   "/api/v1/users",                           Needs(Superadmin)),
    ("GET",    "/api/v1/users/{username}",                Needs(Superadmin)),
    ("PATCH",  "/api/v1/users/{username}",                Needs(Superadmin)),
    ("DELETE", "/api/v1/users/{username}",                Needs(Superadmin)),
    ("POST",   "/api/v1/users/{username}/password",       Needs(Superadmin)),
    ("POST",   "/api/v1/users/{username}/sign-out",       Needs(Superadmin)),
    ("DELETE", "/api/v1/users/{username}/totp",           Needs(Superadmin)),
    ("GET",    "/api/v1/users/{username}/tokens",         Needs(Superadmin)),
    ("DELETE", "/api/v1/users/{username}/tokens/{name}",  Needs(Superadmin)),
    ("GET",    "/api/v1/audit",                           Needs(Superadmin)),
    ("POST",   "/heartbeat",                              Agent),
    ("POST",   "/api/v1/enrol",                           Agent),
    ("GET",    "/api/v1/targets",                         Needs(Readonly)),
    ("GET",    "/api/v1/servers",                         Needs(Readonly)),
    ("POST",   "/api/v1/servers",                         Needs(Admin)),
    ("POST",   "/api/v1/servers/bulk",                    Needs(Admin)),
    ("GET",    "/api/v1/servers/{id}",                    Needs(Readonly)),
    ("PATCH",  "/api/v1/servers/{id}",                    Needs(Admin)),
    ("DELETE", "/api/v1/servers/{id}",                    Needs(Admin)),
    ("PUT",    "/api/v1/servers/{id}/intent",             Needs(Admin)),
    ("GET",    "/api/v1/servers/{id}/history",            Needs(Readonly)),
    ("GET",    "/api/v1/servers/{id}/uptime",             Needs(Readonly)),
    ("GET",    "/api/v1/servers/{id}/events",             Needs(Readonly)),
    ("GET",    "/api/v1/events",                          Needs(Readonly)),
    ("GET",    "/api/v1/incidents",                       Needs(Readonly)),
    ("GET",    "/api/v1/stream",                          Needs(Readonly)),
    // People
    ("GET",   "/",                      Needs(Readonly)),
    ("POST",  "/server/{ip}/flags",     Needs(Admin)),
    ("GET",   "/servers/add",           Needs(Admin)),
    ("POST",  "/servers/add",           Needs(Admin)),
    ("POST",  "/servers/add/key",       InPerson(Admin)),
    ("POST",  "/servers/import",        Needs(Admin)),
    ("POST",  "/servers/import/preview",  Needs(Admin)),
    ("GET",   "/servers/waiting",       Needs(Readonly)),
    ("POST",  "/servers/waiting",       Needs(Admin)),
    ("GET",   "/servers/{id}",          Needs(Readonly)),
    ("GET",   "/servers/{id}/edit",     Needs(Admin)),
    ("POST",  "/servers/{id}/edit",     Needs(Admin)),
    ("POST",  "/servers/{id}/intent",   Needs(Admin)),
    ("POST",  "/servers/{id}/delete",   Needs(Admin)),
    ("POST",  "/servers/{id}/scrape",   Needs(Admin)),
    ("GET",   "/servers/{id}/exposition",  Needs(Readonly)),
    ("POST",  "/servers/bulk",          Needs(Admin)),
    ("GET",   "/login",                 Public),
    ("POST",  "/login",                 Public),
    ("POST",  "/logout",                Public),
    ("GET",   "/password",              SignedIn),
    ("POST",  "/password",              SignedIn),
    ("GET",   "/account",                               Personal),
    ("GET",   "/account/codes",                         SignedIn),
    ("POST",  "/account/codes",                         SignedIn),
    ("POST",  "/account/codes/confirm",                 SignedIn),
    ("POST",  "/account/codes/remove",                  SignedIn),
    ("POST",  "/account/sessions/end",                  Personal),
    ("POST",  "/account/sessions/end-others",           Personal),
    ("POST",  "/account/sign-out",                      SignedIn),
    ("POST",  "/account/tokens",                        Personal),
    ("POST",  "/account/tokens/revoke",                 Personal),
    ("GET",   "/incidents",                             Needs(Readonly)),
    ("GET",   "/events",                                Needs(Readonly)),
    ("GET",   "/targets",                               Needs(Readonly)),
    ("GET",   "/about",                                 Needs(Readonly)),
    ("GET",   "/admin/users",                           Needs(Superadmin)),
    ("POST",  "/admin/users",                           Needs(Superadmin)),
    ("GET",   "/admin/users/{username}",                Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/role",           Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/disable",        Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/enable",         Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/password",       Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/sign-out",       Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/remove-codes",   Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/tokens/revoke",  Needs(Superadmin)),
    ("POST",  "/admin/users/{username}/delete",         Needs(Superadmin)),
    ("GET",   "/admin/audit",                           Needs(Superadmin)),
    ("GET",   "/status",                                Public),
    ("GET",   "/assets/{hash}/{name}",  Public),
    // Machinery
    ("GET",   "/healthz",               Public),
    ("GET",   "/readyz",                Public),
    ("GET",   "/metrics",               Metrics),
    ("GET",   "/federate",              Federate),
    ("GET",   "/api/v1/sd/prometheus",  Federate),
    ("GET",   "/probe",                 Federate),
    ("GET",   "/-/healthy",             Public),
    ("GET",   "/-/ready",               Public),
    ("POST",  "/-/reload",              Needs(Admin)),
    ("GET",   "/openapi.json",          Docs),
    ("GET",   "/api/v1/openapi.json",   Docs),
    ("GET",   "/docs",                  Docs),
    ("GET",   "/redoc",                 Docs),
];

/// The least role that may visit a page; `None` for one that needs none, or does not exist.
#[cfg(test)]
pub(crate) fn least_role(path: &str) -> Option<Role> {
    find(&Method::GET, path).ok().and_then(Access::role)
}

/// Every route: method and path.
#[cfg(test)]
pub(crate) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|(method, path, _)| (*method, *path))
}

/// What a caller of that route needs; `None` when there is no such route.
pub(crate) fn needed(method: &str, path: &str) -> Option<Access> {
    TABLE
        .iter()
        .find(|(row_method, row_path, _)| *row_method == method && *row_path == path)
        .map(|(.., access)| *access)
}

/// Lets a request through to its handler if the table allows it, with the [`Identity`] of its sender; and writes into the
/// audit what was changed or refused.
pub(crate) async fn guard(
    State(app): State<Shared>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let access = find(request.method(), path.as_str())?;
    DefaultBodyLimit::max(router::most_body_bytes(path.as_str())).apply(&mut request);
    let changes = changes_something(request.method(), path.as_str());
    if access == Agent {
        agents::check(&app, path.as_str(), request.headers())?;
    }
    if changes && app.fleet.store_state().is_lost() {
        return Err(Error::StoreLost);
    }
    let client = ClientAddress::of(request.extensions(), request.headers(), &app.settings.trusted_proxies);
    let asked = changes.then(|| asked_for(&request));
    let identity = match access {
        Public | Agent => None,
        Metrics if app.settings.open_metrics => None,
        List if app.settings.public_list && !shows_credentials(&app, request.headers()) => None,
        Docs if app.settings.open_docs => None,
        access => {
            let identity = identify(&app, request.headers()).await?;
            if let Err(refusal) = admit(&app, access, &identity) {
                refused(&app, client, identity.name(), &asked_for(&request), &refusal);
                return Ok(shown_to(identity, refusal.into_response()));
            }
            request.extensions_mut().insert(identity.clone());
            if let Some(token) = identity.form_token() {
                let tried = asked_for(&request);
                request = match token.checked(request).await {
                    Ok(request) => request,
                    Err(refusal) => {
                        refused(&app, client, identity.name(), &tried, &refusal);
                        return Ok(shown_to(identity, refusal.into_response()));
                    }
                };
            }
            Some(identity)
        }
    };
    let mut response = next.run(request).await;
    let is_done = response.status().is_success() || response.status().is_redirection();
    let change = response.extensions_mut().remove::<Change>().filter(|_| is_done);
    let refused_to = if is_done { None } else { identity.clone() };
    // Some of them may have been made before the rest failed.
    let several = response.extensions_mut().remove::<Changes>();
    if let Some(asked) = asked {
        // A handler that does not say what it changed is named by its route.
        let unnamed = is_done && change.is_none() && several.is_none() && identity.is_some();
        let unnamed = unnamed.then(|| Change::new("request", asked));
        let done = change.into_iter().chain(several.into_iter().flat_map(|several| several.0)).chain(unnamed);
        let who = identity.map_or_else(String::new, |identity| identity.name());
        app.audit.write_changes(done.collect(), client, &who).await;
    }
    Ok(match refused_to {
        Some(identity) => shown_to(identity, response),
        None => response,
    })
}

/// Method and path, as the audit names them.
fn asked_for(request: &Request) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

/// A refusal that says to whom, for the page that browsers get instead.
fn shown_to(identity: Identity, mut response: Response) -> Response {
    response.extensions_mut().insert(identity);
    response
}

/// Whether an account in this state may do it.
fn admit(app: &App, access: Access, identity: &Identity) -> Result<(), Error> {
    if let Some(role) = access.role() {
        if identity.user().must_change_password {
            return Err(Error::MustChangePassword);
        }
        if app.settings.misses_codes(identity.user()) {
            return Err(Error::MustSetUpCodes);
        }
        if !identity.may(role) {
            return Err(Error::Forbidden);
        }
    }
    access.refuses_token(identity).map_or(Ok(()), Err)
}

fn refused(app: &App, client: ClientAddress, who: String, asked: &str, refusal: &Error) {
    let mut entry = audit::entry(client, audit::REFUSED, asked);
    (entry.who, entry.detail) = (who, refusal.to_string());
    app.audit.note(entry);
}

/// True as long as who sent these headers may read that route: for answers that take long. An outage of the store changes
/// nothing.
pub(crate) async fn still_admits(app: &App, path: &str, headers: &HeaderMap) -> bool {
    let Ok(access) = find(&Method::GET, path) else { return false };
    match identify(app, headers).await {
        Ok(identity) => admit(app, access, &identity).is_ok(),
        Err(error) => error.is_outage(),
    }
}

/// Posts that change nothing in the store, or can be done without it: whoever signs out has a browser that forgets its
/// cookie, and a scrape is recorded as every other is.
const WITHOUT_STORE: [&str; 4] = ["/logout", "/heartbeat", "/servers/import/preview", "/servers/{id}/scrape"];

/// True for what cannot be done without the store.
fn changes_something(method: &Method, path: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD) && !WITHOUT_STORE.contains(&path)
}

/// A token that is void must not pass for none: its holder would never learn of it.
fn shows_credentials(app: &App, headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || app.cookies.digest(headers).is_some()
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
mod tests;
