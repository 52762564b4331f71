//! The loops that run beside engine and recorder, by name: none of them may end before it is told to.

use std::collections::HashMap;

use tokio::task::{Id, JoinSet};

/// Running loops.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a loop.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until one of them ended, and names it; for ever when none runs.
    pub(super) async fn ended(&mut self) -> &'static str {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            // What it panicked with stands in the log already.
            Some(Err(error)) => error.id(),
            None => std::future::pending().await,
        };
        self.names.remove(&id).unwrap_or("a task")
    }

    /// Waits until all have ended.
    pub(super) async fn join(mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_ends_is_named_even_when_it_panics() {
        let mut tasks = Tasks::default();
        tasks.spawn("lasting", std::future::pending());
        tasks.spawn("short", async {});
        assert_eq!(tasks.ended().await, "short");
        tasks.spawn("broken", async { panic!("on purpose") });
        assert_eq!(tasks.ended().await, "broken");
    }
}
