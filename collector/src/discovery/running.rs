//! Discovery while the collector runs: looks at files, asks for lists, follows the inventory, and takes other sources when
//! the configuration is read again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::again::{Again, Read};
use super::file_sd::FileSource;
use super::http_sd::{Answer, Asker, HttpSource};
use super::{Discovery, Told};

/// Sets that the inventory refused are offered again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Questions for lists that are under way or due later.
type Questions = JoinSet<Told>;

impl Discovery {
    /// Looks at the sources until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut views = self.fleet.subscribe();
        let mut next_look = Instant::now() + self.refresh;
        let mut questions = self.questions(|asker| asker.refresh());
        loop {
            let looked = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(next_look) => {
                    next_look = Instant::now() + self.refresh;
                    self.refresh().await
                }
                Some(told) = questions.join_next() => match told {
                    Ok((place, answer)) => {
                        if let Some(list) = self.lists.get(place) {
                            questions.spawn(ask_later(Arc::clone(list.asker()), place, list.asker().refresh()));
                        }
                        self.take((place, answer)).await
                    }
                    // A panic: the whole collector ends rather than that a list is never asked for again.
                    Err(lost) => {
                        tracing::error!(%lost, "a question for a target list broke off");
                        return;
                    }
                },
                Some((sources, answer)) = self.asked.recv() => {
                    let read = self.reload(sources).await;
                    // What was asked before may be of lists that went, or have another place now.
                    questions = self.questions(|_| Duration::ZERO);
                    // What the inventory refused is tried again soon.
                    next_look = Instant::now() + if self.is_owing { self.refresh.min(RETRY_AFTER) } else { self.refresh };
                    // Whoever does not wait any more finds it in the log.
                    drop(answer.send(read));
                    continue;
                }
                Ok(()) = views.changed() => self.follow().await,
            };
            if let Err(error) = looked {
                self.inventory_version = 0;
                next_look = next_look.min(Instant::now() + RETRY_AFTER);
                tracing::error!(%error, "discovered servers could not be registered; trying again");
            }
        }
    }

    /// A question for each list after a while, each by itself: a slow one keeps neither files nor other lists waiting.
    fn questions(&self, wait: impl Fn(&Asker) -> Duration) -> Questions {
        let lists = self.lists.iter().map(HttpSource::asker).enumerate();
        lists.map(|(place, asker)| ask_later(Arc::clone(asker), place, wait(asker))).collect()
    }

    /// Takes the sources of another configuration, reads every file, whether it changed or not, and publishes the new set.
    /// A file that cannot be used keeps its last good content. Lists stay as they are, new ones as they were last; all are
    /// asked for anew afterwards.
    async fn reload(&mut self, again: Again) -> Read {
        let mut problems = Vec::new();
        self.refresh = again.refresh;
        self.fixed = again.fixed;
        self.fixed.retain(|candidate| {
            let denied = self.policy.check_endpoint(&candidate.endpoint).err();
            problems.extend(denied.map(|denied| {
                format!("target {}: {denied}; other `inside_networks` need a restart", candidate.endpoint)
            }));
            denied.is_none()
        });
        self.take_files(again.files);
        problems.extend(self.take_lists(&again.lists));
        if let Err(error) = self.follow_sources(true).await {
            tracing::error!(%error, "discovered servers could not be registered; trying again");
            problems.push(format!("the store did not take the servers yet, which is tried again: {error}"));
        }
        let told = self.told_problems.borrow().clone();
        problems.extend(told.files.into_iter().chain(told.lists));
        Read { targets: self.published.borrow().len(), problems }
    }

    fn take_files(&mut self, paths: Vec<std::path::PathBuf>) {
        let mut known = std::mem::take(&mut self.files);
        for path in paths {
            let place = known.iter().position(|file| file.path() == path);
            let mut file = match place {
                Some(place) => known.swap_remove(place),
                None => FileSource::new(path, Arc::clone(&self.policy)).with_copy_in(&self.data_dir),
            };
            file.forget();
            if let Err(error) = file.refresh() {
                self.metrics.count_unusable(crate::metrics::Source::File);
                tracing::warn!(%error, "target file not used; its last good content stays in force");
                if place.is_none() {
                    // A new one has content only if it was in use before. Its problem is told either way.
                    let _ = file.use_copy();
                }
            }
            self.files.push(file);
        }
    }

    /// Takes other lists; returns what is wrong with any.
    fn take_lists(&mut self, lists: &[crate::config::HttpSd]) -> Option<String> {
        let mut known = std::mem::take(&mut self.lists);
        let mut problem = None;
        for config in lists {
            if let Some(place) = known.iter().position(|list| list.config() == config) {
                self.lists.push(known.swap_remove(place));
                continue;
            }
            match HttpSource::new(config, &self.accesses, &self.policy, &self.data_dir) {
                Ok(mut list) => {
                    // Without one its targets come with the first answer.
                    let _ = list.use_copy();
                    self.lists.push(list);
                }
                Err(error) => problem = Some(error.to_string()),
            }
        }
        problem
    }
}

/// Asks for the list at `place` after a while.
async fn ask_later(asker: Arc<Asker>, place: usize, wait: Duration) -> (usize, Answer) {
    tokio::time::sleep(wait).await;
    (place, asker.ask().await)
}
