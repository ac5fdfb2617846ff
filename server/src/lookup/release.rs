//! Letting go of opened material that nobody may use any more: of versions that are disabled, scheduled, destroyed or gone.
//!
//! A request that saw such a version enabled may still put it into the cache for a moment: so each view is looked at twice.

use std::collections::BTreeMap;

use replication::directory::{Directory, View};
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
    /// Drops every opened version that no view has as enabled. Costs nothing while the views stay as they are; drops nothing
    /// while a shard has no view.
    pub fn release(&self, directory: &Directory, looked: &mut Looked) {
        let shards = || directory.groups().filter(|group| *group != GroupId::SYSTEM);
        let views: Option<Vec<_>> = shards().map(|group| Some((group, directory.view(group)?))).collect();
        let Some(views) = views else { return };
        // every view is counted: `any` would stop at the first new one
        let is_new = views.iter().filter(|(group, view)| looked.counts(*group, view.index)).count() > 0;
        if !is_new {
            return;
        }
        for (id, _) in &self.opened {
            let in_use = |view: &View| {
                view.state.row::<KeyVersion>(&id).is_some_and(|version| version.state == VersionState::Enabled)
            };
            if !views.iter().any(|(_, view)| in_use(view)) {
                self.opened.invalidate(&*id);
            }
        }
        // what is invalid is dropped, and with it overwritten, when the cache does its housekeeping
        self.opened.run_pending_tasks();
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
