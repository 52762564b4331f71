//! The files of pages, and what differs from them.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use crate::common::Answer;
use crate::normal::normal;

/// Tells the test to write the files instead.
const UPDATE: &str = "MECT_UPDATE_PAGES";
/// A page leaves out what the store does not tell in time: on a busy machine it is asked for again.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Lines of a difference that are shown, and how much of them.
const LINES: usize = 3;
const BEFORE: usize = 60;
const AFTER: usize = 160;

/// What a page must never hold: markup from a name, or what the policy forbids.
const FORBIDDEN: [&str; 7] =
    ["<img src=x", "<script>alert", "</textarea><b>", " style=\"", " onclick=", " onerror=\"", "javascript:"];

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "snapshots", "html", &format!("{name}.html")].iter().collect()
}

/// Asserts that a page that may be asked for again and again looks as in its file.
pub(crate) async fn shows(name: &str, status: u16, ask: impl AsyncFn() -> Answer) {
    let mut difference = String::new();
    for _ in 0..TRIES {
        match compared(name, status, &ask().await) {
            None => return,
            Some(found) => difference = found,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{difference}");
}

/// Asserts that this answer looks as in its file.
#[track_caller]
pub(crate) fn is(name: &str, status: u16, answer: &Answer) {
    if let Some(difference) = compared(name, status, answer) {
        panic!("{difference}");
    }
}

#[track_caller]
fn compared(name: &str, status: u16, answer: &Answer) -> Option<String> {
    let page = answer.text();
    assert_eq!(answer.status.as_u16(), status, "{name}: {page}");
    for forbidden in FORBIDDEN {
        assert!(!page.contains(forbidden), "{name} holds {forbidden}: {page}");
    }
    let (path, shown) = (file(name), normal(&page));
    if env::var_os(UPDATE).is_some() {
        fs::write(path, shown).unwrap();
        return None;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let difference = difference(&wanted, &shown)?;
    Some(format!(
        "the page differs from {}\n{difference}\nif it should, write it: {UPDATE}=1 cargo test -p mect-web --test snapshots",
        path.display()
    ))
}

/// The first lines that differ, from a little before the first character that does.
fn difference(wanted: &str, shown: &str) -> Option<String> {
    if wanted == shown {
        return None;
    }
    let (wanted, shown): (Vec<_>, Vec<_>) = (wanted.split('\n').collect(), shown.split('\n').collect());
    let same = wanted.iter().zip(&shown).take_while(|(a, b)| a == b).count();
    let line = |lines: &[&str]| lines.get(same).copied().unwrap_or_default().to_owned();
    let (a, b) = (line(&wanted), line(&shown));
    let column = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count().saturating_sub(BEFORE);
    let part = |mark: char, lines: &[&str]| {
        let cut =
            |line: &&str| format!("{mark} {}\n", line.chars().skip(column).take(BEFORE + AFTER).collect::<String>());
        lines.iter().skip(same).take(LINES).map(cut).collect::<String>()
    };
    Some(format!("line {}, from character {}:\n{}{}", same + 1, column + 1, part('-', &wanted), part('+', &shown)))
}

/// A state that no test shows any more must not leave its file.
#[test]
fn every_file_is_of_a_state_that_is_shown() {
    let sources = ["account", "add", "admin", "errors", "fleet", "past", "server"];
    let source =
        |name: &str| [env!("CARGO_MANIFEST_DIR"), "tests", "snapshots", &format!("{name}.rs")].iter().collect();
    let source = sources.map(|name| fs::read_to_string::<PathBuf>(source(name)).unwrap()).concat();
    let files = fs::read_dir(file("any").parent().unwrap()).unwrap();
    for name in files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()) {
        // The names of some files are put together.
        let part = ["server-done-", "server-"].into_iter().find_map(|before| name.strip_prefix(before));
        let is_named = |name: &str| source.contains(&format!("\"{name}\""));
        assert!(is_named(&name) || part.is_some_and(is_named), "nothing shows {name}.html: delete it");
    }
}

#[test]
fn a_difference_is_told_where_it_is() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(difference("a\nb\nc", "a\nx\nc").unwrap(), "line 2, from character 1:\n- b\n- c\n+ x\n+ c\n");
    assert_eq!(difference("a", "a\nb").unwrap(), "line 2, from character 1:\n+ b\n");
    let long = "–".repeat(100);
    let told = difference(&format!("{long}a"), &format!("{long}b")).unwrap();
    assert!(told.starts_with("line 1, from character 41:\n- ––") && told.ends_with("–b\n"), "{told}");
}
