//! A page without what differs from run to run: identities, secrets, hashes, versions, and whatever comes from the clock.
//! Pure. What stands there instead is valid too, so that a file can be opened in a browser.

use std::collections::HashMap;

/// What stands between two texts, and what shall stand there.
const VALUES: [(&str, &str, &str); 19] = [
    ("/assets/", "/", "HASH"),
    (" name=\"form_token\" value=\"", "\"", "TOKEN"),
    (" name=\"session\" value=\"", "\"", "MARK"),
    (" name=\"ticket\" value=\"", "\"", "TICKET"),
    (" name=\"secret\" value=\"", "\"", "SECRET"),
    (" class=\"secret-text\">", "<", "SECRET"),
    ("<p class=\"secret\"><code>", "<", "SECRET"),
    ("otpauth://totp/", "\"", "SECRET"),
    ("<path class=\"dark\" d=\"", "\"", "M0 0h1v1h-1Z"),
    ("<p class=\"lead\">Mect VPN Monitor ", ")", "VERSION (BUILD"),
    // How many ticks there are depends on the hour.
    ("<svg class=\"ticks\"", "</svg>", ">"),
    // Drawn once a site lives long enough.
    ("<svg class=\"sparkline\"", "</svg>", ">"),
    ("<span class=\"note\">lines since ", "<", "00:00 UTC"),
    (" data-from=\"", "\"", "0"),
    (" data-to=\"", "\"", "0"),
    (" data-points=\"", "\"", "0 point"),
    // Scrapes of one minute are a dot or a line, as they fall into steps.
    ("<path class=\"grid\" d=\"M0 0H1000M0 50H1000M0 100H1000\"/>", "</svg>", ""),
    ("height=\"10\"><title>", "</title>", "STATE"),
    (" id=\"entry-", "\"", "0"),
];

/// Shapes of times and of what follows from them. `9` is a digit, `#` are some, `~` is a month; a shape holds where no
/// word goes on before or after it. The first that fits counts.
const SHAPES: [(&str, &str); 17] = [
    ("9999-99-99T99:99:99.#Z", "2026-01-01T00:00:00Z"),
    ("9999-99-99T99:99:99Z", "2026-01-01T00:00:00Z"),
    ("9999-99-99 99:99:99 UTC", "2026-01-01 00:00:00 UTC"),
    ("# ~ 9999, 99:99 UTC", "00:00 UTC"),
    ("# ~, 99:99 UTC", "00:00 UTC"),
    ("99:99 UTC", "00:00 UTC"),
    ("# s", "1 min"),
    ("# min", "1 min"),
    ("# h", "1 min"),
    ("# d", "1 min"),
    ("# seconds", "1 min"),
    // A share of time goes on changing; a whole one does not.
    ("100 % up in", "100 % up in"),
    ("#.# % up in", "99 % up in"),
    ("# % up in", "99 % up in"),
    ("#.# %</b> in", "99 %</b> in"),
    ("class=\"number\">100.0 %</td>", "class=\"number\">100.0 %</td>"),
    ("class=\"number\">#.# %</td>", "class=\"number\">99 %</td>"),
];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Letters and digits of a server's identity, after `srv-`.
const IDENTITY: usize = 8;

/// The page as it is in every run.
pub(crate) fn normal(page: &str) -> String {
    let page = within(page, "<svg class=\"states\"", "</svg>", |strip| {
        between(&between(strip, " x=\"", "\"", "0"), " width=\"", "\"", "0")
    });
    let page = VALUES.iter().fold(page, |page, (before, after, with)| between(&page, before, after, with));
    shapes(&identities(&page))
}

/// Replaces what stands between `before` and the next `after`, wherever that is.
fn between(page: &str, before: &str, after: &str, with: &str) -> String {
    within(page, before, after, |_| with.to_owned())
}

/// The same with what `change` makes of it.
fn within(page: &str, before: &str, after: &str, change: impl Fn(&str) -> String) -> String {
    let (mut rest, mut normal) = (page, String::with_capacity(page.len()));
    while let Some((head, tail)) = rest.split_once(before) {
        let Some(end) = tail.find(after) else { break };
        normal.extend([head, before, &*change(&tail[..end])]);
        rest = &tail[end..];
    }
    normal + rest
}

