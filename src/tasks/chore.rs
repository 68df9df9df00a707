//! Work that time brings: it runs beside the validations, so that a slow one holds up nobody, and one of a kind runs at
//! a time.

use std::time::Duration;

use tokio::task::JoinHandle;

/// One kind of work.
pub(super) struct Chore {
    /// What it is, for the log.
    name: &'static str,
    running: Option<JoinHandle<()>>,
}

impl Chore {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, running: None }
    }

    /// Begins it, unless the last one is still under way: then the next turn is soon enough.
    pub(super) async fn begin(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(running) = self.running.take_if(|running| running.is_finished())
            && let Err(error) = running.await
        {
            tracing::error!(chore = self.name, %error, "it ended in a way that it must not; it is begun again");
        }
        if self.running.is_none() {
            self.running = Some(tokio::spawn(work));
        }
    }

    /// Gives what is under way a moment. Each step is kept or not at all, and the next start takes up what is left.
    pub(super) async fn stop(self, grace: Duration) {
        let Some(mut running) = self.running else { return };
        if tokio::time::timeout(grace, &mut running).await.is_err() {
            tracing::warn!(chore = self.name, "it does not end in time; the next start takes it up");
            running.abort();
            let _ = running.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Counts itself, then waits to be let go.
    async fn work(begun: Arc<AtomicUsize>, go: Arc<Notify>) {
        begun.fetch_add(1, Ordering::Relaxed);
        go.notified().await;
    }

    async fn until(reached: impl Fn() -> bool) {
        while !reached() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_of_a_kind_runs_at_a_time_and_begins_anew_when_it_ended() {
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let count = || begun.load(Ordering::Relaxed);
        let mut chore = Chore::new("test");
        for _ in 0..3 {
            chore.begin(work(Arc::clone(&begun), Arc::clone(&go))).await;
            until(|| count() == 1).await;
        }
        go.notify_one();
        until(|| chore.running.as_ref().is_some_and(JoinHandle::is_finished)).await;
        assert_eq!(count(), 1, "those that came meanwhile did not begin");
        chore.begin(work(Arc::clone(&begun), Arc::clone(&go))).await;
        until(|| count() == 2).await;
        go.notify_one();
        chore.stop(Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn one_that_broke_begins_again() {
        let mut chore = Chore::new("test");
        chore.begin(async { std::panic::resume_unwind(Box::new("broken")) }).await;
        until(|| chore.running.as_ref().is_some_and(JoinHandle::is_finished)).await;
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        chore.begin(work(Arc::clone(&begun), Arc::clone(&go))).await;
        until(|| begun.load(Ordering::Relaxed) == 1).await;
        go.notify_one();
        chore.stop(Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn a_stop_waits_a_moment_and_no_longer() {
        let ended = Arc::new(AtomicUsize::new(0));
        let mut chore = Chore::new("test");
        let in_time = Arc::clone(&ended);
        chore
            .begin(async move {
                tokio::task::yield_now().await;
                in_time.fetch_add(1, Ordering::Relaxed);
            })
            .await;
        chore.stop(Duration::from_secs(60)).await;
        assert_eq!(ended.load(Ordering::Relaxed), 1, "what ends soon is let end");

        let mut chore = Chore::new("test");
        chore.begin(std::future::pending()).await;
        chore.stop(Duration::ZERO).await;
    }
}
