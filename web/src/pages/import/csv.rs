//! Comma-separated values (RFC 4180): fields may stand in quotes, and hold commas, line feeds and doubled quotes then.

/// A record, and the line on which it begins, from 1.
pub(super) type Record = (usize, Vec<String>);

/// The records of a text. Blank lines are none.
///
/// # Errors
/// A quote is not closed, or something stands behind one.
pub(super) fn read(text: &str) -> Result<Vec<Record>, String> {
    let (mut records, mut record, mut line, mut begun) = (Vec::new(), Vec::new(), 1, 1);
    let mut letters = text.chars().peekable();
    loop {
        let mut field = String::new();
        let is_quoted = letters.next_if_eq(&'"').is_some();
        if is_quoted {
            loop {
                match letters.next() {
                    Some('"') if letters.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(letter) => {
                        line += usize::from(letter == '\n');
                        field.push(letter);
                    }
                    None => return Err(format!("line {begun}: a quote is not closed")),
                }
            }
        }
        let end = loop {
            match letters.next() {
                end @ (Some(',' | '\n') | None) => break end,
                Some('\r') if matches!(letters.peek(), Some('\n') | None) => {}
                Some(letter) if is_quoted && !letter.is_whitespace() => {
                    return Err(format!("line {line}: a comma must follow a closing quote, not {letter:?}"));
                }
                Some(_) if is_quoted => {}
                Some(letter) => field.push(letter),
            }
        };
        record.push(if is_quoted { field } else { field.trim().to_owned() });
        if end == Some(',') {
            continue;
        }
        let is_blank = matches!(record.as_slice(), [only] if only.is_empty());
        let whole = std::mem::take(&mut record);
        if !is_blank {
            records.push((begun, whole));
        }
        line += 1;
        begun = line;
        if end.is_none() {
            return Ok(records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        read(text).unwrap().into_iter().map(|(_, record)| record).collect()
    }

    #[test]
    fn records_are_lines_and_fields_stand_between_commas() {
        assert_eq!(fields("a, b ,\r\n\r\n,c\n"), [vec!["a", "b", ""], vec!["", "c"]]);
        assert!(fields("").is_empty() && fields("\n \n").is_empty());
        assert_eq!(fields("a\r"), [["a"]]);
    }

    #[test]
    fn quotes_hold_what_would_end_a_field() {
        assert_eq!(fields("\"a,\"\"b\"\"\nc\",d\n\" e \" ,f"), [["a,\"b\"\nc", "d"], [" e ", "f"]]);
        let records = read("\"a\nb\",c\nd,e\n").unwrap();
        assert_eq!(records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(read("a\n\"b,c\nd").unwrap_err(), "line 2: a quote is not closed");
        assert_eq!(read("\"a\"b").unwrap_err(), "line 1: a comma must follow a closing quote, not 'b'");
    }
}
