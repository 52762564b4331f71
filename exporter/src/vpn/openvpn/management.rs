//! OpenVPN's management interface, management-notes.txt: `status 3` is all that is asked.

use std::path::Path;
use std::time::Duration;

use crate::config::Endpoint;
use crate::root::Root;
use crate::sampler::SampleError;
use crate::vpn::ask;

use super::status::{self, Status};

/// How it asks for the password, without a line end.
const PASSWORD_PROMPT: &[u8] = b"ENTER PASSWORD:";

/// The last line of a status.
const END: &[u8] = b"\nEND\r\n";

/// Asks for the status, and leaves: as long as we are there, nobody else can ask.
///
/// # Errors
/// Nobody answers in time (somebody else may be connected), the password is wrong, or the answer is no
/// status.
pub async fn ask(
    root: &Root,
    endpoint: &Endpoint,
    password_file: Option<&Path>,
    budget: Duration,
) -> Result<Status, SampleError> {
    // Below the root, as every path of the host.
    let endpoint = match endpoint {
        Endpoint::Unix(path) => Endpoint::Unix(root.path(path)),
        tcp @ Endpoint::Tcp(_) => tcp.clone(),
    };
    let password = password_file.map(|file| root.text(file)).transpose()?;
    let conversation = async {
        let mut stream = ask::connect(&endpoint).await?;
        if let Some(password) = &password {
            ask::read_until(&mut stream, &endpoint, |text| text.ends_with(PASSWORD_PROMPT)).await?;
            ask::send(&mut stream, &endpoint, format!("{}\n", password.trim()).as_bytes()).await?;
        }
        ask::send(&mut stream, &endpoint, b"status 3\n").await?;
        let enough = |text: &[u8]| text.ends_with(END) || text.ends_with(PASSWORD_PROMPT);
        let answer = ask::read_until(&mut stream, &endpoint, enough).await?;
        ask::send(&mut stream, &endpoint, b"quit\n").await?;
        Ok(answer)
    };
    let answer = ask::within(budget, &endpoint, conversation).await?;
    parse(&answer, password.is_some()).map_err(|reason| SampleError::parse(&endpoint, reason))
}

fn parse(answer: &[u8], has_password: bool) -> Result<Status, String> {
    if answer.ends_with(PASSWORD_PROMPT) {
        let mend = if has_password { "the password is wrong" } else { "set `control_password_file`" };
        return Err(format!("it asks for a password: {mend}"));
    }
    let text = String::from_utf8_lossy(answer);
    // Lines that begin with ">" come at any time and tell other things.
    let lines = text.lines().map(str::trim_end).filter(|line| !line.starts_with('>') && !line.starts_with("SUCCESS:"));
    let status: String = lines.fold(String::new(), |all, line| all + line + "\n");
    status::parse(status.trim_start_matches(|c: char| c.is_control())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_unasked_is_read_past() {
        let answer = ">INFO:OpenVPN Management Interface Version 5\r\nTITLE\tOpenVPN\r\nTIME\tnow\t7\r\n\
            >CLIENT:ESTABLISHED,0\r\nHEADER\tCLIENT_LIST\tCommon Name\tBytes Received\tBytes Sent\r\n\
            CLIENT_LIST\ta\t1\t2\r\nEND\r\n";
        let status = parse(answer.as_bytes(), false).unwrap();
        assert_eq!((status.time, status.sessions.len()), (Some(7), 1));
    }

    #[test]
    fn refusals_say_what_to_do() {
        assert!(parse(PASSWORD_PROMPT, false).unwrap_err().contains("control_password_file"));
        assert!(parse(PASSWORD_PROMPT, true).unwrap_err().contains("wrong"));
        for bad in [&b""[..], b"ERROR: unknown command\r\n", b"\xff\xfe"] {
            assert!(parse(bad, false).is_err());
        }
    }
}
