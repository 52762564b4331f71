//! One change of many servers by the browser: `POST /servers/bulk` first counts, then, once that was confirmed, changes.

use std::collections::HashSet;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};
use mect_fleet::{FlagsPatch, Period, ServerId, ServerPatch, Tag, Timestamp};

use crate::app::Shared;
use crate::audit::Changes;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::pages::filter::FleetQuery;
use crate::pages::{Section, Who, assets, format, local, page};
use crate::rest::v1::servers::bulk::Plan;

/// Servers that the question names.
const NAMED: usize = 20;

/// What can be done to many servers at once: the word in the form, and what people choose.
pub(crate) const ACTIONS: [(&str, &str); 14] = [
    ("list", "List for clients"),
    ("unlist", "Take off the list"),
    ("drain", "Drain: new clients go elsewhere"),
    ("undrain", "End draining"),
    ("maintain", "Begin maintenance"),
    ("end-maintenance", "End maintenance"),
    ("gaming", "Mark for gaming"),
    ("no-gaming", "Unmark for gaming"),
    ("streaming", "Mark for streaming"),
    ("no-streaming", "Unmark for streaming"),
    ("paid", "Mark as paid"),
    ("free", "Unmark as paid"),
    ("tag", "Add the tag"),
    ("untag", "Remove the tag"),
];

/// The form, once on the fleet page and once with the question.
#[derive(Default)]
struct Form {
    /// Servers that were chosen one by one.
    ids: HashSet<ServerId>,
    /// All that the fleet page's filter finds are meant, not the chosen ones.
    all_found: bool,
    action: String,
    tag: String,
    /// Address of the fleet page, with its query.
    back: String,
    /// How many servers the question named; not asked yet without it.
    confirmed: Option<usize>,
}

impl Form {
    fn of(fields: Vec<(String, String)>) -> Result<Self, Error> {
        let mut form = Self { back: local("").to_owned(), ..Self::default() };
        for (name, value) in fields {
            match &*name {
                "id" => {
                    let id = value.parse().map_err(|error| Error::Invalid(format!("id: {error}")))?;
                    form.ids.insert(id);
                }
                "scope" => form.all_found = value == "found",
                "action" => form.action = value,
                "tag" => form.tag = value.trim().to_owned(),
                "back" => form.back = local(&value).to_owned(),
                "confirmed" => {
                    let count = value.parse().map_err(|_| Error::Invalid("confirmed: not a number".to_owned()))?;
                    form.confirmed = Some(count);
                }
                _ => {}
            }
        }
        Ok(form)
    }

    /// The filter of the page that the form was on.
    fn query(&self) -> FleetQuery {
        let uri: Uri = self.back.parse().unwrap_or_default();
        Query::try_from_uri(&uri).map(|Query(query)| query).unwrap_or_default()
    }

    /// What is wrong with the tag, where the action needs one.
    fn wrong_tag(&self) -> Option<String> {
        let needs_one = matches!(&*self.action, "tag" | "untag");
        needs_one.then(|| self.tag.parse::<Tag>().err()).flatten().map(|error| error.to_string())
    }

    fn patch(&self, now: Timestamp) -> Result<ServerPatch, Error> {
        let flags = |flags: FlagsPatch| ServerPatch { flags, ..ServerPatch::default() };
        let none = FlagsPatch::default();
        let period = Some(Period { since: now, until: None });
        let tag = || -> Result<_, Error> {
            let tag: Tag = self.tag.parse().map_err(|error| Error::Invalid(format!("tag: {error}")))?;
            Ok([tag].into())
        };
        Ok(match &*self.action {
            "list" => flags(FlagsPatch { enabled: Some(true), ..none }),
            "unlist" => flags(FlagsPatch { enabled: Some(false), ..none }),
            "gaming" => flags(FlagsPatch { gaming: Some(true), ..none }),
            "no-gaming" => flags(FlagsPatch { gaming: Some(false), ..none }),
            "streaming" => flags(FlagsPatch { streaming: Some(true), ..none }),
            "no-streaming" => flags(FlagsPatch { streaming: Some(false), ..none }),
            "paid" => flags(FlagsPatch { paid: Some(true), ..none }),
            "free" => flags(FlagsPatch { paid: Some(false), ..none }),
            "drain" => ServerPatch { draining: Some(period), ..ServerPatch::default() },
            "undrain" => ServerPatch { draining: Some(None), ..ServerPatch::default() },
            "maintain" => ServerPatch { maintenance: Some(period), ..ServerPatch::default() },
            "end-maintenance" => ServerPatch { maintenance: Some(None), ..ServerPatch::default() },
            "tag" => ServerPatch { added_tags: tag()?, ..ServerPatch::default() },
            "untag" => ServerPatch { removed_tags: tag()?, ..ServerPatch::default() },
            _ => return Err(Error::Invalid("Choose what to do".to_owned())),
        })
    }

