//! Users, for who manages them: `GET /admin/users`, and adding one.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use mect_fleet::{Role, Timestamp, User};
use serde::Deserialize;

use crate::app::App;
use crate::app::Shared;
use crate::auth::first_admin;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::choice::Choice;
use crate::pages::field::Field;
use crate::pages::filter::escape;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, again, assets, page};
use crate::patience;
use crate::rest::v1::users::{New, add, created};

pub(crate) mod one;

/// Rows of a page.
const PAGE_ROWS: usize = 100;

/// What was done before the page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Deleted,
}

impl Done {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Deleted => "The user is deleted, with every session and token.",
        }
    }
}

/// Query of the page.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct UsersQuery {
    /// Only users whose names come after this one.
    after: String,
    done: Option<Done>,
}

/// A user as a row.
struct Row {
    username: String,
    link: String,
    is_you: bool,
    role: &'static str,
    disabled: bool,
    must_change_password: bool,
    has_codes: bool,
    created: Moment,
}

/// A password that was just drawn.
pub(crate) struct Drawn {
    pub(crate) username: String,
    /// Shown this once.
    pub(crate) password: String,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    who: Option<Who>,
    done: Option<&'static str>,
    drawn: Option<Drawn>,
    rows: Vec<Row>,
    first: Option<&'static str>,
    next: Option<String>,
    form: (Field, Choice),
}

impl UsersPage {
    async fn new(app: &App, identity: &Identity, after: &str) -> Result<Self, Error> {
        let now = Timestamp::now();
        let after = Some(after).filter(|after| !after.is_empty());
        let mut users = patience::long(app.users.accounts().users_after(after, PAGE_ROWS + 1)).await?;
        let has_more = users.len() > PAGE_ROWS;
        users.truncate(PAGE_ROWS);
        let row = |user: &User| Row {
            link: link(&user.username),
            is_you: user.username == identity.user().username,
            role: user.role.name(),
            disabled: user.disabled,
            must_change_password: user.must_change_password,
            has_codes: user.asks_for_code(),
            created: Moment::new(user.created_at, now),
            username: user.username.clone(),
        };
        let last = users.last().filter(|_| has_more);
        Ok(Self {
            who: Some(Who::on(Section::Users, identity)),
            done: None,
            drawn: None,
            first: after.map(|_| "/admin/users"),
            next: last.map(|last| format!("/admin/users?after={}", escape(&last.username))),
            rows: users.iter().map(row).collect(),
            form: form("", Role::Readonly.name()),
        })
    }

    /// The form waits for a correction.
    fn is_open(&self) -> bool {
        self.form.0.problem.is_some() || self.form.1.problem.is_some()
    }
}

/// The page of a user.
pub(crate) fn link(username: &str) -> String {
    format!("/admin/users/{}", escape(username))
}

/// The roles, with what they may do.
fn roles() -> [(&'static str, &'static str); 3] {
    [
        (Role::Readonly.name(), "readonly: views"),
        (Role::Admin.name(), "admin: also configures servers"),
        (Role::Superadmin.name(), "superadmin: also manages users"),
    ]
}

fn form(username: &str, role: &str) -> (Field, Choice) {
    let name = Field::new("username", "User name").required().hint("Letters from a to z, digits and . _ @ + -");
    (Field { value: username.to_owned(), ..name }, Choice::new("role", "Role", roles(), role))
}

/// `GET /admin/users`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<UsersQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let mut template = UsersPage::new(&app, &identity, &query.after).await?;
    template.done = query.done.map(Done::sentence);
    page(StatusCode::OK, &template)
}

/// A new user.
#[derive(Deserialize)]
pub(crate) struct NewUser {
    username: String,
    role: String,
}

/// `POST /admin/users`: adds a user with a drawn password, which is shown this once and must be changed at the first
/// sign-in.
pub(crate) async fn create(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(new): FormBody<NewUser>,
) -> Result<Response, Error> {
    let username = new.username.trim();
    let (name, choice) = form(username, &new.role);
    let Ok(role) = new.role.parse() else {
        let mut template = UsersPage::new(&app, &identity, "").await?;
        template.form = (name, choice.wrong("Choose a role"));
        return page(StatusCode::UNPROCESSABLE_ENTITY, &template);
    };
    let password = first_admin::draw()?;
    let account = New { username: username.to_owned(), password: password.clone(), role, must_change_password: true };
    match add(&app, account).await.and_then(|added| added.ok_or(Error::Conflict("The name is taken".into()))) {
        Ok(user) => {
            let mut template = UsersPage::new(&app, &identity, "").await?;
            template.drawn = Some(Drawn { username: user.username.clone(), password: password.expose().to_owned() });
            Ok((Extension(created(&user)), page(StatusCode::CREATED, &template)?).into_response())
        }
        Err(error @ (Error::BadUsername(_) | Error::Conflict(_))) => {
            let mut template = UsersPage::new(&app, &identity, "").await?;
            let text = error.to_string();
            template.form = (name.wrong(text.strip_prefix("username: ").unwrap_or(&text)), choice);
            again(error, &template)
        }
        Err(error) => Err(error),
    }
}
