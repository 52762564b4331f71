//! The token that a scraper must present.

use std::fmt;
use std::path::Path;

use subtle::ConstantTimeEq;

use super::ConfigError;

/// Name of the variable that holds the token. The agents that this exporter replaces use the same.
const VARIABLE: &str = "AGENT_API_KEY";
/// Name of the variable that names a file with the token.
const FILE_VARIABLE: &str = "AGENT_API_KEY_FILE";

/// Most bytes of a token: it has to fit into a request head.
const MAX_BYTES: usize = 1024;

/// A secret. Its `Debug` output does not show it.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl Token {
    /// Whether `presented` is the token, in a time that depends on lengths only.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.ct_eq(presented).into()
    }

    /// Checks a token.
    ///
    /// # Errors
    /// It is empty, too long, or holds what cannot stand in a header: anything but visible ASCII.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::new("the token is empty"));
        }
        if text.len() > MAX_BYTES {
            return Err(ConfigError::new(format!("the token is longer than {MAX_BYTES} bytes")));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::new("the token may hold only visible ASCII characters and no spaces"));
        }
        Ok(Self(text.as_bytes().into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Finds the token: `AGENT_API_KEY`, else the file that `AGENT_API_KEY_FILE` names, else `token_file`.
///
/// # Errors
/// The file cannot be read, or the token cannot be used.
pub(super) fn load(
    token_file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Token>, ConfigError> {
    if let Some(text) = environment(VARIABLE) {
        return Token::new(text.trim()).map(Some).map_err(|error| error.about(VARIABLE));
    }
    let (path, key) = match (environment(FILE_VARIABLE), token_file) {
        (Some(path), _) => (path.into(), FILE_VARIABLE),
        (None, Some(path)) => (path.to_owned(), "token_file"),
        (None, None) => return Ok(None),
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| ConfigError::new(format!("cannot be read: {error}")).about(key).in_file(&path))?;
    Token::new(text.trim()).map(Some).map_err(|error| error.about(key).in_file(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_matches() {
        let token = Token::new("s3cret").unwrap();
        assert!(token.matches(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3cret ", b"S3cret", b"s3cretx"] {
            assert!(!token.matches(wrong));
        }
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn tokens_that_no_header_can_carry_are_refused() {
        for bad in ["", "two words", "ключ", "a\nb", &"x".repeat(2000)] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_environment_beats_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "from-file\n").unwrap();
        let matches = |variable: Option<(&str, &str)>, token: &[u8]| {
            load(Some(&path), |name| variable.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()))
                .unwrap()
                .unwrap()
                .matches(token)
        };
        assert!(matches(None, b"from-file"));
        assert!(matches(Some(("AGENT_API_KEY", "from-env")), b"from-env"));
        assert!(matches(Some(("AGENT_API_KEY_FILE", path.to_str().unwrap())), b"from-file"));
        assert!(load(Some(Path::new("/nonexistent/token")), |_| None).unwrap_err().to_string().contains("token_file"));
    }
}
