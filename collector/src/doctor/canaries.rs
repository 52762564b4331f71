//! The canaries of `[guard]`: do they take connections.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Finding, Site};

const CHECK: &str = "canaries";
/// One that takes longer is no witness either.
const WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn check(site: &Site) -> Finding {
    let canaries = &site.config.guard.canaries;
    judge(canaries.len(), &silent(canaries).await)
}

/// Those that take no connection.
async fn silent(canaries: &[SocketAddr]) -> Vec<SocketAddr> {
    let answers = join_all(canaries.iter().map(|canary| timeout(WITHIN, TcpStream::connect(canary)))).await;
    let answered = answers.iter().map(|answer| matches!(answer, Ok(Ok(_))));
    canaries.iter().zip(answered).filter(|(_, answered)| !answered).map(|(canary, _)| *canary).collect()
}

fn judge(canaries: usize, silent: &[SocketAddr]) -> Finding {
    let names = silent.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
    match (canaries, silent.len()) {
        (0, _) => Finding::ok(CHECK, "none named; the servers are each other's witnesses"),
        (canaries, 0) => Finding::ok(CHECK, format!("{canaries} answer")),
        (canaries, silent) if silent < canaries => Finding::warning(
            CHECK,
            format!("{silent} of {canaries} do not answer: {names}"),
            "see whether they are up, or name others in [guard]",
        ),
        _ => Finding::problem(
            CHECK,
            format!("none answers: {names}"),
            "see that this machine reaches them; without a witness no server turns down",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::Verdict::{Ok as Fine, Problem, Warning};
    use super::*;

    #[tokio::test]
    async fn who_takes_no_connection_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(silent(&[there, gone]).await, [gone]);
        assert_eq!(judge(0, &[]).verdict, Fine);
        assert_eq!(judge(2, &[]).verdict, Fine);
        let some = judge(2, &[gone]);
        assert!(some.verdict == Warning && some.text.contains(&gone.to_string()), "{some}");
        assert_eq!(judge(1, &[gone]).verdict, Problem);
    }
}
