//! Where the key set comes from, and the one task that owns publishing it.
//!
//! Requests read what was last published and may ask for more; they never wait for it. A set that is empty, garbled or
//! shrunken never replaces a good one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use replication::clock::{Clock, Moment};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::regular_file;

use super::fetch::{FetchError, Fetched, Fetcher};
pub use super::fetch::{KeySetUrl, KeySetUrlError};
use super::keyset::{KEY_SET_BYTES_MAX, KeySet, KeySetError, Keys, Provenance};
use super::schedule::Schedule;
use super::spool;

/// How often a key file is looked at.
pub const FILE_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest time between two looks, whatever strangers make us look for.
const FILE_PAUSE_MIN: Duration = Duration::from_millis(50);
/// For how long a shrunken set must be the issuer's unchanging answer before it is believed after all. An issuer that
/// withdraws all its keys at once does so for a reason; a fault of a cache is gone by then.
pub const SHRUNKEN_BELIEVED_AFTER: Duration = Duration::from_mins(10);
/// Longest sleep before the clock is read again: tokio's timers stand still while a machine is suspended, ours do not.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// Where the key set comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file that somebody else keeps up to date; looked at every [`FILE_POLL_INTERVAL`].
    File(PathBuf),
    /// The issuer's own address.
    Url {
        /// The address.
        url: KeySetUrl,
        /// Where the last good set is kept over restarts, if anywhere. Its folder must exist.
        spool: Option<PathBuf>,
    },
}

/// How the task has fared since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Finished fetches, or looks at the file.
    pub attempts: u64,
    /// Those of them that brought no usable set.
    pub failures: u64,
}

/// The reading end: what requests see. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeySetReader {
    current: Arc<ArcSwapOption<KeySet>>,
    refetch: mpsc::Sender<()>,
    progress: watch::Receiver<Progress>,
}

impl KeySetReader {
    /// The set published last, if any. Takes no lock.
    pub fn current(&self) -> Guard<Option<Arc<KeySet>>> {
        self.current.load()
    }

    /// Asks for a refetch. Never waits; requests coalesce, and the task bounds how often it heeds them.
    pub fn ask_refetch(&self) {
        // full means that one is asked for already, closed that the process is stopping: nothing to do in either case
        let _ = self.refetch.try_send(());
    }

