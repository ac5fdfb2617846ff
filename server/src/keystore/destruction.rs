//! The group's own time, and the end of what it has run out for: ticks while a destruction is scheduled, and the destruction
//! once it is due.
//!
//! Counts the monotonic time of this process alone, so time that nobody ran is not counted: a destruction comes late rather
//! than early.

use std::time::Duration;

use replication::ids::{IdempotencyId, KeyVersionId};
use replication::machine::command::{Action, DestroyVersion};
use replication::machine::outcome::Refusal;

use super::KeyStore;
use super::counting::Counting;
use super::execute::ExecuteError;
use super::shards::Shard;

/// The longest pause between two ticks, well under the longest tick.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// A pause is this part of what is left until the next destruction.
const PAUSE_PART: u32 = 10;

impl KeyStore {
    /// Counts the time of a shard and destroys what is due, until its group ends or the future is dropped. A trouble is told once, and again when it
    /// comes back; nothing is destroyed meanwhile.
    pub(super) async fn keep_time_of(&self, shard: &Shard) {
        let mut watch = shard.group.watch();
        let mut is_told = false;
        loop {
            let Some(left) = until_next_destruction(shard) else {
                if watch.wait_for(|applied| !applied.state.destructions().is_empty()).await.is_err() {
                    // the group has ended, and its time with it
                    return;
                }
                continue;
            };
            let step = if left.is_zero() { self.destroy_due(shard).await } else { self.count_time(shard).await };
            if let (Err(error), false) = (&step, is_told) {
                tracing::warn!(shard = %shard.id(), %error, "the time until a destruction cannot be counted, or a destruction not be carried out; tried again");
            }
            is_told = step.is_err();
            if !left.is_zero() || is_told {
                // a nearer destruction that is scheduled meanwhile must not wait for the pause of a farther one
                let first = shard.state().destructions().get_min().map(|(key, _)| *key);
                let changes =
                    watch.wait_for(|applied| applied.state.destructions().get_min().map(|(key, _)| *key) != first);
                // over is over: what came is looked at next
                let looked = tokio::time::timeout((left / PAUSE_PART).clamp(PAUSE_MIN, PAUSE_MAX), changes).await;
                if matches!(looked, Ok(Err(_))) {
                    return;
                }
            }
        }
    }

    /// Has the time committed that has passed since the last tick. Another tick that comes first is no trouble.
    pub(super) async fn count_time(&self, shard: &Shard) -> Result<(), ExecuteError> {
        // the state before the clock: what is counted passed after the state was as it is
        let clock = shard.state().cluster_clock();
        let tick = {
            let mut counting = shard.counting.lock().expect("no count panics");
            let now = self.now();
            counting.get_or_insert_with(|| Counting::begin(clock, now)).tick(clock, now)
        };
        match tick {
            Some(tick) => match self.by_itself(shard, Action::Tick(tick)).await {
                Err(ExecuteError::Refused(Refusal::BadTick)) => Ok(()),
                other => other,
            },
            None => Ok(()),
        }
    }

    async fn destroy_due(&self, shard: &Shard) -> Result<(), ExecuteError> {
        let state = shard.state();
        let now = state.cluster_time();
        let due: Vec<KeyVersionId> =
            state.destructions().keys().take_while(|(due, _)| *due <= now).map(|(_, version)| *version).collect();
        for version in due {
            match self.by_itself(shard, Action::DestroyVersion(DestroyVersion { version })).await {
                Ok(()) => tracing::info!(%version, "a key version is destroyed, as was scheduled"),
                // restored at the last moment, or destroyed by an entry whose outcome was unknown
                Err(ExecuteError::Refused(refusal)) => tracing::info!(%refusal, "a key version is not destroyed"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has an automatic command ordered under an id of its own.
    async fn by_itself(&self, shard: &Shard, action: Action) -> Result<(), ExecuteError> {
        let id = IdempotencyId::from_bytes(self.parts.draw_id()?);
        let entry = self.parts.entry(self.lineage, shard.group_id(), &self.parts.command(id, None, action));
        self.parts.propose(&shard.group, entry).await?;
        Ok(())
    }
}

/// How long until the first destruction that is scheduled; `None` if none is.
fn until_next_destruction(shard: &Shard) -> Option<Duration> {
    let state = shard.state();
    let ((due, _), _) = state.destructions().get_min()?;
    Some(state.cluster_time().until(*due))
}
