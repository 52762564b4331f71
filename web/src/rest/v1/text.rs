//! Texts from outside, before they are kept: bounded, and without what could disguise itself on a page or in a log.

use crate::error::Error;

/// Of a name of a place.
pub(crate) const NAME_CHARS: usize = 100;
/// Of a host name: what DNS allows.
pub(crate) const HOSTNAME_CHARS: usize = 253;
/// Of an operator's notes.
pub(crate) const NOTES_CHARS: usize = 2000;

/// A text of one line.
pub(crate) fn line(field: &str, text: &str, most: usize) -> Result<String, Error> {
    checked(field, text, most, |_| false)
}

/// A text that may have several lines.
pub(crate) fn lines(field: &str, text: &str, most: usize) -> Result<String, Error> {
    checked(field, text, most, |letter| letter == '\n' || letter == '\t')
}

fn checked(field: &str, text: &str, most: usize, allowed: impl Fn(char) -> bool) -> Result<String, Error> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(Error::Invalid(format!("{field}: longer than {most} characters")));
    }
    match text.chars().find(|letter| !allowed(*letter) && is_unfit(*letter)) {
        Some(letter) => {
            let code = u32::from(letter);
            Err(Error::Invalid(format!("{field}: the character U+{code:04X} is not allowed")))
        }
        None => Ok(text.to_owned()),
    }
}

/// Control characters, and those that turn the direction of a text or hide in it (Unicode's `Bidi_Control`, line and
/// paragraph separators, zero-width ones and the byte order mark).
fn is_unfit(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_bounded() {
        assert_eq!(line("city", "  São Paulo ", 100).unwrap(), "São Paulo");
        assert_eq!(lines("notes", "one\n\ttwo", 100).unwrap(), "one\n\ttwo");
        assert_eq!(line("city", "äöü", 2).unwrap_err().to_string(), "city: longer than 2 characters");
    }

    #[test]
    fn what_could_disguise_itself_is_named() {
        for (bad, code) in
            [("a\0b", "0000"), ("a\u{202e}b", "202E"), ("a\u{2066}b", "2066"), ("a\nb", "000A"), ("a\u{feff}b", "FEFF")]
        {
            let error = line("city", bad, 100).unwrap_err().to_string();
            assert_eq!(error, format!("city: the character U+{code} is not allowed"));
        }
    }
}
