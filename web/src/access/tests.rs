//! The whole matrix: every route by every method, as every kind of caller, asked of the router itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::StatusCode;
use http_body_util::BodyExt;
use mect_fleet::collecting::{Collecting, Heartbeats};
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Registration, Result as StoreResult, Store};
use mect_fleet::{ApiToken, Fleet, Neighbours, Reading, ServerId, Timestamp, User};
use tower::ServiceExt;

use super::*;
use crate::auth::api_token;
use crate::{Enrolment, Parts, Secret, Settings, router};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ROLES: [Role; 3] = [Readonly, Admin, Superadmin];

/// Who asks.
#[derive(Clone, Copy)]
enum Caller {
    Nobody,
    SignedIn(Role),
    ByToken(Role, Scope),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::SignedIn(role) => write!(f, "{role}"),
            Self::ByToken(role, scope) => write!(f, "{role} by a token for {scope}"),
        }
    }
}

fn callers() -> Vec<Caller> {
    let mut callers = vec![Caller::Nobody];
    for role in ROLES {
        callers.push(Caller::SignedIn(role));
        callers.extend(Scope::ALL.map(|scope| Caller::ByToken(role, scope)));
    }
    callers
}

/// What the words of [`Access`] mean, spelled out once more.
fn expected(access: Access, caller: Caller) -> Result<(), StatusCode> {
    use Scope::{Admin as All, Federate, ReadFleet, ReadList, WriteFleet};
    let (least, scopes): (Role, &[Scope]) = match access {
        Public => return Ok(()),
        // Whoever signed in, the agent key is something else.
        Agent => return Err(StatusCode::UNAUTHORIZED),
        Account => (Readonly, &Scope::ALL),
        SignedIn | Personal => (Readonly, &[]),
        InPerson(role) => (role, &[]),
        Needs(Readonly) | Docs => (Readonly, &[ReadFleet, WriteFleet, All]),
        Needs(Role::Admin) => (Role::Admin, &[WriteFleet, All]),
        Needs(Superadmin) => (Superadmin, &[All]),
        List | Clients => (Readonly, &[ReadList, ReadFleet, WriteFleet, All]),
        Metrics | Access::Federate => (Readonly, &[Federate, All]),
    };
    let is_allowed = match caller {
        Caller::Nobody => return Err(StatusCode::UNAUTHORIZED),
        Caller::SignedIn(role) => role >= least,
        Caller::ByToken(role, scope) => role >= least && scopes.contains(&scope),
    };
    if is_allowed { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
}

/// Heartbeats that no caller here gets to send.
struct NobodyHears;

#[async_trait::async_trait]
impl Heartbeats for NobodyHears {
    async fn take(&self, _: Registration, _: Reading, _: Timestamp) -> StoreResult<ServerId> {
        unreachable!("without the key")
    }
}

struct Site {
    parts: Parts,
    router: Router,
    unguarded: Router,
    tokens: crate::auth::token::Tokens,
    users: BTreeMap<Role, User>,
    by_token: BTreeMap<(Role, Scope), Secret>,
    _data: tempfile::TempDir,
}

async fn site() -> Site {
    let data = tempfile::tempdir().unwrap();
    let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
    let (mut users, mut by_token, now) = (BTreeMap::new(), BTreeMap::new(), Timestamp::now());
    for role in ROLES {
        let user = User::new(format!("the-{role}"), "no hash".into(), role, now);
        store.accounts.create_user(user.clone()).await.unwrap();
        for scope in Scope::ALL {
            let (secret, digest) = api_token::draw().unwrap();
            let token = ApiToken {
                digest,
                username: user.username.clone(),
                name: scope.name().replace(':', "-"),
                scopes: [scope].into(),
                created_at: now,
                expires_at: None,
                last_used_at: Some(now),
            };
            store.accounts.create_token(token).await.unwrap();
            by_token.insert((role, scope), secret);
        }
        users.insert(role, user);
    }
    let mut settings = Settings::new(Secret::new("0123456789abcdef0123456789abcdef")).unwrap();
    // Where agents may not call at all, nobody is asked for their key.
    settings.agent_key.set(Some(Secret::new("the key of agents")));
    settings.enrolment = Enrolment::On { needs_approval: true, insecure_credentials: false };
    let parts = Parts {
        fleet: Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap()),
        accounts: store.accounts.clone(),
        history: store.history.clone(),
        journal: store.journal.clone(),
        neighbours: Neighbours::default(),
        collecting: Collecting { heartbeats: Some(Arc::new(NobodyHears)), ..Collecting::default() },
        registry: Arc::default(),
        settings: settings.clone(),
    };
    let (routes, _) = router::routes().merge(router::lists()).split_for_parts();
    Site {
        unguarded: routes.with_state(Arc::new(App::new(parts.clone()))),
        router: router::router(parts.clone()),
        parts,
        tokens: crate::auth::token::Tokens::new(&settings.token_keys()),
        users,
        by_token,
        _data: data,
    }
}

