//! Rules for new user names. Those of the system before this one may break them; they go on working.

/// Longer than any address of a mailbox that people use as a name.
const MAX_CHARACTERS: usize = 64;
/// Routes of the old API that stand where a user name could.
const RESERVED: [&str; 2] = ["me", "change-password"];

/// A name that cannot be given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadUsername {
    #[error("username: 1 to {MAX_CHARACTERS} characters are allowed")]
    Length,
    /// Letters of other scripts look like these, and some turn the direction of what stands beside them.
    #[error("username: only letters from a to z, digits and . _ @ + - are allowed, the first a letter or digit")]
    Characters,
    #[error("username: {0} is reserved")]
    Reserved(String),
}

/// Checks a name for a new user.
pub(crate) fn check(name: &str) -> Result<(), BadUsername> {
    if !(1..=MAX_CHARACTERS).contains(&name.chars().count()) {
        return Err(BadUsername::Length);
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
    if !name.bytes().all(is_allowed) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(BadUsername::Characters);
    }
    if RESERVED.contains(&name) { Err(BadUsername::Reserved(name.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for good in ["admin", "Zoe.2", "ops+night@example.org", &"x".repeat(64)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["a b", ".a", "a\0", "\u{202e}nimda", "аdmin", "a/b", "a\n", "-rf", "$gt", "jürgen"] {
            assert_eq!(check(bad), Err(BadUsername::Characters), "{bad:?}");
        }
        assert_eq!(check(""), Err(BadUsername::Length));
        assert_eq!(check(&"x".repeat(65)), Err(BadUsername::Length));
        assert!(matches!(check("me"), Err(BadUsername::Reserved(_))));
    }
}
