//! What must be loaded before a frontend counts as ready: the view of group 0, and that of every shard which it names.
//!
//! Asks no key store: it reads what the feed has published.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use replication::clock::{Clock, Moment};
use replication::directory::Directory;
use replication::ids::GroupId;

use crate::health::probe::Condition;

/// How long the views of shards are waited for, once it is known which there are. A shard that serves nowhere must not keep every
/// frontend that starts away from the tenants of the others.
const SHARDS_WAIT_MAX: Duration = Duration::from_secs(30);

const NO_CLUSTER: &str = "no key store has fed this frontend since it started: see that those of `[feed] key_stores` run and are reached from \
     here, and that the log names no refused certificate";
const NO_SHARD: &str =
    "the state of some shard has not come from any key store yet: it is waited for a while, and then served without";

/// That everything is loaded once.
pub(super) fn loaded(directory: Arc<Directory>, clock: Arc<dyn Clock>) -> Condition {
    let waiting = Mutex::new(Waiting::ForGroup0);
    Box::new(move || waiting.lock().look(&directory, clock.now()))
}

/// What a start still waits for. It waits for nothing twice: a view that was loaded stays, however old it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ForGroup0,
    /// Since when.
    ForShards(Moment),
    ForNothing,
}

impl Waiting {
    fn look(&mut self, directory: &Directory, now: Moment) -> Result<(), &'static str> {
        if *self == Self::ForGroup0 && directory.view(GroupId::SYSTEM).is_some() {
            *self = Self::ForShards(now);
        }
        if let Self::ForShards(since) = *self
            && (directory.oldest_age(now).is_some() || now.since(since) >= SHARDS_WAIT_MAX)
        {
            *self = Self::ForNothing;
        }
        match self {
            Self::ForGroup0 => Err(NO_CLUSTER),
            Self::ForShards(_) => Err(NO_SHARD),
            Self::ForNothing => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use replication::directory::View;
    use replication::ids::{LogIndex, ShardId};
    use replication::machine::command::{Action, AddShard};
    use replication::testkit::{Author, played};

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_origin(Duration::from_secs(seconds))
    }

    fn publish(directory: &Directory, group: GroupId, entries: &[Vec<u8>]) {
        let view = View { state: played(entries), index: LogIndex(1), confirmed: Some(at(0)) };
        directory.publish(group, &view);
    }

    /// Group 0 names the first shard.
    fn group_0(directory: &Directory) {
        let author = Author::default();
        let add = author.does(
            GroupId::SYSTEM,
            Action::AddShard(AddShard { shard: ShardId::FIRST, founder: replication::ids::ReplicaId(1) }),
        );
        publish(directory, GroupId::SYSTEM, &[author.genesis(GroupId::SYSTEM), add]);
    }

    #[test]
    fn group_0_is_waited_for_without_end_and_shards_for_a_while() {
        let (directory, mut waiting) = (Directory::new([]), Waiting::ForGroup0);
        assert_eq!(waiting.look(&directory, at(1000)), Err(NO_CLUSTER));
        group_0(&directory);
        assert_eq!(waiting.look(&directory, at(1000)), Err(NO_SHARD));
        assert_eq!(waiting.look(&directory, at(1029)), Err(NO_SHARD));
        assert_eq!(waiting.look(&directory, at(1030)), Ok(()));
    }

    #[test]
    fn what_was_loaded_once_is_not_waited_for_again() {
        let (directory, mut waiting) = (Directory::new([]), Waiting::ForGroup0);
        group_0(&directory);
        let shard = ShardId::FIRST.group();
        publish(&directory, shard, &[Author::default().genesis(shard)]);
        assert_eq!(waiting.look(&directory, at(1)), Ok(()));
        assert_eq!(waiting, Waiting::ForNothing);
    }
}