impl Site {
    /// A fresh token for every request: some requests make theirs void.
    async fn bearer(&self, caller: Caller) -> Option<String> {
        match caller {
            Caller::Nobody => None,
            Caller::SignedIn(role) => {
                // As the user is now: some requests end all its sign-ins.
                let user = self.parts.accounts.user(&self.users[&role].username).await.unwrap().unwrap();
                Some(self.tokens.issue(&user, None, Duration::from_secs(600), Timestamp::now()).unwrap())
            }
            Caller::ByToken(role, scope) => Some(self.by_token[&(role, scope)].expose().to_owned()),
        }
    }

    async fn ask(&self, router: &Router, method: &str, path: &str, caller: Caller) -> Response {
        let mut request = Request::builder().method(method).uri(concrete(path));
        if let Some(bearer) = self.bearer(caller).await {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }
}

/// A path of that form; what it names does not exist.
fn concrete(path: &str) -> String {
    let mut path = path.to_owned();
    for (variable, value) in [
        ("{ip}", "203.0.113.250"),
        ("{id}", "srv-ffffffff"),
        ("{username}", "nobody"),
        ("{name}", "nothing"),
        ("{hash}", "0"),
    ] {
        path = path.replace(variable, value);
    }
    assert!(!path.contains('{'), "{path}: name a value for its variable here");
    path
}

#[tokio::test]
async fn every_caller_gets_what_the_table_says_and_nothing_else() {
    let site = site().await;
    for (method, path, access) in TABLE {
        for caller in callers() {
            let response = site.ask(&site.router, method, path, caller).await;
            let status = response.status();
            let what = format!("{method} {path} as {caller}: {status}");
            match expected(*access, caller) {
                Err(refused) => assert_eq!(status, refused, "{what}"),
                Ok(()) => {
                    let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED];
                    assert!(!refusals.contains(&status) && !status.is_server_error(), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn table_and_router_know_the_same_methods_of_every_path() {
    let site = site().await;
    let mut table: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (method, path, _) in TABLE {
        assert!(table.entry(path).or_default().insert(method), "{method} {path} stands there twice");
    }
    for (path, named) in table {
        for method in METHODS {
            let served = site.ask(&site.unguarded, method, path, Caller::Nobody).await.status();
            assert_eq!(served != StatusCode::METHOD_NOT_ALLOWED, named.contains(method), "{method} {path}: {served}");
            if !named.contains(method) {
                for caller in [Caller::Nobody, Caller::SignedIn(Superadmin)] {
                    let response = site.ask(&site.router, method, path, caller).await;
                    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path} as {caller}");
                    let allow = response.headers()[header::ALLOW].to_str().unwrap();
                    assert_eq!(allow.split(", ").collect::<BTreeSet<_>>(), named, "{method} {path}");
                }
            }
        }
    }
}

/// What the router serves and the table does not name.
#[tokio::test]
async fn an_unnamed_route_cannot_be_called() {
    let site = site().await;
    let forgotten = Router::new().route("/forgotten", axum::routing::get(async || "secret"));
    let app = Arc::new(App::new(site.parts.clone()));
    let guarded = forgotten.route_layer(axum::middleware::from_fn_with_state(app, guard));
    let response = site.ask(&guarded, "GET", "/forgotten", Caller::SignedIn(Superadmin)).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.windows(6).any(|window| window == b"secret"));
}

#[test]
fn what_is_not_named_is_refused() {
    assert_eq!(find(&Method::GET, "/users/me").unwrap(), Account);
    assert_eq!(find(&Method::HEAD, "/servers").unwrap(), List);
    assert!(matches!(find(&Method::GET, "/userz"), Err(Error::NotFound)));
    let Err(Error::MethodNotAllowed { allow }) = find(&Method::DELETE, "/login") else { panic!("allowed") };
    assert_eq!(allow, "GET, POST");
}
