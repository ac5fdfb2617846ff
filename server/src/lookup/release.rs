//! Letting go of opened material that nobody may use any more: of versions that are disabled, scheduled, destroyed or gone.
//!
//! A request that saw such a version enabled may still put it into the cache for a moment: so each view is looked at twice.

use std::collections::BTreeMap;

use replication::directory::Directory;
use replication::ids::{GroupId, LogIndex};
use replication::machine::lifecycle::VersionState;
use replication::machine::rows::KeyVersion;

use super::Lookup;

/// How often opened material is held against the views.
pub const RELEASE_EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// How often each view is: no request lives as long as the pause between.
const LOOKS: u8 = 2;

/// Which views have been looked at, and how often.
#[derive(Debug, Default)]
pub struct Looked(BTreeMap<GroupId, (LogIndex, u8)>);

impl Lookup {
    /// Drops every opened version that its shard's view does not have as enabled. Costs nothing while the views stay as they are; drops
    /// nothing of a shard without a view.
    pub fn release(&self, directory: &Directory, looked: &mut Looked) {
        for (shard, share) in self.opened.all() {
            let Some(view) = directory.view(shard.group()) else { continue };
            if !looked.counts(shard.group(), view.index) {
                continue;
            }
            for (id, _) in &share {
                let version = view.state.row::<KeyVersion>(&id);
                if version.is_none_or(|version| version.state != VersionState::Enabled) {
                    share.invalidate(&*id);
                }
            }
            // what is invalid is dropped, and with it overwritten, when the cache does its housekeeping
            share.run_pending_tasks();
        }
    }
}

impl Looked {
    /// Whether a view at this index is to be looked at, which is counted.
    fn counts(&mut self, group: GroupId, index: LogIndex) -> bool {
        let (last, looks) = self.0.entry(group).or_insert((index, 0));
        if *last != index {
            (*last, *looks) = (index, 0);
        }
        *looks = looks.saturating_add(1);
        *looks <= LOOKS
    }
}
