//! Text that must never reach a log, an error message or a `Debug` line.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A secret: a password, a signing key, a token. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Its lines as secrets of their own; empty lines and blanks around them do not count.
    pub fn lines(&self) -> impl Iterator<Item = Self> {
        self.0.lines().map(str::trim).filter(|line| !line.is_empty()).map(Self::new)
    }

    /// The text itself. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The key that agents and exporters show, if there is one. It may change while requests are answered; clones share it.
#[derive(Debug, Clone, Default)]
pub struct AgentKey(Arc<RwLock<Option<Secret>>>);

impl AgentKey {
    /// The key as it is now.
    pub fn get(&self) -> Option<Secret> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes another one, or none.
    pub fn set(&self, key: Option<Secret>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

/// Takes a text. What else there is does not come into the error: it may be a password without its quotes.
struct Text;

impl Visitor<'_> for Text {
    type Value = Secret;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("number"), &self))
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        self.visit_u64(0)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        self.visit_u64(0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_text() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_number_in_its_place_is_not_repeated() {
        assert_eq!(serde_json::from_str::<Secret>("\"hunter2\"").unwrap(), Secret::new("hunter2"));
        for bad in ["47110815", "-47110815", "4711.0815", "{\"x\":47110815}", "[47110815]"] {
            let error = serde_json::from_str::<Secret>(bad).unwrap_err().to_string();
            assert!(error.contains("expected a string") && !error.contains("4711"), "{error}");
        }
    }
}
