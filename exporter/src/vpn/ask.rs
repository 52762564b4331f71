//! Asking a service about itself: one question, one answer, within bounds.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::Endpoint;
use crate::sampler::SampleError;

/// Largest answer taken. Xray's counters of 10,000 users have about 1 MiB.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// A connection to a service.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects.
///
/// # Errors
/// Nobody listens, or we may not connect.
pub async fn connect(endpoint: &Endpoint) -> Result<Box<dyn Stream>, SampleError> {
    let connected = match endpoint {
        Endpoint::Tcp(address) => TcpStream::connect(address).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
        Endpoint::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
    };
    connected.map_err(|source| SampleError::Connect { endpoint: endpoint.to_string(), source })
}

/// Runs a conversation with `endpoint` for at most `budget`.
///
/// # Errors
/// The conversation fails or takes too long.
pub async fn within<T>(
    budget: Duration,
    endpoint: &Endpoint,
    conversation: impl Future<Output = Result<T, SampleError>>,
) -> Result<T, SampleError> {
    timeout(budget, conversation).await.unwrap_or_else(|_| {
        Err(SampleError::Silent { endpoint: endpoint.to_string(), milliseconds: budget.as_millis() as u64 })
    })
}

/// Reads until the other side closes or `enough` says so of what came.
///
/// # Errors
/// The connection breaks, or the answer is too long.
pub async fn read_until(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    endpoint: &Endpoint,
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, SampleError> {
    let mut answer = Vec::new();
    while !enough(&answer) {
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(SampleError::parse(endpoint, format_args!("answers with more than {MAX_ANSWER_BYTES} bytes")));
        }
        match stream.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(source) => return Err(SampleError::Connect { endpoint: endpoint.to_string(), source }),
        }
    }
    Ok(answer)
}

/// Sends all of `question`.
///
/// # Errors
/// The connection breaks.
pub async fn send(
    stream: &mut (impl AsyncWrite + Unpin + ?Sized),
    endpoint: &Endpoint,
    question: &[u8],
) -> Result<(), SampleError> {
    let sent = stream.write_all(question).await;
    sent.map_err(|source| SampleError::Connect { endpoint: endpoint.to_string(), source })
}

/// `GET path` over HTTP/1.0, so that the answer ends with the connection. Gives the body of a 200.
///
/// # Errors
/// Nobody answers in time, or not with a 200.
pub async fn http_get(endpoint: &Endpoint, path: &str, budget: Duration) -> Result<String, SampleError> {
    let conversation = async {
        let mut stream = connect(endpoint).await?;
        let host = match endpoint {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix(_) => "localhost".to_owned(),
        };
        let question = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        send(&mut stream, endpoint, question.as_bytes()).await?;
        read_until(&mut stream, endpoint, |_| false).await
    };
    let answer = within(budget, endpoint, conversation).await?;
    parse_http(&String::from_utf8_lossy(&answer))
        .map_err(|reason| SampleError::parse(format!("{endpoint}{path}"), reason))
}

fn parse_http(answer: &str) -> Result<String, String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.")?.split(' ').nth(1));
    match status {
        Some("200") => Ok(body.to_owned()),
        Some(status @ ("401" | "403")) => Err(format!("we may not ask (status {status})")),
        Some(status) => Err(format!("answers with status {}", status.escape_debug())),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_has_a_body() {
        assert_eq!(parse_http("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\nmore").unwrap(), "body\r\n\r\nmore");
        for (bad, says) in [
            ("", "not HTTP"),
            ("HTTP/1.1 200 OK\r\n", "not HTTP"),
            ("SSH-2.0\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "may not ask"),
            ("HTTP/1.1 \u{7}\r\n\r\n", "\\u{7}"),
        ] {
            assert!(parse_http(bad).unwrap_err().contains(says), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let endpoint = Endpoint::Unix("/x".into());
        let error = read_until(&mut tokio::io::repeat(b'x'), &endpoint, |_| false).await.unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
