//! What runs for each shard beside the requests: its feed, and the count of its time. Each in a task of its own.
//!
//! A panic in one is that shard's affair: it is told, and the task begun again after a pause. The others never notice.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use replication::ids::GroupId;
use tokio::task::JoinSet;

use super::KeyStore;
use super::shards::{Shard, Standing};

/// How long a task that panicked waits before it is begun again.
const PAUSE: Duration = Duration::from_secs(1);

impl KeyStore {
    /// Publishes every group's views to the frontend until the future is dropped; those of shards that are added as well.
    pub async fn feed_all(self: Arc<Self>) {
        let system = Arc::clone(self.parts.host.system());
        let shards = self.for_each_shard("feed", |store, shard| async move {
            #[cfg(test)]
            assert!(
                !shard.planted_feed_panic.swap(false, std::sync::atomic::Ordering::SeqCst),
                "planted: a feed panics"
            );
            store.feed(shard.group_id(), &shard.group).await;
        });
        // without group 0 there is nothing to serve: a panic of its feed is this task's own
        tokio::join!(self.feed(GroupId::SYSTEM, &system), shards);
    }

    /// Counts the time of every shard, and destroys what is due, until the future is dropped.
    pub async fn keep_time(self: Arc<Self>) {
        self.for_each_shard("cluster time", |store, shard| async move { store.count_while_leading(&shard).await })
            .await;
    }

    /// Runs a task for each shard that was brought up, from then on.
    pub(super) async fn for_each_shard<W, F>(self: &Arc<Self>, name: &'static str, work: W)
    where
        W: Fn(Arc<Self>, Arc<Shard>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut shards = self.shards.subscribe();
        let (mut running, mut begun) = (JoinSet::new(), BTreeSet::new());
        loop {
            let up: Vec<_> = shards.borrow_and_update().values().filter_map(Standing::serving).collect();
            for shard in up {
                if begun.insert(shard.id()) {
                    running.spawn(apart(name, Arc::clone(self), shard, work.clone()));
                }
            }
            // the sender lives as long as `self`
            if shards.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Runs one shard's task until it ends by itself; whatever it panics of stays here.
async fn apart<W, F>(name: &'static str, store: Arc<KeyStore>, shard: Arc<Shard>, work: W)
where
    W: Fn(Arc<KeyStore>, Arc<Shard>) -> F,
    F: Future<Output = ()>,
{
    loop {
        let run = AssertUnwindSafe(work(Arc::clone(&store), Arc::clone(&shard))).catch_unwind();
        if run.await.is_ok() {
            return;
        }
        shard.tasks_panicked();
        tracing::error!(shard = %shard.id(), task = name, "a task of this shard panicked and is begun again; the other shards go on");
        tokio::time::sleep(PAUSE).await;
    }
}
