//! Named, owned tasks: every one is joined at shutdown, and one that panics ends the process rather than going missing.

use std::future::Future;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A task that ended by a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task {name} panicked")]
pub struct TaskPanicked {
    /// Which.
    pub name: &'static str,
}

/// The tasks of one part of the process.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    panicked: mpsc::UnboundedSender<TaskPanicked>,
}

impl Tasks {
    /// No tasks yet; the receiver tells of those that panic. One message a task, so the channel is bounded by their number.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<TaskPanicked>) {
        let (panicked, receiver) = mpsc::unbounded_channel();
        (Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), panicked }, receiver)
    }

    /// Starts a task on the runtime of the caller. It must end soon after [`Tasks::stop_signal`] is cancelled.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let panicked = self.panicked.clone();
        let running = tokio::spawn(task);
        self.tracker.spawn(async move {
            if let Err(error) = running.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a task panicked");
                // nobody listens once the process is going down anyway
                let _ = panicked.send(TaskPanicked { name });
            }
        });
    }

    /// Cancelled when the tasks are to end.
    pub const fn stop_signal(&self) -> &CancellationToken {
        &self.stop
    }

    /// Tells every task to end, and waits until all have.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_task_is_told_of_and_the_others_are_joined() {
        let (tasks, mut panicked) = Tasks::new();
        let stop = tasks.stop_signal().clone();
        tasks.spawn("patient", async move { stop.cancelled().await });
        tasks.spawn("hasty", async { panic!("planted by the test") });
        assert_eq!(panicked.recv().await, Some(TaskPanicked { name: "hasty" }));
        tasks.stop().await;
        assert_eq!(panicked.recv().await, None, "every task is gone, and told of no more than once");
    }
}
