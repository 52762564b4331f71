//! Answers what the other subcommands ask.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::collecting::Targets;
use mect_fleet::store::{Backup, Companion, StoreState};
use mect_fleet::{Fleet, Timestamp};
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{BACKUP, MAX_LINE_BYTES, OK, Place, REFUSED, SOCKET, STATUS, Status, TARGETS};
use crate::discovery::TargetSet;
use crate::run;

/// Whoever connects and asks nothing is not waited for.
const QUESTION_WITHIN: Duration = Duration::from_secs(5);
/// A snapshot holds on to disk that is free otherwise: whoever takes nothing of it for so long has it no more.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Within that time it is looked at this often whether the collector stops.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Asked for at once; more wait.
const MAX_CONVERSATIONS: usize = 8;

/// What is asked about.
pub struct Parts {
    /// The fleet.
    pub fleet: Arc<Fleet>,
    /// What this collector scrapes.
    pub targets: watch::Receiver<TargetSet>,
    /// All targets, whoever scrapes them.
    pub discovered: Arc<dyn Targets>,
    /// `embedded` or `mongo`.
    pub store: &'static str,
    /// Gives the store, where it can be given.
    pub backup: Option<Arc<dyn Backup>>,
    /// Files of the data directory that belong into a backup, where they exist.
    pub companions: Vec<PathBuf>,
    /// Since when this collector runs.
    pub started_at: Timestamp,
}

/// The socket, and who answers there.
pub struct Control {
    listener: UnixListener,
    /// Removed at the end.
    path: PathBuf,
    answers: Arc<Answers>,
}

struct Answers {
    parts: Parts,
    /// One backup at a time.
    backing_up: Mutex<()>,
    stop: CancellationToken,
}

impl Control {
    /// Listens in `data_dir`, which this process has for itself: what lies there from before is of nobody.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn bind(data_dir: &Path, parts: Parts, stop: CancellationToken) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(Place::of(data_dir)?.path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path, answers: Arc::new(Answers { parts, backing_up: Mutex::default(), stop }) })
    }

    /// Answers until it is told to stop.
    pub async fn run(self) {
        let mut conversations = JoinSet::new();
        let stop = self.answers.stop.clone();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    conversations.spawn(Arc::clone(&self.answers).answer(stream));
                }
                // No descriptor is free: whoever asks waits, and so does this.
                Err(error) => {
                    tracing::warn!(%error, "the control socket does not accept");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            while conversations.try_join_next().is_some() {}
            while conversations.len() >= MAX_CONVERSATIONS {
                conversations.join_next().await;
            }
        }
        // A backup under way ends by itself now: its writer is told.
        while conversations.join_next().await.is_some() {}
        let _ = std::fs::remove_file(self.path);
    }
}

impl Answers {
    async fn answer(self: Arc<Self>, mut stream: UnixStream) {
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw()) {
            return;
        }
        let mut line = String::new();
        let asked = async {
            let mut question = BufReader::new((&mut stream).take(MAX_LINE_BYTES));
            question.read_line(&mut line).await
        };
        let answered = match timeout(QUESTION_WITHIN, asked).await {
            Ok(Ok(_)) => match line.trim_end() {
                STATUS => say(&mut stream, &format!("{OK}\n{}", self.status())).await,
                BACKUP => self.back_up(stream).await,
                TARGETS => self.list_targets(stream).await,
                _ => say(&mut stream, &format!("{REFUSED} this version does not know the question\n")).await,
            },
            _ => return,
        };
        if let Err(error) = answered {
            tracing::warn!(%error, question = line.trim_end(), "an answer on the control socket broke off");
        }
    }

    fn status(&self) -> String {
        let Parts { fleet, targets, store, started_at, .. } = &self.parts;
        let store_lost_since = match fleet.store_state() {
            StoreState::Answers => None,
            StoreState::Lost { since } => Some(since),
        };
        let status = Status {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            started_at: *started_at,
            store: (*store).to_owned(),
            store_lost_since,
            servers: fleet.view().servers().len(),
            targets: targets.borrow().len(),
            open_files: run::open_files(),
            open_files_allowed: run::open_files_allowed(),
        };
        serde_json::to_string(&status).unwrap_or_default()
    }

    async fn list_targets(&self, mut stream: UnixStream) -> io::Result<()> {
        let (view, targets) = (self.parts.fleet.view(), self.parts.discovered.snapshot());
        let text = tokio::task::spawn_blocking(move || mect_web::target_file(&view, &targets)).await;
        let text = format!("{OK}\n{}", text.map_err(io::Error::other)?);
        timeout(TAKEN_WITHIN, stream.write_all(text.as_bytes())).await.map_err(io::Error::from)?
    }

    async fn back_up(&self, mut stream: UnixStream) -> io::Result<()> {
        let Some(backup) = &self.parts.backup else {
            return say(&mut stream, &format!("{REFUSED} the fleet is kept in MongoDB; use mongodump\n")).await;
        };
        let Ok(_turn) = self.backing_up.try_lock() else {
            return say(&mut stream, &format!("{REFUSED} another backup is being taken; try again later\n")).await;
        };
        let companions = match self.companions() {
            Ok(companions) => companions,
            Err(error) => return say(&mut stream, &format!("{REFUSED} {error}\n")).await,
        };
        say(&mut stream, &format!("{OK}\n")).await?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(LOOK_EVERY))?;
        let outlet = Outlet { stream, stop: self.stop.clone() };
        let tally = backup.back_up(companions, Box::new(outlet)).await.map_err(io::Error::other)?;
        tracing::info!(tables = tally.tables, rows = tally.rows, "backup given");
        Ok(())
    }

    fn companions(&self) -> io::Result<Vec<Companion>> {
        companions(&self.parts.companions)
    }
}

/// Those of `paths` that exist.
pub(crate) fn companions(paths: &[PathBuf]) -> io::Result<Vec<Companion>> {
    let mut companions = Vec::new();
    for path in paths {
        match std::fs::read(path) {
            Ok(bytes) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                companions.push(Companion { name, bytes });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
        }
    }
    Ok(companions)
}

async fn say(stream: &mut UnixStream, text: &str) -> io::Result<()> {
    timeout(QUESTION_WITHIN, stream.write_all(text.as_bytes())).await.map_err(io::Error::from)?
}

/// Where a backup goes, unless the collector stops.
struct Outlet {
    stream: BlockingStream,
    stop: CancellationToken,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let started = Instant::now();
        loop {
            if self.stop.is_cancelled() {
                return Err(io::Error::other("the collector stops"));
            }
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && started.elapsed() < TAKEN_WITHIN => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
