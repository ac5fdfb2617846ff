//! Bodies that nobody wants, read out and dropped after their answer has left.
//!
//! An answer over a body that is still on its way may be lost with it: HTTP/1 closes the connection under a client that
//! writes, HTTP/2 resets the stream, and some clients drop the answer then. Never keeps what it reads, never reads for
//! longer or more than its bounds, and under a flood rather lets connections break.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Body as _;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::body;

/// Bodies read out at once.
const BODIES_MAX: usize = 256;
/// Of one body: somewhat more than the largest that any call takes.
const BYTES_MAX: usize = 1024 * 1024;
/// How long one body may take.
const TIME_MAX: Duration = Duration::from_secs(2);

/// The bodies being read out. Clones share them.
#[derive(Debug, Clone)]
pub struct Leftovers {
    room: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Default for Leftovers {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(BODIES_MAX)), tasks: TaskTracker::new() }
    }
}

impl Leftovers {
    /// Takes a body to be read out while its answer leaves. One too many is dropped at once.
    pub fn take(&self, body: Body) {
        if body.is_end_stream() {
            return;
        }
        if let Ok(place) = Arc::clone(&self.room).try_acquire_owned() {
            self.tasks.spawn(async move {
                body::discard(body, BYTES_MAX, TIME_MAX).await;
                drop(place);
            });
        }
    }

    /// Waits until none is left, once the connections that carry them have ended.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio::sync::mpsc;

    use super::*;

    /// A body that arrives when the test sends it.
    fn arriving() -> (mpsc::Sender<Bytes>, Body) {
        let (sender, receiver) = mpsc::channel(1);
        let pieces = futures::stream::unfold(receiver, |mut receiver| async {
            let piece: Bytes = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(Frame::data(piece)), receiver))
        });
        (sender, Body::new(StreamBody::new(pieces)))
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_no_further_than_its_bound() {
        let leftovers = Leftovers::default();
        let (sender, body) = arriving();
        leftovers.take(body);
        for _ in 0..3 {
            sender.send(Bytes::from_static(b"unwanted")).await.expect("somebody reads");
        }
        drop(sender);
        let (sender, body) = arriving();
        leftovers.take(body);
        let huge = Bytes::from(vec![0; BYTES_MAX]);
        sender.send(huge.clone()).await.expect("somebody reads");
        while sender.send(huge.clone()).await.is_ok() {}
        leftovers.ended().await;
    }

    #[tokio::test]
    async fn one_too_many_is_dropped_at_once() {
        let leftovers = Leftovers::default();
        let held: Vec<_> = std::iter::repeat_with(arriving).take(BODIES_MAX).collect();
        let senders: Vec<_> = held
            .into_iter()
            .map(|(sender, body)| {
                leftovers.take(body);
                sender
            })
            .collect();
        let (sender, body) = arriving();
        leftovers.take(body);
        assert!(sender.is_closed());
        drop(senders);
        leftovers.ended().await;
    }
}
