//! What frontends ask of a key store: each question is admitted by its header, and answered from the group's outlet.
//!
//! Never hands a tenant key to anything but the process that it is sealed to, and never holds another stream up for one that reads
//! slowly.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::denied;
use super::excerpt::{Mark, SERVED};
use super::limits::{
    ENTRIES_PER_PART, FORMAT, KEYS_PER_PART, PART_BYTES, PART_WAIT_MAX, PARTS_WAITING_MAX, SEALING_MAX, STREAM_AGE_MAX,
    STREAMS_MAX, STREAMS_PER_GROUP_MAX,
};
use super::outlet::{Held, Holder, Outlet};
use super::wire;
use super::wire::feed_server::Feed;
use super::wire::part::Part;
use crate::deny_entries::Entries;
use crate::ids::{FrontendName, GroupId, LineageId, LogIndex, ShardId, TenantId};
use crate::machine::digest::Digest;
use crate::machine::state::{RowChange, State};
use crate::peers::accept::Proven;
use crate::peers::identity::FrontendIdentity;
use crate::peers::places::Places;

/// Which start of a frontend: 16 random bytes.
pub type ProcessId = [u8; 16];

/// Whom tenant keys are sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessKey {
    /// The frontend, as its certificate names it.
    pub frontend: FrontendIdentity,
    /// Which start of it.
    pub process: ProcessId,
    /// Its public key of X25519.
    pub public_key: [u8; 32],
}

/// Whoever can open tenant keys, and seals them to a process.
pub trait Sealer: Send + Sync + 'static {
    /// The key of a shard's tenant, sealed to the process; `None` if it is not open here.
    fn seal(&self, shard: ShardId, tenant: &TenantId, to: &ProcessKey) -> Option<Vec<u8>>;
}

/// The groups of a key store.
pub trait Outlets: Send + Sync + 'static {
    /// A group's outlet, if the key store has the group.
    fn outlet(&self, group: GroupId) -> Option<Arc<Outlet>>;
    /// The deny entries that the key store holds, to be woken by.
    fn deny_entries(&self) -> watch::Receiver<Arc<Entries>>;
}

/// Why a question is refused.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refused {
    #[error("the question has no header; look what else speaks to this port")]
    NoHeader,
    #[error(
        "the question has format {0}, and this key store understands formats up to {FORMAT}: update the key stores first"
    )]
    Newer(u32),
    #[error("the question is not laid out as it must be")]
    Malformed,
    #[error("the question is for another cluster; look which address leads where")]
    OtherCluster,
    #[error("this key store does not have group {0} yet")]
    NoSuchGroup(GroupId),
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::NoHeader | Refused::Malformed => Self::invalid_argument(text),
            Refused::Newer(_) | Refused::OtherCluster => Self::failed_precondition(text),
            Refused::NoSuchGroup(_) => Self::unavailable(text),
        }
    }
}

/// The service of one key store.
pub(super) struct Serving<O, S> {
    pub(super) lineage: LineageId,
    pub(super) outlets: Arc<O>,
    pub(super) sealer: Arc<S>,
    streams: Places<(FrontendName, GroupId)>,
    sealing: Arc<Semaphore>,
}

impl<O, S> Serving<O, S> {
    pub(super) fn new(lineage: LineageId, outlets: Arc<O>, sealer: Arc<S>) -> Self {
        let streams = Places::new(STREAMS_MAX, STREAMS_PER_GROUP_MAX);
        Self { lineage, outlets, sealer, streams, sealing: Arc::new(Semaphore::new(SEALING_MAX)) }
    }
}

impl<O: Outlets, S: Sealer> Serving<O, S> {
    fn admitted(&self, header: Option<wire::Header>) -> Result<(GroupId, ProcessId, Arc<Outlet>), Refused> {
        let header = header.ok_or(Refused::NoHeader)?;
        if header.format > FORMAT {
            return Err(Refused::Newer(header.format));
        }
        if header.lineage != self.lineage.as_bytes() {
            return Err(Refused::OtherCluster);
        }
        let process = header.process.try_into().map_err(|_| Refused::Malformed)?;
        let group = GroupId(header.group.try_into().map_err(|_| Refused::Malformed)?);
        let outlet = self.outlets.outlet(group).ok_or(Refused::NoSuchGroup(group))?;
        Ok((group, process, outlet))
    }
}

