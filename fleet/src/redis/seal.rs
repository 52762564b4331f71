//! Messages that only collectors of one fleet can make: signed, fresh, and each believed once.
//!
//! A message is an HMAC-SHA-256 tag and, after it, an envelope as JSON. The key is derived from the secret that all
//! collectors of a fleet share.

use std::collections::HashMap;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::CHANNEL;
use crate::peers::News;
use crate::time::Timestamp;

/// A larger message is not looked at. Some 1,000 standings fit.
pub(super) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Messages are believed when their sender's clock and ours differ by less. Wide, because clocks do differ; what was
/// told before is refused by its number.
const FRESH: Duration = Duration::from_secs(300);
/// Senders remembered. A fleet has a handful; each start of a collector is a new one.
const MAX_SENDERS: usize = 1024;
const TAG_BYTES: usize = 32;

/// A collector that runs, drawn at random at its start.
type Sender = u64;

#[derive(Serialize, Deserialize)]
struct Envelope<N> {
    from: Sender,
    /// Counts the sender's messages.
    number: u64,
    at: Timestamp,
    news: N,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than any of ours.
    #[error("it is too large")]
    TooLarge,
    /// Not made with our key.
    #[error("its signature is wrong; all collectors of a fleet need the same SECRET_KEY")]
    Forged,
    /// Signed, and yet not understood: a collector of another version.
    #[error("it cannot be read; all collectors of a fleet need the same version")]
    Unreadable,
    /// Too old, or from the future.
    #[error("it is not fresh; the clocks of the collectors differ")]
    Stale,
    /// Believed once already.
    #[error("it was told before")]
    Repeated,
}

/// Signs messages.
pub struct Sealer {
    key: Hmac<Sha256>,
    me: Sender,
    number: u64,
}

/// Believes messages.
pub struct Opener {
    key: Hmac<Sha256>,
    me: Sender,
    /// The number of the latest message of each sender, and when it came.
    latest: HashMap<Sender, (u64, Timestamp)>,
}

/// Both ends of one collector: it does not hear itself.
///
/// # Errors
/// The operating system's random source failed.
pub fn pair(secret: &[u8]) -> Result<(Sealer, Opener), getrandom::Error> {
    let me = getrandom::u64()?;
    let key = derive(secret);
    Ok((Sealer { key: key.clone(), me, number: 0 }, Opener { key, me, latest: HashMap::new() }))
}

/// A key for this channel alone: a tag can never pass for the signature of a token, which has the same secret.
fn derive(secret: &[u8]) -> Hmac<Sha256> {
    let derived = keyed(secret).chain_update(CHANNEL).finalize().into_bytes();
    keyed(&derived)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl Sealer {
    /// Signs news; `None` when they are too large to be told.
    pub fn seal(&mut self, news: &News, now: Timestamp) -> Option<Vec<u8>> {
        self.number += 1;
        let envelope = Envelope { from: self.me, number: self.number, at: now, news };
        let mut message = vec![0; TAG_BYTES];
        serde_json::to_writer(&mut message, &envelope).ok()?;
        let tag = self.key.clone().chain_update(&message[TAG_BYTES..]).finalize().into_bytes();
        message[..TAG_BYTES].copy_from_slice(&tag);
        (message.len() <= MAX_MESSAGE_BYTES).then_some(message)
    }
}

impl Opener {
    /// The news of a message; `None` when it is our own.
    ///
    /// # Errors
    /// It is not to be believed.
    pub fn open(&mut self, message: &[u8], now: Timestamp) -> Result<Option<News>, Refusal> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(Refusal::TooLarge);
        }
        let (tag, body) = message.split_at_checked(TAG_BYTES).ok_or(Refusal::Forged)?;
        // Compares in constant time.
        self.key.clone().chain_update(body).verify_slice(tag).map_err(|_| Refusal::Forged)?;
        let envelope: Envelope<News> = serde_json::from_slice(body).map_err(|_| Refusal::Unreadable)?;
        if now.since(envelope.at).max(envelope.at.since(now)) > FRESH {
            return Err(Refusal::Stale);
        }
        if self.latest.get(&envelope.from).is_some_and(|(number, _)| *number >= envelope.number) {
            return Err(Refusal::Repeated);
        }
        if self.latest.len() >= MAX_SENDERS {
            // What is dropped here would be refused as stale.
            self.latest.retain(|_, (_, at)| now.since(*at) <= FRESH * 2);
        }
        self.latest.insert(envelope.from, (envelope.number, now));
        Ok((envelope.from != self.me).then_some(envelope.news))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn user() -> News {
        News::User("admin".into())
    }

    #[test]
    fn a_message_is_believed_once_by_others_only() {
        let ((mut here, mut own), (_, mut there)) = (pair(b"secret").unwrap(), pair(b"secret").unwrap());
        let message = here.seal(&user(), NOW).unwrap();
        assert_eq!(there.open(&message, NOW), Ok(Some(user())));
        assert_eq!(there.open(&message, NOW), Err(Refusal::Repeated));
        assert_eq!(own.open(&message, NOW), Ok(None));
        let (first, second) = (here.seal(&user(), NOW).unwrap(), here.seal(&user(), NOW).unwrap());
        assert_eq!(there.open(&second, NOW), Ok(Some(user())));
        assert_eq!(there.open(&first, NOW), Err(Refusal::Repeated), "a recorded message that never arrived");
    }

    #[test]
    fn nothing_else_is_believed() {
        let ((mut here, _), (_, mut there)) = (pair(b"secret").unwrap(), pair(b"another").unwrap());
        let message = here.seal(&user(), NOW).unwrap();
        assert_eq!(there.open(&message, NOW), Err(Refusal::Forged));
        let (_, mut there) = pair(b"secret").unwrap();
        for place in 0..message.len() {
            let mut changed = message.clone();
            changed[place] ^= 1;
            assert_eq!(there.open(&changed, NOW), Err(Refusal::Forged), "byte {place}");
        }
        for length in 0..message.len() {
            assert_eq!(there.open(&message[..length], NOW), Err(Refusal::Forged));
        }
        assert_eq!(there.open(&vec![0; MAX_MESSAGE_BYTES + 1], NOW), Err(Refusal::TooLarge));
        let old = NOW + FRESH + Duration::from_secs(1);
        assert_eq!(there.open(&message, old), Err(Refusal::Stale));
        assert_eq!(there.open(&here.seal(&user(), old).unwrap(), NOW), Err(Refusal::Stale));
        assert_eq!(there.open(&message, NOW), Ok(Some(user())), "the refused ones changed nothing");
    }
}