    /// What is to be done, in words.
    fn sentence(&self) -> String {
        let label = self.label();
        if self.action.ends_with("tag") { format!("{label} {}", self.tag) } else { label.to_owned() }
    }

    fn label(&self) -> &'static str {
        ACTIONS.iter().find(|(name, _)| *name == self.action).map_or("", |(_, label)| label)
    }
}

/// Asks for the tag once more.
#[derive(Template)]
#[template(path = "bulk_tag.html")]
struct TagPage {
    who: Option<Who>,
    sentence: &'static str,
    action: String,
    back: String,
    all_found: bool,
    ids: Vec<ServerId>,
    tag: Field,
}

impl TagPage {
    fn of(form: Form, problem: String, identity: &Identity) -> Self {
        let sentence = form.label();
        let mut ids: Vec<_> = form.ids.into_iter().collect();
        ids.sort_unstable();
        Self {
            who: Some(Who::on(Section::Fleet, identity)),
            sentence,
            tag: Field { value: form.tag, ..Field::new("tag", "Tag") }.required().wrong(problem),
            action: form.action,
            back: form.back,
            all_found: form.all_found,
            ids,
        }
    }
}

/// The question before the change.
#[derive(Template)]
#[template(path = "bulk.html")]
struct Question {
    who: Option<Who>,
    sentence: String,
    action: String,
    tag: String,
    back: String,
    all_found: bool,
    ids: Vec<String>,
    matched: usize,
    matched_text: String,
    changes_text: String,
    nothing: bool,
    names: Vec<String>,
    more: String,
}

/// `POST /servers/bulk`.
pub(crate) async fn change(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(fields): FormBody<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let form = Form::of(fields)?;
    if form.ids.is_empty() && !form.all_found {
        return Err(Error::Invalid("Choose servers first: tick them in the table".to_owned()));
    }
    if let Some(problem) = form.wrong_tag() {
        return page(StatusCode::UNPROCESSABLE_ENTITY, &TagPage::of(form, problem, &identity));
    }
    let now = Timestamp::now();
    let patch = form.patch(now)?;
    let plan = if form.all_found {
        let query = form.query();
        let found: HashSet<ServerId> = query.admitted(&app.fleet.view()).iter().map(|view| view.server.id).collect();
        Plan::of(&app, patch, move |view| found.contains(&view.server.id)).await?
    } else {
        let ids = form.ids.clone();
        Plan::of(&app, patch, move |view| ids.contains(&view.server.id)).await?
    };
    let Some(confirmed) = form.confirmed else {
        let question = page(StatusCode::OK, &Question::of(&app, &form, &plan, &identity))?;
        // Nothing to be told: it was only counted.
        return Ok((Extension(Changes(Vec::new())), question).into_response());
    };
    plan.check(Some(confirmed), true)?;
    let (told, changed) = plan.carry_out(&app, now).await;
    let joint = if form.back.contains('?') { '&' } else { '?' };
    let done = changed.map(|_| Redirect::to(&format!("{}{joint}done=bulk", form.back)));
    Ok((Extension(told), done).into_response())
}

impl Question {
    fn of(app: &Shared, form: &Form, plan: &Plan, identity: &Identity) -> Self {
        let view = app.fleet.view();
        let names = plan.matched.iter().filter_map(|(id, _)| Some(view.by_id(*id)?.server.hostname.clone()));
        let (matched, changes) = (plan.matched.len(), plan.changes());
        Self {
            who: Some(Who::on(Section::Fleet, identity)),
            sentence: form.sentence(),
            action: form.action.clone(),
            tag: form.tag.clone(),
            back: form.back.clone(),
            all_found: form.all_found,
            ids: if form.all_found { Vec::new() } else { plan.matched.iter().map(|(id, _)| id.to_string()).collect() },
            matched,
            matched_text: servers(matched),
            changes_text: servers(changes),
            nothing: changes == 0,
            names: names.take(NAMED).collect(),
            more: format::count(matched.saturating_sub(NAMED) as u64),
        }
    }
}

fn servers(count: usize) -> String {
    format!("{} server{}", format::count(count as u64), if count == 1 { "" } else { "s" })
}
