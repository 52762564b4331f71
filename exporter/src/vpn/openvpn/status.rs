//! OpenVPN's status in its three versions, and what a client writes instead. Pure.
//!
//! Version 1 is for people, 2 separates by commas and 3 by tabs; both name their columns in `HEADER` lines,
//! which have changed with OpenVPN's versions, so that columns are found by name.

use std::collections::BTreeMap;

/// Most clients taken; OpenVPN's own limit is 65,535 at most.
const MAX_CLIENTS: usize = 65_536;

/// The name that OpenVPN shows for a client that has not logged in yet.
const NOT_YET: &str = "UNDEF";

/// Why a status cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// It does not begin as any version does.
    #[error(
        "this is no status of OpenVPN: it begins with none of \"OpenVPN CLIENT LIST\", \"TITLE\", \"OpenVPN STATISTICS\""
    )]
    Unknown,
    /// Its end is missing: it is being written, or was cut off.
    #[error("the status has no end")]
    Unfinished,
    /// A line makes no sense.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// What a status says, without names and addresses of clients but for the names that sessions need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Unix time, when the version has it.
    pub time: Option<u64>,
    /// Clients that have logged in.
    pub sessions: Vec<Session>,
    /// Entries of the routing table.
    pub routes: u64,
    /// Written by a client, which has no sessions.
    pub is_client: bool,
}

/// A connected client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Its common name. Several sessions may share one (`duplicate-cn`).
    pub name: String,
    /// Bytes from it.
    pub receive_bytes: u64,
    /// Bytes to it.
    pub transmit_bytes: u64,
}

impl Status {
    /// Received and sent bytes by common name: sessions with the same one are summed.
    pub fn by_name(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut names = BTreeMap::new();
        for session in &self.sessions {
            let (receive, transmit): &mut (u64, u64) = names.entry(session.name.as_str()).or_default();
            *receive = receive.saturating_add(session.receive_bytes);
            *transmit = transmit.saturating_add(session.transmit_bytes);
        }
        names
    }
}

/// Parses a status of any version.
///
/// # Errors
/// It is none, is not complete, or a line makes no sense.
pub fn parse(text: &str) -> Result<Status, StatusError> {
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err(StatusError::Unfinished);
    }
    match first {
        "OpenVPN CLIENT LIST" => parse_people(text),
        "OpenVPN STATISTICS" => parse_client(text),
        _ if first.starts_with("TITLE,") => parse_columns(text, ','),
        _ if first.starts_with("TITLE\t") => parse_columns(text, '\t'),
        // The start of a longer first line.
        _ if ["OpenVPN CLIENT LIST", "OpenVPN STATISTICS", "TITLE"].iter().any(|known| known.starts_with(first)) => {
            Err(StatusError::Unfinished)
        }
        _ => Err(StatusError::Unknown),
    }
}

fn bad(line: usize, problem: &'static str) -> StatusError {
    StatusError::Line { line: line + 1, problem }
}

/// Version 1: sections under headings, columns in an order that never changed.
fn parse_people(text: &str) -> Result<Status, StatusError> {
    #[derive(PartialEq)]
    enum Section {
        Clients,
        Routes,
        Other,
    }
    let mut status = Status::default();
    let (mut section, mut heading) = (Section::Clients, false);
    for (at, line) in text.lines().enumerate().skip(1) {
        match line {
            "END" => return Ok(status),
            "ROUTING TABLE" => (section, heading) = (Section::Routes, true),
            "GLOBAL STATS" => section = Section::Other,
            _ if line.starts_with("Updated,") => heading = true,
            // The names of the columns.
            _ if heading => heading = false,
            _ if section == Section::Routes => status.routes += 1,
            _ if section == Section::Clients => {
                // From the right: a common name may hold commas, the rest cannot.
                let mut fields = line.rsplitn(5, ',');
                let (_since, sent, received, _address, name) =
                    (fields.next(), fields.next(), fields.next(), fields.next(), fields.next());
                let name = name.ok_or_else(|| bad(at, "a client needs five fields"))?;
                add(&mut status, at, name, received, sent)?;
            }
            _ => {}
        }
    }
    Err(StatusError::Unfinished)
}

/// Versions 2 and 3.
fn parse_columns(text: &str, separator: char) -> Result<Status, StatusError> {
    let mut status = Status::default();
    // Places of name, received and sent bytes after the line's own keyword.
    let mut columns = None;
    for (at, line) in text.lines().enumerate().skip(1) {
        let mut fields = line.split(separator);
        match fields.next().unwrap_or_default() {
            "END" => return Ok(status),
            "TIME" => status.time = fields.nth(1).and_then(|seconds| seconds.parse().ok()),
            "HEADER" if fields.next() == Some("CLIENT_LIST") => {
                let names: Vec<&str> = fields.collect();
                let place = |name: &str| names.iter().position(|column| *column == name);
                columns = Some((
                    place("Common Name").ok_or_else(|| bad(at, "no column \"Common Name\""))?,
                    place("Bytes Received").ok_or_else(|| bad(at, "no column \"Bytes Received\""))?,
                    place("Bytes Sent").ok_or_else(|| bad(at, "no column \"Bytes Sent\""))?,
                ));
            }
            "CLIENT_LIST" => {
                let (name, received, sent) =
                    columns.ok_or_else(|| bad(at, "a client before the names of the columns"))?;
                let values: Vec<&str> = fields.collect();
                let name = values.get(name).ok_or_else(|| bad(at, "too few fields"))?;
                add(&mut status, at, name, values.get(received).copied(), values.get(sent).copied())?;
            }
            "ROUTING_TABLE" => status.routes += 1,
            _ => {}
        }
    }
    Err(StatusError::Unfinished)
}

