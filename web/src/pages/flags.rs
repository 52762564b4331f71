//! The toggles in the fleet page's rows: `POST /server/{ip}/flags`.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Redirect;
use mect_fleet::{FlagsPatch, Timestamp};
use serde::Deserialize;

use crate::app::Shared;
use crate::audit::Change;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::local;
use crate::patience;

/// One pressed button, and where the browser was.
#[derive(Deserialize)]
pub(crate) struct FlagsForm {
    /// Query of the fleet page to return to.
    #[serde(default)]
    back: String,
    #[serde(flatten)]
    flags: Flags,
}

/// Forms carry text; `FlagsPatch` itself reads JSON.
#[derive(Deserialize)]
struct Flags {
    gaming: Option<String>,
    streaming: Option<String>,
    paid: Option<String>,
    enabled: Option<String>,
}

/// `POST /server/{ip}/flags`: sets the flag whose button was pressed and shows the page again.
pub(crate) async fn change(
    State(app): State<Shared>,
    ip: Result<Path<String>, PathRejection>,
    FormBody(form): FormBody<FlagsForm>,
) -> Result<(Extension<Change>, Redirect), Error> {
    let Path(ip) = ip?;
    let patch = FlagsPatch {
        gaming: flag(form.flags.gaming.as_deref())?,
        streaming: flag(form.flags.streaming.as_deref())?,
        paid: flag(form.flags.paid.as_deref())?,
        enabled: flag(form.flags.enabled.as_deref())?,
    };
    if patch.is_empty() {
        return Err(Error::NothingToUpdate);
    }
    let view = app.fleet.view();
    let before = view.by_ip(&ip).map(|view| &*view.server);
    let after = patience::long(app.fleet.set_flags(&ip, patch, Timestamp::now())).await?.ok_or(Error::NoSuchServer)?;
    let change = Change::of_server("server.edit", before, Some(&after));
    Ok((Extension(change), Redirect::to(local(&form.back))))
}

fn flag(text: Option<&str>) -> Result<Option<bool>, Error> {
    let parse = |text: &str| text.parse().map_err(|_| Error::Invalid("Flags are `true` or `false`".to_owned()));
    text.map(parse).transpose()
}
