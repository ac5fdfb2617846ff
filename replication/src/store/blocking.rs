//! How work that blocks on a disk is run: on a thread of its own, or, in a simulation, at once and in the caller.
//!
//! Never runs two jobs of one worker at the same time, and never in another order than they were given.

use std::io;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// The way of running blocking work, chosen where a group is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// Threads of their own: production.
    Threads,
    /// At once, in the caller: simulations, which own every thread and every step of time.
    Inline,
}

/// The worker, or the thread that should have done the work, is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker has stopped")]
pub struct Stopped;

impl Blocking {
    /// Runs one piece of work, for things that happen rarely (a snapshot); it gets a thread of its own.
    ///
    /// # Errors
    /// [`Stopped`] if no thread could be had, or the work panicked.
    pub async fn run<T, W>(self, name: &'static str, work: W) -> Result<T, Stopped>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Inline => Ok(work()),
            Self::Threads => {
                let (answer, answered) = oneshot::channel();
                let thread = std::thread::Builder::new().name(name.to_owned());
                // A caller that has gone away no longer wants the answer.
                thread.spawn(move || drop(answer.send(work()))).map_err(|_| Stopped)?;
                answered.await.map_err(|_| Stopped)
            }
        }
    }
}

/// Serves jobs one batch after the other.
pub struct Worker<J> {
    lane: Lane<J>,
    name: &'static str,
}

enum Lane<J> {
    Thread(Mutex<Option<(mpsc::Sender<J>, JoinHandle<()>)>>),
    Inline(Mutex<Option<Serve<J>>>),
}

type Serve<J> = Box<dyn FnMut(&mut Vec<J>) + Send>;

/// The bounds of a worker's queue.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    /// Jobs that may wait; whoever brings one more waits too.
    pub jobs_max: usize,
    /// Jobs that are served together.
    pub batch_max: usize,
}

impl<J: Send + 'static> Worker<J> {
    /// Starts a worker. `serve` must empty the batch that it is given.
    ///
    /// # Errors
    /// If no thread could be had.
    pub fn start(
        blocking: Blocking,
        name: &'static str,
        queue: Queue,
        mut serve: impl FnMut(&mut Vec<J>) + Send + 'static,
    ) -> io::Result<Self> {
        let lane = match blocking {
            Blocking::Inline => Lane::Inline(Mutex::new(Some(Box::new(serve)))),
            Blocking::Threads => {
                let (sender, mut jobs) = mpsc::channel(queue.jobs_max);
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                    let mut batch = Vec::new();
                    while jobs.blocking_recv_many(&mut batch, queue.batch_max) > 0 {
                        serve(&mut batch);
                        batch.clear();
                    }
                })?;
                Lane::Thread(Mutex::new(Some((sender, thread))))
            }
        };
        Ok(Self { lane, name })
    }

    /// Gives the worker a job; waits while the queue is full.
    ///
    /// # Errors
    /// [`Stopped`] if the worker was stopped or panicked.
    pub async fn submit(&self, job: J) -> Result<(), Stopped> {
        match &self.lane {
            Lane::Thread(running) => {
                let sender = running.lock().as_ref().map(|(sender, _)| sender.clone()).ok_or(Stopped)?;
                sender.send(job).await.map_err(|_| Stopped)
            }
            Lane::Inline(serve) => {
                serve.lock().as_mut().ok_or(Stopped)?(&mut vec![job]);
                Ok(())
            }
        }
    }
}

impl<J> Worker<J> {
    /// Serves what is queued, then stops. Blocks for that long; a second call does nothing.
    pub fn stop(&self) {
        match &self.lane {
            Lane::Inline(serve) => drop(serve.lock().take()),
            Lane::Thread(running) => {
                let Some((sender, thread)) = running.lock().take() else { return };
                drop(sender);
                // The last handle may be dropped by the worker's own job, which cannot wait for itself.
                if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                    tracing::error!(worker = self.name, "the worker panicked");
                }
            }
        }
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.stop();
    }
}
