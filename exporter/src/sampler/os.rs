//! Name and version of the operating system, from `os-release` (freedesktop's os-release(5)).

use std::borrow::Cow;

use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

/// Where os-release(5) says to look, in order.
const FILES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// Label of `node_os_info` and the key it is taken from: node_exporter's list.
const FIELDS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

/// Longest label value: the file belongs to the operator, the page's size to us.
const MAX_VALUE_BYTES: usize = 256;

/// Reads `os-release` and writes `node_os_info`.
///
/// # Errors
/// Neither file can be read.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    let text = root.text(FILES[0]).or_else(|_| root.text(FILES[1]))?;
    render(&parse(&text), page);
    Ok(())
}

fn render(values: &[Cow<'_, str>; FIELDS.len()], page: &mut Page) {
    let labels: Vec<(&str, &str)> =
        FIELDS.iter().zip(values).map(|((label, _), value)| (*label, value.as_ref())).collect();
    page.family("node_os_info", Kind::Gauge, "Operating system as os-release describes it; always 1.")
        .sample(&labels, 1u64);
}

/// Values of the known keys, in the order of the labels; what is missing is empty. Lines that are not
/// `KEY=value` are skipped, as os-release(5) asks of readers.
pub fn parse(text: &str) -> [Cow<'_, str>; FIELDS.len()] {
    let mut values = [const { Cow::Borrowed("") }; FIELDS.len()];
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let slot = FIELDS.iter().zip(&mut values).find(|((_, known), _)| *known == key);
        if let Some((_, slot)) = slot {
            *slot = shorten(unquote(value));
        }
    }
    values
}

/// Undoes the shell quoting that os-release(5) allows: double quotes with `\` before `"$\` and the
/// backtick, single quotes without escapes, or none.
fn unquote(value: &str) -> Cow<'_, str> {
    let quoted = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    if let Some(inner) = quoted('\'') {
        return Cow::Borrowed(inner);
    }
    let inner = quoted('"').unwrap_or(value);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    Cow::Owned(plain)
}

fn shorten(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.len() <= MAX_VALUE_BYTES {
        return value;
    }
    Cow::Owned(value[..value.floor_char_boundary(MAX_VALUE_BYTES)].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, label: &str) -> String {
        let at = FIELDS.iter().position(|(known, _)| *known == label).unwrap();
        parse(text)[at].to_string()
    }

    #[test]
    fn quotes_and_escapes_are_undone() {
        let text = "# comment\nNAME='Single $x'\nPRETTY_NAME=\"A \\\"B\\\" \\$1\"\nID=debian\nnonsense\nVERSION=\"\n";
        assert_eq!(value(text, "name"), "Single $x");
        assert_eq!(value(text, "pretty_name"), "A \"B\" $1");
        assert_eq!(value(text, "id"), "debian");
        assert_eq!(value(text, "version"), "\"");
        assert_eq!(value(text, "variant"), "");
    }

    #[test]
    fn a_trailing_backslash_and_a_huge_value_are_harmless() {
        assert_eq!(value("NAME=\"a\\", "name"), "\"a\\");
        assert_eq!(value(&format!("NAME={}", "é".repeat(1000)), "name").len(), MAX_VALUE_BYTES);
        assert_eq!(value("NAME='", "name"), "'");
    }
}
