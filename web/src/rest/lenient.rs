//! Yes and no as the clients of the old API may write them.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Describes what [`boolean`] takes.
pub(crate) struct Lenient;

impl PartialSchema for Lenient {
    fn schema() -> RefOr<Schema> {
        let words =
            "^(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY][eE][sS]|[nN][oO]|[oO][nN]|[oO][fF][fF]|[tTyYfFnN01])$";
        AnyOfBuilder::new()
            .description(Some("True or false; the words and numbers that the old API took count as well"))
            .item(ObjectBuilder::new().schema_type(Type::Boolean))
            .item(ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([0, 1])))
            .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(words)))
            .into()
    }
}

impl ToSchema for Lenient {}

/// What the old API took for `true` or `false` in a query.
pub(crate) fn word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// `true` and `false`, or a word or number that the old API took for one of them.
fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    deserializer.deserialize_any(Boolean)
}

/// The same; `null` is no change.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    deserializer.deserialize_option(Optional)
}

struct Boolean;

impl Visitor<'_> for Boolean {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        word(value).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
    }
}

struct Optional;

impl<'de> Visitor<'de> for Optional {
    type Value = Option<bool>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Boolean.expecting(f)
    }
    fn visit_none<E: Error>(self) -> Result<Option<bool>, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<bool>, D::Error> {
        boolean(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Flags {
        #[serde(default, deserialize_with = "super::optional")]
        paid: Option<bool>,
    }

    #[test]
    fn words_and_numbers_count_and_others_are_named() {
        let read = |json: &str| serde_json::from_str::<Flags>(json).map(|flags| flags.paid);
        for yes in ["true", "1", "\"True\"", "\"on\"", "\"yes\""] {
            assert_eq!(read(&format!("{{\"paid\":{yes}}}")).unwrap(), Some(true), "{yes}");
        }
        assert_eq!(read("{\"paid\":\"OFF\"}").unwrap(), Some(false));
        assert_eq!(read("{\"paid\":null}").unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
        for bad in ["2", "\"maybe\"", "[]", "-1"] {
            let error = read(&format!("{{\"paid\":{bad}}}")).unwrap_err().to_string();
            assert!(error.contains("true or false"), "{error}");
        }
    }
}