fn proven<T>(request: &Request<T>) -> Result<FrontendName, Status> {
    let proven = request.extensions().get::<Proven<FrontendName>>().cloned();
    proven.map(|proven| proven.0).ok_or_else(|| Status::unauthenticated("the connection proved no frontend"))
}

#[tonic::async_trait]
impl<O: Outlets, S: Sealer> Feed for Serving<O, S> {
    type FollowStream = BoxStream<'static, Result<wire::Part, Status>>;

    async fn ask(&self, request: Request<wire::Question>) -> Result<Response<wire::Answer>, Status> {
        let frontend = proven(&request)?;
        let wire::Question { header, active } = request.into_inner();
        let (_, process, outlet) = self.admitted(header)?;
        let told = outlet.answer(Holder { frontend, process }, LogIndex(active));
        let told = told.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        // never younger than it is
        let age_millis = told.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX).saturating_add(1));
        Ok(Response::new(wire::Answer { index: told.index.0, age_millis }))
    }

    async fn time(&self, request: Request<wire::TimeQuestion>) -> Result<Response<wire::TimeAnswer>, Status> {
        proven(&request)?;
        let (_, _, outlet) = self.admitted(request.into_inner().header)?;
        Ok(Response::new(wire::TimeAnswer { wall_millis: outlet.clock().wall().0 }))
    }

    async fn follow(&self, request: Request<wire::Start>) -> Result<Response<Self::FollowStream>, Status> {
        let name = proven(&request)?;
        let wire::Start { header, have, key } = request.into_inner();
        let (group, process, outlet) = self.admitted(header)?;
        let public_key = key.try_into().map_err(|_| Refused::Malformed)?;
        let place = self.streams.enter((name.clone(), group), CancellationToken::new());
        let frontend = FrontendIdentity { lineage: self.lineage, name };
        let to = ProcessKey { frontend, process, public_key };
        let have = have.map(mark).transpose()?;
        if have.is_some_and(|have| have.index > outlet.newest().borrow().index) {
            return Err(Status::unavailable("this key store is behind what the frontend has; ask another, or again"));
        }
        let base = have.and_then(|have| Some((have, outlet.recent(have.index, have.digest)?)));
        let (parts, sent) = mpsc::channel(PARTS_WAITING_MAX);
        let (sealer, sealing) = (Arc::clone(&self.sealer), Arc::clone(&self.sealing));
        let deny_entries = (group == GroupId::SYSTEM).then(|| self.outlets.deny_entries());
        let sending = Sending { group, outlet, deny_entries, to: Arc::new(to), sealer, sealing, parts };
        tokio::spawn(async move {
            let sent = timeout(STREAM_AGE_MAX, sending.run(base));
            if place.cut().run_until_cancelled(sent).await.is_none() {
                tracing::debug!("a stream has made room for a newer one of its frontend");
            }
        });
        Ok(Response::new(ReceiverStream::new(sent).map(Ok).boxed()))
    }
}

fn mark(mark: wire::Mark) -> Result<Mark, Refused> {
    let digest = mark.digest.try_into().map_err(|_| Refused::Malformed)?;
    Ok(Mark { index: LogIndex(mark.index), digest: Digest::from_bytes(digest) })
}

/// One stream.
struct Sending<S> {
    group: GroupId,
    outlet: Arc<Outlet>,
    /// Of group 0's stream alone.
    deny_entries: Option<watch::Receiver<Arc<Entries>>>,
    to: Arc<ProcessKey>,
    sealer: Arc<S>,
    sealing: Arc<Semaphore>,
    parts: mpsc::Sender<wire::Part>,
}

/// The frontend is gone, or takes nothing.
struct Gone;

impl<S: Sealer> Sending<S> {
    /// Sends what the frontend lacks, and whatever changes from then on, until it is gone.
    async fn run(mut self, base: Option<(Mark, State)>) {
        let mut newest = self.outlet.newest();
        let (mut sent, mut is_first) = (base, true);
        let mut deny_entries = self.deny_entries.take();
        let mut denied = None;
        loop {
            // before any row: whoever begins with these rows must know who is shut out
            if self.deny(deny_entries.as_mut(), &mut denied).await.is_err() {
                return;
            }
            let held = newest.borrow_and_update().clone();
            if is_first || sent.as_ref().is_none_or(|(mark, _)| mark.index < held.index) {
                let base = sent.as_ref().map(|(_, state)| state);
                // the first time all keys are sent, since the frontend may have lost one
                let Ok(mark) = self.send(base, base.filter(|_| !is_first), &held).await else { return };
                sent = Some((mark, held.state));
                is_first = false;
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                changed = change_of(deny_entries.as_mut()) => if changed.is_err() { return },
                () = self.parts.closed() => return,
            }
        }
    }