    /// How the task fares, to read or to await.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

/// The writing end, which [`key_set_task`] owns.
#[derive(Debug)]
pub struct KeySetPublisher {
    current: Arc<ArcSwapOption<KeySet>>,
    asked: mpsc::Receiver<()>,
    progress: watch::Sender<Progress>,
    shrunken: Option<(Keys, Moment)>,
}

/// Both ends, with nothing published yet.
pub fn key_set_channel() -> (KeySetReader, KeySetPublisher) {
    let current = Arc::new(ArcSwapOption::empty());
    let (refetch, asked) = mpsc::channel(1);
    let (sender, progress) = watch::channel(Progress::default());
    let reader = KeySetReader { current: Arc::clone(&current), refetch, progress };
    (reader, KeySetPublisher { current, asked, progress: sender, shrunken: None })
}

/// Keeps the published key set up to date until cancelled.
///
/// # Errors
///
/// Only at the start, if no HTTPS client can be made (for example without a store of root certificates).
pub async fn key_set_task(
    source: KeySource,
    publisher: KeySetPublisher,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<(), reqwest::Error> {
    match source {
        KeySource::File(path) => follow_file(&path, publisher, clock.as_ref(), &cancel).await,
        KeySource::Url { url, spool } => {
            let fetcher = Fetcher::new(url)?;
            follow_url(&fetcher, spool.as_deref(), publisher, clock.as_ref(), &cancel).await;
        }
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the key file cannot be read")]
    File(#[source] io::Error),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

async fn follow_file(path: &Path, mut publisher: KeySetPublisher, clock: &dyn Clock, cancel: &CancellationToken) {
    let mut seen: Option<Vec<u8>> = None;
    let mut failed_before = false;
    loop {
        let outcome = read_file(path).await.and_then(|json| {
            if seen.as_ref() != Some(&json) {
                publisher.publish(&json, clock.now(), Provenance::File)?;
                seen = Some(json);
            }
            Ok(())
        });
        if let Err(failure) = &outcome {
            if !failed_before {
                warn_of(failure, &path.display());
            }
            publisher.doubt();
            seen = None; // the same content is news again once it can be read
        }
        failed_before = outcome.is_err();
        publisher.report(&outcome);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(FILE_POLL_INTERVAL) => {}
            () = async {
                tokio::time::sleep(FILE_PAUSE_MIN).await;
                // once nobody is left who could ask, only the interval counts
                if publisher.asked.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            } => {}
        }
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = tokio::fs::File::from_std(regular_file::open(path).map_err(Failure::File)?);
    let mut json = Vec::new();
    file.take(KEY_SET_BYTES_MAX as u64 + 1).read_to_end(&mut json).await.map_err(Failure::File)?;
    Ok(json)
}

async fn follow_url(
    fetcher: &Fetcher,
    spool: Option<&Path>,
    mut publisher: KeySetPublisher,
    clock: &dyn Clock,
    cancel: &CancellationToken,
) {
    // first, so that a start without egress serves before the first fetch has timed out
    restore(fetcher, spool, &mut publisher, clock.now()).await;
    let mut schedule = Schedule::new(clock.now());
    loop {
        let now = clock.now();
        if schedule.due() <= now {
            schedule.started(now);
            let outcome = tokio::select! {
                () = cancel.cancelled() => return,
                outcome = fetch_and_publish(fetcher, spool, &mut publisher, now) => outcome,
            };
            match &outcome {
                Ok(lifetime) => schedule.succeeded(now, *lifetime),
                Err(failure) => {
                    warn_of(failure, fetcher.url());
                    schedule.failed(clock.now());
                }
            }
            publisher.report(&outcome);
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(schedule.due().since(clock.now()).min(SLEEP_MAX)) => {}
            Some(()) = publisher.asked.recv() => schedule.asked(clock.now()),
        }
    }
}

async fn fetch_and_publish(
    fetcher: &Fetcher,
    spool: Option<&Path>,
    publisher: &mut KeySetPublisher,
    asked_at: Moment,
) -> Result<Duration, Failure> {
    let Fetched { json, lifetime } = fetcher.fetch().await?;
    let outcome = publisher.publish(&json, asked_at, Provenance::Fetched { lifetime })?;
    if let (Published::NewKeys, Some(path)) = (outcome, spool) {
        let (path, url) = (path.to_owned(), fetcher.url().to_string());
        let saved = tokio::task::spawn_blocking(move || spool::save(&path, &url, &json)).await;
        if let Err(error) = saved.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "the key set could not be kept on disk; a restart without egress would not serve");
        }
    }
    Ok(lifetime)
}

/// Publishes what an earlier process kept; the first fetch replaces it.
async fn restore(fetcher: &Fetcher, spool: Option<&Path>, publisher: &mut KeySetPublisher, now: Moment) {
    let Some(path) = spool else { return };
    let (path, url) = (path.to_owned(), fetcher.url().to_string());
    let loaded =
        tokio::task::spawn_blocking(move || spool::load(&path, &url)).await.map_err(io::Error::other).flatten();
    match loaded {
        Ok(None) => {}
        Ok(Some(json)) => {
            if let Err(failure) = publisher.publish(&json, now, Provenance::Restored) {
                warn_of(&failure.into(), &"the key set kept on disk");
            }
        }
        Err(error) => warn_of(&Failure::File(error), &"the key set kept on disk"),
    }
}

/// What publishing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    NewKeys,
    SameKeys,
}

impl KeySetPublisher {
    pub(super) fn publish(
        &mut self,
        json: &[u8],
        asked_at: Moment,
        provenance: Provenance,
    ) -> Result<Published, KeySetError> {
        let keys = Keys::parse(json)?;
        let last = self.current.load_full();
        let same = last.as_ref().is_some_and(|last| last.keys().same_as(&keys));
        let keys = match &last {
            Some(last) if !same => self.judge_succession(keys, last, asked_at)?,
            Some(_) | None => keys,
        };
        self.shrunken = None;
        let epoch = last.as_ref().map_or(1, |last| if same { last.epoch() } else { last.epoch() + 1 });
        if !same {
            tracing::info!(keys = keys.count(), epoch, ?provenance, "a new key set is published");
        }
        self.current.store(Some(Arc::new(KeySet::new(keys, epoch, asked_at, provenance))));
        Ok(if same { Published::SameKeys } else { Published::NewKeys })
    }

    /// The file cannot be read, or holds no set: what was published verifies on, but its silence counts no more. Whoever
    /// rotates keys may have got half-way, and a token by the new one is not to be refused for good.
    fn doubt(&self) {
        let Some(last) = self.current.load_full() else { return };
        if last.provenance() != Provenance::Restored {
            let doubted = KeySet::new(last.keys().clone(), last.epoch(), last.fetched_at(), Provenance::Restored);
            self.current.store(Some(Arc::new(doubted)));
        }
    }

    /// Only an answer of the issuer is held to its own last one: a file is what its owner says, and what was kept on
    /// disk may be from long before many rotations.
    fn judge_succession(&mut self, keys: Keys, last: &KeySet, asked_at: Moment) -> Result<Keys, KeySetError> {
        match last.provenance() {
            Provenance::File | Provenance::Restored => return Ok(keys),
            Provenance::Fetched { .. } => {}
        }
        let Err(refusal) = keys.may_follow(last.keys()) else { return Ok(keys) };
        let since = match &self.shrunken {
            Some((held, since)) if held.same_as(&keys) => *since,
            Some(_) | None => asked_at,
        };
        if asked_at.since(since) >= SHRUNKEN_BELIEVED_AFTER {
            return Ok(keys);
        }
        self.shrunken = Some((keys, since));
        Err(refusal)
    }

    fn report<T>(&self, outcome: &Result<T, Failure>) {
        self.progress.send_modify(|progress| {
            progress.attempts += 1;
            progress.failures += u64::from(outcome.is_err());
        });
    }
}

fn warn_of(failure: &Failure, from: &dyn std::fmt::Display) {
    let cause = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%from, error = %failure, cause, "no usable key set came; the last good one stays");
}
