//! A frontend's side of the feed: every group is followed at one of the key stores, and what is heard is published.
//!
//! Key stores are asked in the order of preference; a frontend goes over to another one when its own is away or out of touch, and back
//! when a better one is there again. Never drops what it has before something newer is complete, and never takes an older state.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint, Uri};

use super::clocks::Agreement;
use super::excerpt::Mark;
use super::limits::{AGAIN_AFTER, KEEP_ALIVE, MESSAGE_BYTES_MAX, TOLD_EVERY};
use super::serving::ProcessId;
use super::session::{Ended, Session};
use super::wire;
use super::wire::feed_client::FeedClient;
use crate::clock::{Clock, Moment};
use crate::directory::View;
use crate::freshness::Follower;
use crate::ids::{GroupId, ReplicaId, ShardId, TenantId};
use crate::machine::deny::DenyEntry;
use crate::machine::state::State;
use crate::peers::dial::Dial;
use crate::peers::identity::FrontendIdentity;
use crate::peers::tls::FrontendTls;

/// A key store, and where it answers frontends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStoreAt {
    /// Which replica it must prove to be.
    pub replica: ReplicaId,
    /// Host and port.
    pub address: String,
}

/// Whoever uses what is heard.
pub trait Reader: Send + Sync + 'static {
    /// Tenant keys of a shard, sealed to this process. They come before the rows that need them.
    fn take_keys(&self, shard: ShardId, sealed: Vec<(TenantId, Vec<u8>)>);
    /// Deny entries that a key store holds. They come before group 0's rows, and each holds until it ends or is lifted there.
    fn take_deny_entries(&self, entries: Vec<DenyEntry>);
    /// A group's newest view, or the same one confirmed anew.
    fn publish(&self, group: GroupId, view: &View);
    /// What most of the key stores that answer say about the own wall clock.
    fn judge_clock(&self, agreement: Agreement);
}

/// Two connections to a key store, so that rows never stand before a question.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) replica: ReplicaId,
    pub(super) questions: FeedClient<Channel>,
    pub(super) rows: FeedClient<Channel>,
    dials: [Dial; 2],
}

impl Line {
    fn new(tls: &FrontendTls, place: &KeyStoreAt) -> Self {
        let address: Arc<str> = place.address.as_str().into();
        let dials = [(); 2].map(|()| Dial::new(tls.clone(), place.replica, Arc::clone(&address)));
        let [questions, rows] = [&dials[0], &dials[1]].map(client);
        Self { replica: place.replica, questions, rows, dials }
    }

    /// It answered: the next connection is made at once.
    pub(super) fn answered(&self) {
        self.dials.iter().for_each(Dial::answered);
    }
}

fn client(dial: &Dial) -> FeedClient<Channel> {
    let dial = dial.clone();
    let connector = tower::service_fn(move |_: Uri| dial.connect());
    let channel = Endpoint::from_static("http://feed.invalid")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector);
    FeedClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// What a frontend has of one group.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) state: State,
    pub(super) mark: Option<Mark>,
    pub(super) follower: Follower,
}

impl Seen {
    pub(super) fn view(&self) -> Option<View> {
        let mark = self.mark?;
        Some(View { state: self.state.clone(), index: mark.index, confirmed: self.follower.confirmed() })
    }
}

/// The feed of one process of a frontend.
pub struct Following<R> {
    pub(super) own: FrontendIdentity,
    pub(super) process: ProcessId,
    pub(super) public_key: [u8; 32],
    pub(super) lines: Vec<Line>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reader: R,
}

impl<R: Reader> Following<R> {
    /// Of the frontend that the certificate names, with the key stores in the order of preference, at least one. No connection is
    /// made yet. `public_key` is the X25519 key that tenant keys are to be sealed to.
    ///
    /// # Panics
    /// Without a key store.
    pub fn new(
        tls: &FrontendTls,
        places: &[KeyStoreAt],
        (process, public_key): (ProcessId, [u8; 32]),
        clock: Arc<dyn Clock>,
        reader: R,
    ) -> Self {
        assert!(!places.is_empty(), "a frontend follows at least one key store");
        let lines = places.iter().map(|place| Line::new(tls, place)).collect();
        Self { own: tls.own().clone(), process, public_key, lines, clock, reader }
    }

    /// Follows group 0 and every shard that it names, each in a task of its own, until the future is dropped. One that panics is begun
    /// again, and the others never notice.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.compare_clocks(), self.follow_all());
    }

    async fn follow_all(self: &Arc<Self>) {
        let (shards, mut named) = tokio::sync::watch::channel(Vec::new());
        let mut running = JoinSet::new();
        let mut groups: BTreeMap<Id, GroupId> = BTreeMap::new();
        let shards = Arc::new(shards);
        let begin = |running: &mut JoinSet<()>, group| {
            let (following, shards) = (Arc::clone(self), Arc::clone(&shards));
            running.spawn(async move { following.follow(group, &shards).await }).id()
        };
        groups.insert(begin(&mut running, GroupId::SYSTEM), GroupId::SYSTEM);
        loop {
            let wanted: Vec<ShardId> = named.borrow_and_update().clone();
            for group in wanted.into_iter().map(ShardId::group) {
                if !groups.values().any(|known| *known == group) {
                    groups.insert(begin(&mut running, group), group);
                }
            }
            tokio::select! {
                // the sender lives as long as this runs
                _ = named.changed() => {}
                Some(ended) = running.join_next_with_id() => {
                    let id = match &ended {
                        Ok((id, ())) => *id,
                        Err(error) => error.id(),
                    };
                    let Some(group) = groups.remove(&id) else { continue };
                    tracing::error!(%group, "what follows this group panicked and is begun again; the others go on");
                    sleep(AGAIN_AFTER).await;
                    groups.insert(begin(&mut running, group), group);
                }
            }
        }
    }

    /// Follows one group. Tells of the shards that group 0 names.
    async fn follow(&self, group: GroupId, shards: &tokio::sync::watch::Sender<Vec<ShardId>>) {
        let mut seen = Seen::default();
        let (mut at, mut failed) = (0, 0);
        // when it was told last that no key store could be followed
        let mut told: Option<Moment> = None;
        loop {
            let mut publish = |view: &View| {
                self.reader.publish(group, view);
                if group == GroupId::SYSTEM && view.state.meta().is_some() {
                    let named: Vec<ShardId> = view.state.shards().collect();
                    shards.send_if_modified(|known| std::mem::replace(known, named) != *known);
                }
            };
            match (Session { following: self, group, at }).run(&mut seen, &mut publish).await {
                Ended::BetterAt(better) => (at, failed) = (better, 0),
                Ended::Lost { was_read, why } => {
                    failed = if was_read { 1 } else { failed + 1 };
                    if was_read {
                        told = None;
                    }
                    let replica = self.lines[at].replica;
                    at = (at + 1) % self.lines.len();
                    if failed >= self.lines.len() {
                        failed = 0;
                        let now = self.clock.now();
                        if told.is_none_or(|told| now.since(told) >= TOLD_EVERY) {
                            tracing::warn!(%group, %replica, "no key store can be followed; what is known is served on. The last one: {why}");
                            told = Some(now);
                        }
                        sleep(AGAIN_AFTER).await;
                    }
                }
            }
        }
    }

    pub(super) fn header(&self, group: GroupId) -> wire::Header {
        wire::Header {
            format: super::limits::FORMAT,
            lineage: self.own.lineage.as_bytes().to_vec(),
            process: self.process.to_vec(),
            group: group.0.into(),
        }
    }
}