    /// Sends the deny entries, unless they are those that were sent last.
    async fn deny(
        &self,
        deny_entries: Option<&mut watch::Receiver<Arc<Entries>>>,
        sent: &mut Option<Arc<Entries>>,
    ) -> Result<(), Gone> {
        let Some(deny_entries) = deny_entries else { return Ok(()) };
        let held = Arc::clone(&deny_entries.borrow_and_update());
        if sent.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, &held)) {
            return Ok(());
        }
        let entries: Vec<_> = held.values().map(|proven| denied::to_wire(&proven.entry)).collect();
        for entries in entries.chunks(ENTRIES_PER_PART) {
            self.part(Part::DenyEntries(wire::DenyEntries { entries: entries.to_vec() })).await?;
        }
        *sent = Some(held);
        Ok(())
    }

    /// Keys go before the rows that need them: those of tenants that are not in `keyed`.
    async fn send(&self, base: Option<&State>, keyed: Option<&State>, held: &Held) -> Result<Mark, Gone> {
        self.part(Part::Begin(wire::Begin { anew: base.is_none(), index: held.index.0 })).await?;
        let nothing = State::empty();
        let base = base.unwrap_or(&nothing);
        if let Some(shard) = ShardId::of(self.group) {
            for tenants in new_tenants(keyed.unwrap_or(&nothing), &held.state).chunks(KEYS_PER_PART) {
                let keys = self.sealed(shard, tenants.to_vec()).await?;
                self.part(Part::Keys(wire::Keys { keys })).await?;
            }
        }
        let mut count = 0;
        let mut changes = held.state.changes_since(base, &SERVED);
        loop {
            let rows = chunk(&mut changes);
            if rows.is_empty() {
                break;
            }
            count += rows.len() as u64;
            self.part(Part::Rows(wire::Rows { rows })).await?;
        }
        let mark = Mark { index: held.index, digest: held.state.digest() };
        let told = wire::Mark { index: mark.index.0, digest: mark.digest.as_bytes().to_vec() };
        self.part(Part::End(wire::End { mark: Some(told), rows: count })).await?;
        Ok(mark)
    }

    /// On a thread of its own, and so many at once: heartbeats must not stand behind it.
    async fn sealed(&self, shard: ShardId, tenants: Vec<TenantId>) -> Result<Vec<wire::TenantKey>, Gone> {
        let (sealer, to) = (Arc::clone(&self.sealer), Arc::clone(&self.to));
        let _turn = self.sealing.acquire().await.map_err(|_| Gone)?;
        let seal = move || {
            let sealed = tenants.into_iter().filter_map(|tenant| {
                let sealed = sealer.seal(shard, &tenant, &to)?;
                Some(wire::TenantKey { tenant: tenant.to_string(), sealed })
            });
            sealed.collect()
        };
        tokio::task::spawn_blocking(seal).await.map_err(|_| Gone)
    }

    async fn part(&self, part: Part) -> Result<(), Gone> {
        let sending = self.parts.send(wire::Part { part: Some(part) });
        timeout(PART_WAIT_MAX, sending).await.map_err(|_| Gone)?.map_err(|_| Gone)
    }
}

/// Waits until there are other deny entries: for ever, where they are none of the stream's.
async fn change_of(deny_entries: Option<&mut watch::Receiver<Arc<Entries>>>) -> Result<(), watch::error::RecvError> {
    match deny_entries {
        Some(deny_entries) => deny_entries.changed().await,
        None => std::future::pending().await,
    }
}

fn new_tenants(known: &State, state: &State) -> Vec<TenantId> {
    state.tenants().keys().filter(|tenant| !known.tenants().contains_key(*tenant)).cloned().collect()
}

/// The next rows that go into one message.
fn chunk(changes: &mut impl Iterator<Item = RowChange>) -> Vec<wire::Row> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < PART_BYTES
        && let Some(RowChange { key, value }) = changes.next()
    {
        bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        rows.push(wire::Row { key, value });
    }
    rows
}
