//! Named, owned tasks: every one is joined at shutdown, and one that panics ends the process rather than going missing.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most panics that are told of; the first one already ends the process.
const PANICS_MAX: usize = 16;

/// A task that ended by a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task {name} panicked; the log holds its last words")]
pub struct TaskPanicked {
    /// Which.
    pub name: &'static str,
}

/// Where the panics of a process's tasks are told.
#[derive(Debug)]
pub struct Panics {
    sender: mpsc::Sender<TaskPanicked>,
    receiver: mpsc::Receiver<TaskPanicked>,
}

impl Default for Panics {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(PANICS_MAX);
        Self { sender, receiver }
    }
}

impl Panics {
    /// Waits for the first panic of any task.
    pub async fn next(&mut self) -> TaskPanicked {
        self.receiver.recv().await.expect("this end holds a sender itself, so the channel stays open")
    }

    /// The tasks of one part of the process, run by one runtime.
    pub fn tasks(&self, runtime: &Handle) -> Tasks {
        Tasks {
            runtime: runtime.clone(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            panicked: self.sender.clone(),
        }
    }
}

/// The tasks of one part of the process.
#[derive(Debug, Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    stop: CancellationToken,
    panicked: mpsc::Sender<TaskPanicked>,
}

impl Tasks {
    /// Starts a task. It must end soon after [`Tasks::stop_signal`] is cancelled.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let panicked = self.panicked.clone();
        let running = self.runtime.spawn(task);
        let watched = async move {
            if let Err(error) = running.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a task panicked");
                // a full or closed channel means that the process is going down already
                let _ = panicked.try_send(TaskPanicked { name });
            }
        };
        self.tracker.spawn_on(watched, &self.runtime);
    }

    /// Starts a task that has no end of its own: it is dropped when the others are told to stop.
    pub fn spawn_endless(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            stop.run_until_cancelled_owned(task).await;
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
        let mut panics = Panics::default();
        let tasks = panics.tasks(&Handle::current());
        let stop = tasks.stop_signal().clone();
        tasks.spawn("patient", async move { stop.cancelled().await });
        tasks.spawn_endless("endless", std::future::pending());
        tasks.spawn("hasty", async { panic!("planted by the test") });
        assert_eq!(panics.next().await, TaskPanicked { name: "hasty" });
        tasks.stop().await;
        assert!(panics.receiver.try_recv().is_err(), "every task is gone, and told of no more than once");
    }
}
