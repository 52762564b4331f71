//! Breaks pages a little.

use crate::draw::Draw;

/// Texts that stand somewhere in one format or the other, or nearly.
const PIECES: [&str; 44] = [
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\0",
    "#",
    "# ",
    " # {} 1",
    " # {b=\"c\"} 0.5 1",
    "\"",
    "\\",
    "\\\"",
    "\\t",
    "{",
    "}",
    "{}",
    ",",
    "=",
    "_",
    ":",
    ".",
    "-",
    "+",
    "é",
    "NaN",
    "-1",
    "+Inf",
    "0x1",
    "1_0",
    "1e999",
    "0.5",
    " 123",
    "_total",
    "_created",
    "_bucket",
    "_sum",
    "le=\"1\",",
    "quantile=\"0.5\",",
    "b=\"\",",
    "# EOF",
    "# TYPE a0 gauge\n",
    "# HELP a0 \n",
    "a0 1\n",
];

/// The page with one to three changes.
pub(crate) fn mutated(draw: &mut Draw, page: &str) -> String {
    let mut page = page.to_owned();
    for _ in 0..=draw.below(3) {
        page = match draw.below(6) {
            0 => lines(draw, &page, |draw, lines| {
                let line = lines.remove(draw.below(lines.len()));
                lines.insert(draw.below(lines.len() + 1), line);
            }),
            1 => lines(draw, &page, |draw, lines| {
                let line = lines[draw.below(lines.len())];
                lines.insert(draw.below(lines.len() + 1), line);
            }),
            2 => lines(draw, &page, |draw, lines| {
                lines.remove(draw.below(lines.len()));
            }),
            3 => {
                let (before, behind) = split(draw, &page);
                let mut behind = behind.chars();
                behind.next();
                format!("{before}{}", behind.as_str())
            }
            4 => {
                let (before, behind) = split(draw, &page);
                let mut behind = behind.chars();
                behind.next();
                format!("{before}{}{}", draw.of(&PIECES), behind.as_str())
            }
            _ => {
                let (before, behind) = split(draw, &page);
                format!("{before}{}{behind}", draw.of(&PIECES))
            }
        };
    }
    page
}

fn lines(draw: &mut Draw, page: &str, change: impl FnOnce(&mut Draw, &mut Vec<&str>)) -> String {
    let mut lines: Vec<_> = page.split_inclusive('\n').collect();
    if !lines.is_empty() {
        change(draw, &mut lines);
    }
    lines.concat()
}

fn split<'a>(draw: &mut Draw, page: &'a str) -> (&'a str, &'a str) {
    let mut at = draw.below(page.len() + 1);
    while !page.is_char_boundary(at) {
        at -= 1;
    }
    page.split_at(at)
}