/// Numbers identities of servers in the order in which they occur.
fn identities(page: &str) -> String {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut parts = page.split("srv-");
    let mut normal = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_identity = |id: &&str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        match part.get(..IDENTITY).filter(is_identity) {
            Some(id) => {
                let next = known.len() + 1;
                let number = *known.entry(id).or_insert(next);
                normal.extend([&*format!("srv-{number}"), &part[IDENTITY..]]);
            }
            None => normal.extend(["srv-", part]),
        }
    }
    normal
}

fn shapes(page: &str) -> String {
    let (mut rest, mut normal) = (page, String::with_capacity(page.len()));
    let mut is_inside = false;
    while let Some(first) = rest.chars().next() {
        let found = SHAPES.iter().filter(|_| !is_inside).find_map(|(shape, with)| Some((length(shape, rest)?, with)));
        let (taken, with) = found.map_or((first.len_utf8(), &rest[..first.len_utf8()]), |(taken, with)| (taken, with));
        normal.push_str(with);
        is_inside = rest[..taken].ends_with(|last: char| last.is_alphanumeric() || last == '.');
        rest = &rest[taken..];
    }
    normal
}

/// How much of the text's beginning has that shape.
fn length(shape: &str, text: &str) -> Option<usize> {
    let mut rest = text;
    for part in shape.chars() {
        rest = match part {
            '9' => rest.strip_prefix(|digit: char| digit.is_ascii_digit())?,
            '#' => {
                let after = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
                Some(after).filter(|after| after.len() < rest.len())?
            }
            '~' => MONTHS.iter().find_map(|month| rest.strip_prefix(month))?,
            other => rest.strip_prefix(other)?,
        };
    }
    let goes_on = shape.ends_with(char::is_alphanumeric) && rest.starts_with(char::is_alphanumeric);
    (!goes_on).then_some(text.len() - rest.len())
}

#[test]
fn what_differs_from_run_to_run_is_made_the_same() {
    for (page, same) in [
        ("srv-abcdefgh srv-k3v9xw2p srv-abcdefgh", "srv-1 srv-2 srv-1"),
        ("/srv-short /srv-ABCDEFGH srv-", "/srv-short /srv-ABCDEFGH srv-"),
        ("/assets/0123456789abcdef/app.css", "/assets/HASH/app.css"),
        ("<input name=\"form_token\" value=\"00ff\">", "<input name=\"form_token\" value=\"TOKEN\">"),
        ("datetime=\"2026-11-24T03:17:19.25Z\"", "datetime=\"2026-01-01T00:00:00Z\""),
        ("title=\"2026-11-24 03:17:19 UTC\">3 h ago<", "title=\"2026-01-01 00:00:00 UTC\">1 min ago<"),
        ("since 14:02 UTC until 5 May 2099, 12:00 UTC;", "since 00:00 UTC until 00:00 UTC;"),
        ("24 Nov, 03:17 UTC", "00:00 UTC"),
        ("for 59 s, 1.3 s, 12 ms, 30 days, a2 h", "for 1 min, 1.3 s, 12 ms, 30 days, a2 h"),
        ("100 % up in 30 days, 99.44 % up in 30 days", "100 % up in 30 days, 99 % up in 30 days"),
        ("<b>100 %</b> in 7 days <b>99.44 %</b> in", "<b>100 %</b> in 7 days <b>99 %</b> in"),
        (
            "class=\"number\">99.4 %</td><td class=\"number\">100.0 %</td>",
            "class=\"number\">99 %</td><td class=\"number\">100.0 %</td>",
        ),
        ("<svg class=\"ticks\" x><text>00:00</text></svg>", "<svg class=\"ticks\"></svg>"),
        (
            "<svg class=\"states\"><rect x=\"9.1\" width=\"2.0\"/></svg><rect x=\"9.1\"/>",
            "<svg class=\"states\"><rect x=\"0\" width=\"0\"/></svg><rect x=\"9.1\"/>",
        ),
        ("nothing – at all", "nothing – at all"),
    ] {
        assert_eq!(normal(page), same);
        assert_eq!(normal(same), same, "normal stays normal");
    }
}
