use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// How many requests are under way at a time when a result is verified.
const WORKERS: usize = 16;

/// Runs `task` on all items, a few at a time, and returns what they find.
pub(crate) async fn on_all<I, O, F>(items: Vec<I>, task: impl Fn(I) -> F + Clone + Send + 'static) -> Vec<O>
where
    I: Send + 'static,
    O: Send + 'static,
    F: Future<Output = Vec<O>> + Send,
{
    let queue = Arc::new(Mutex::new(items.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (queue, task) = (Arc::clone(&queue), task.clone());
        workers.spawn(async move {
            let mut found = Vec::new();
            loop {
                // The lock must not outlive this statement, hence no `while let`.
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(item) = next else { return found };
                found.extend(task(item).await);
            }
        });
    }
    // A panic of a worker becomes ours.
    workers.join_all().await.into_iter().flatten().collect()
}
