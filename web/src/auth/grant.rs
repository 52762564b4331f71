//! Refresh tokens: the identity of a grant and the secret that is good for its next use.

use mect_fleet::{Grant, Renewal, Timestamp, User};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::audit;
use crate::auth::hex;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::patience;
use crate::secret::Secret;

const PREFIX: &str = "mectr_";
const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// Starts a grant for who just signed in; the refresh token is good once.
pub(crate) async fn open(app: &App, user: &User, now: Timestamp) -> Result<(Grant, Secret), Error> {
    let mut id = [0; ID_BYTES];
    getrandom::fill(&mut id)?;
    let secret = secret()?;
    let grant = Grant {
        id,
        digest: digest(&secret),
        username: user.username.clone(),
        epoch: user.epoch,
        created_at: now,
        expires_at: now + app.settings.refresh_lifetime,
    };
    patience::long(app.users.accounts().create_grant(grant.clone())).await?;
    Ok((grant, token(&id, &secret)))
}

/// Uses a refresh token; gives the user, the grant and the next token. One that was used before ends the grant: either
/// its holder or whoever used it first has stolen it.
pub(crate) async fn renew(
    app: &App,
    client: ClientAddress,
    refresh: &Secret,
    now: Timestamp,
) -> Result<(User, Grant, Secret), Error> {
    let (id, old) = parse(refresh).ok_or(Error::InvalidCredentials)?;
    let next = secret()?;
    let (old, new) = (digest(&old), digest(&next));
    let renewal = app.users.accounts().renew_grant(&id, &old, &new, now);
    let grant = match patience::long(renewal).await? {
        Renewal::Renewed(grant) => grant,
        Renewal::Reused(grant) => {
            tracing::warn!(username = grant.username, "a refresh token was used twice; its sign-in is over");
            app.users.revoke(id, now + app.settings.access_lifetime).await?;
            app.audit.note(audit::entry(client, "refresh.reused", &grant.username));
            return Err(Error::InvalidCredentials);
        }
        Renewal::Unknown => return Err(Error::InvalidCredentials),
    };
    // Afresh, not from memory: what is issued now lives on.
    let user = patience::long(app.users.accounts().user(&grant.username)).await?;
    match user.filter(|user| user.epoch == grant.epoch && !user.disabled) {
        Some(user) => Ok((user, grant, token(&id, &next))),
        None => Err(Error::InvalidCredentials),
    }
}

fn secret() -> Result<[u8; SECRET_BYTES], getrandom::Error> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

fn token(id: &[u8; ID_BYTES], secret: &[u8; SECRET_BYTES]) -> Secret {
    Secret::new(format!("{PREFIX}{}{}", hex::encode(id), hex::encode(secret)))
}

fn parse(token: &Secret) -> Option<([u8; ID_BYTES], [u8; SECRET_BYTES])> {
    let (id, secret) = token.expose().strip_prefix(PREFIX)?.split_at_checked(ID_BYTES * 2)?;
    Some((hex::decode(id)?, hex::decode(secret)?))
}

fn digest(secret: &[u8; SECRET_BYTES]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_form_is_read() {
        let (id, secret) = ([7; ID_BYTES], [9; SECRET_BYTES]);
        assert_eq!(parse(&token(&id, &secret)), Some((id, secret)));
        for bad in ["", "mectr_", "mectr_é", &"mectr_0".repeat(20), &format!("mectr_{}", "0".repeat(95))] {
            assert_eq!(parse(&Secret::new(bad)), None, "{bad}");
        }
    }
}