fn add(
    status: &mut Status,
    line: usize,
    name: &str,
    received: Option<&str>,
    sent: Option<&str>,
) -> Result<(), StatusError> {
    let number = |field: Option<&str>| {
        field.and_then(|text| text.parse().ok()).ok_or_else(|| bad(line, "the bytes of a client are not a number"))
    };
    let session = Session { name: name.to_owned(), receive_bytes: number(received)?, transmit_bytes: number(sent)? };
    if session.name != NOT_YET && status.sessions.len() < MAX_CLIENTS {
        status.sessions.push(session);
    }
    Ok(())
}

/// A client's own status: its counters are those of its device, which we read anyway.
fn parse_client(text: &str) -> Result<Status, StatusError> {
    if text.lines().any(|line| line == "END") {
        return Ok(Status { is_client: true, ..Status::default() });
    }
    Err(StatusError::Unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_1: &str = include_str!("../../../tests/fixtures/openvpn/status-1");
    const VERSION_2: &str = include_str!("../../../tests/fixtures/openvpn/status-2");
    const VERSION_3: &str = include_str!("../../../tests/fixtures/openvpn/status-3");

    #[test]
    fn all_versions_say_the_same() {
        let (one, two, three) = (parse(VERSION_1).unwrap(), parse(VERSION_2).unwrap(), parse(VERSION_3).unwrap());
        assert_eq!(two, three);
        assert_eq!((one.time, two.time), (None, Some(1_795_400_011)));
        assert_eq!(one.sessions, two.sessions);
        assert_eq!((one.routes, two.routes), (4, 4));
        assert_eq!(one.sessions.len(), 3, "one has not logged in yet");
    }

    #[test]
    fn sessions_with_the_same_name_are_summed() {
        let status = parse(VERSION_2).unwrap();
        assert_eq!(status.by_name()["laptop"], (3000 + 40, 5000 + 60));
        assert_eq!(status.by_name()["phone"], (1_099_511_627_776, 7));
    }

    #[test]
    fn columns_are_found_by_name_whatever_their_order() {
        let text = "TITLE,x\nHEADER,CLIENT_LIST,Bytes Sent,Common Name,New,Bytes Received\nCLIENT_LIST,1,a,?,2\nEND\n";
        let status = parse(text).unwrap();
        assert_eq!(status.sessions, [Session { name: "a".into(), receive_bytes: 2, transmit_bytes: 1 }]);
        let commas = "OpenVPN CLIENT LIST\nUpdated,now\nCommon Name,…\nLast, First,1.2.3.4:5,6,7,since\nEND\n";
        assert_eq!(parse(commas).unwrap().sessions[0].name, "Last, First");
    }

    #[test]
    fn a_client_has_no_sessions() {
        let text = "OpenVPN STATISTICS\nUpdated,2026-11-25 16:21:29\nTUN/TAP read bytes,153789941\nEND\n";
        assert!(parse(text).unwrap().is_client);
    }

    #[test]
    fn malformed_ones_say_where() {
        for (text, says) in [
            ("", "no end"),
            ("OpenVPN CLI", "no end"),
            ("nginx status\n", "no status of OpenVPN"),
            ("OpenVPN CLIENT LIST\nUpdated,x\nhead\na,b\nEND\n", "line 4: a client needs five"),
            ("OpenVPN CLIENT LIST\nUpdated,x\nhead\na,b,c,d,e\nEND\n", "line 4: the bytes"),
            ("TITLE,x\nCLIENT_LIST,a\nEND\n", "line 2: a client before"),
            ("TITLE,x\nHEADER,CLIENT_LIST,Name\nEND\n", "line 2: no column"),
            ("TITLE,x\nHEADER,CLIENT_LIST,Common Name,Bytes Received,Bytes Sent\nCLIENT_LIST,a,-1,2\nEND\n", "line 3"),
            ("TITLE,x\nHEADER,CLIENT_LIST,Common Name,Bytes Received,Bytes Sent\nCLIENT_LIST,a,1\nEND\n", "line 3"),
            ("\0\0\0", "no status of OpenVPN"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        for whole in [VERSION_1, VERSION_2, VERSION_3] {
            for end in 0..whole.len() - 1 {
                assert!(parse(&whole[..end]).is_err() || whole[..end].ends_with("END"), "{end}");
            }
        }
    }
}
