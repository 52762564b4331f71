//! Signing in, and changing the own password: whatever tries a password or a one-time code, at a bounded rate.

use std::time::Instant;

use mect_fleet::{Timestamp, User};

use crate::app::App;
use crate::audit;
use crate::auth::password::Passwords;
use crate::auth::totp;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::patience;
use crate::secret::Secret;

/// How a sign-in goes on after the right password.
pub(crate) enum SignIn {
    /// It is done.
    Done(User),
    /// A one-time code is wanted.
    NeedsCode(User),
}

impl SignIn {
    /// The user who signed in, or the error that asks for the code.
    pub(crate) fn done(self) -> Result<User, Error> {
        match self {
            Self::Done(user) => Ok(user),
            Self::NeedsCode(_) => Err(Error::CodeRequired),
        }
    }
}

/// The user of that name and password, read afresh. Nothing is hashed for who failed too often.
pub(crate) async fn sign_in(
    app: &App,
    client: ClientAddress,
    username: &str,
    password: &Secret,
    code: Option<&str>,
) -> Result<SignIn, Error> {
    let started = tokio::time::Instant::now();
    let attempted = async {
        let user = check(app, username, password).await?;
        match code.filter(|code| !code.is_empty()) {
            _ if !user.asks_for_code() => Ok(SignIn::Done(user)),
            Some(code) => {
                totp::take(app, &user, code, Timestamp::now()).await?;
                Ok(SignIn::Done(user))
            }
            None => Ok(SignIn::NeedsCode(user)),
        }
    };
    let outcome = guess(app, client, username, attempted).await;
    if matches!(outcome, Err(Error::WrongLogin)) {
        app.old_hashes.even_out(app.users.accounts(), started).await;
    }
    outcome
}

/// The second step of a sign-in: `ticket` tells that the password was right.
pub(crate) async fn second_step(app: &App, client: ClientAddress, ticket: &str, code: &str) -> Result<User, Error> {
    let claims = app.tokens.verify_second_step(ticket).ok_or(Error::SignInExpired)?;
    let attempted = async {
        let user = patience::long(app.users.accounts().user(&claims.sub)).await?;
        let user = user.filter(|user| user.epoch == claims.epoch && !user.disabled).ok_or(Error::SignInExpired)?;
        totp::take(app, &user, code, Timestamp::now()).await?;
        Ok(SignIn::Done(user))
    };
    guess(app, client, &claims.sub, attempted).await?.done()
}

async fn check(app: &App, username: &str, password: &Secret) -> Result<User, Error> {
    let user = patience::long(app.users.accounts().user(username)).await?;
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    if !app.passwords.verify(password, hash).await? {
        return Err(Error::WrongLogin);
    }
    let user = user.filter(|user| !user.disabled).ok_or(Error::WrongLogin)?;
    if Passwords::is_outdated(&user.password_hash) {
        renew_hash(app, &user, password).await;
    }
    Ok(user)
}

/// Replaces a hash that is weaker than today's by one of the same password. Should that fail, the next sign-in tries
/// again: this one is good all the same.
async fn renew_hash(app: &App, user: &User, password: &Secret) {
    let renewed = async {
        let hash = app.passwords.hash(password).await?;
        Ok::<_, Error>(app.users.accounts().upgrade_hash(&user.username, &user.password_hash, hash).await?)
    };
    match renewed.await {
        Ok(true) => tracing::info!(username = user.username, "password hash renewed"),
        Ok(false) => {}
        Err(error) => tracing::warn!(username = user.username, %error, "password hash not renewed"),
    }
}

/// Replaces the password of `user`, who proves to know the current one. Returns the user of the new epoch.
pub(crate) async fn change_password(
    app: &App,
    client: ClientAddress,
    user: &User,
    current: &Secret,
    new: &Secret,
) -> Result<User, Error> {
    prove(app, client, user, current).await?;
    let hash = app.passwords.hash_new(&user.username, new, Some(current)).await?;
    app.users.set_password(user, hash, false).await
}

/// Lets `user` prove to know the current password.
pub(crate) async fn prove(app: &App, client: ClientAddress, user: &User, current: &Secret) -> Result<(), Error> {
    let proof = async {
        let is_right = app.passwords.verify(current, Some(&user.password_hash)).await?;
        if is_right { Ok(SignIn::Done(user.clone())) } else { Err(Error::WrongCurrentPassword) }
    };
    guess(app, client, &user.username, proof).await.map(drop)
}

/// Lets `user` prove to hold the secret of its one-time codes.
pub(crate) async fn prove_code(app: &App, client: ClientAddress, user: &User, code: &str) -> Result<(), Error> {
    let proof = async {
        totp::take(app, user, code, Timestamp::now()).await?;
        Ok(SignIn::Done(user.clone()))
    };
    guess(app, client, &user.username, proof).await.map(drop)
}

/// Lets somebody try a secret of `username`, unless too many failed; and notes how it ended.
async fn guess(
    app: &App,
    client: ClientAddress,
    username: &str,
    attempted: impl Future<Output = Result<SignIn, Error>>,
) -> Result<SignIn, Error> {
    let attempt = app.throttle.enter(username, client.0, Instant::now())?;
    let outcome = attempted.await;
    match &outcome {
        Ok(SignIn::Done(_)) => app.throttle.succeeded(&attempt, Instant::now()),
        Err(error @ (Error::WrongLogin | Error::WrongCurrentPassword | Error::WrongCode)) => {
            app.throttle.failed(&attempt);
            let mut entry = audit::entry(client, audit::LOGIN_FAILED, username);
            entry.detail = error.to_string();
            app.audit.note(entry);
        }
        _ => app.throttle.give_back(&attempt),
    }
    outcome
}

/// Notes that a user came in, and how.
pub(crate) fn came_in(app: &App, client: ClientAddress, user: &User, how: &str) {
    let mut entry = audit::entry(client, audit::LOGIN_OK, &user.username);
    (entry.who, entry.detail) = (user.username.clone(), how.to_owned());
    app.audit.note(entry);
}
