//! Opened material is let go of once nobody may use it.

use std::time::Duration;

use replication::codec;
use replication::directory::View;
use replication::ids::{LogIndex, ShardId, parse_key_path};
use replication::machine::lifecycle::VersionState;
use replication::machine::rows::{KeyVersion, RowKind};
use replication::machine::state::State;

use super::{World, wrap};
use crate::lookup::Looked;

/// No test waits for it to pass.
const AMPLE: Duration = Duration::from_mins(1);

/// The shard's state with one version in another.
fn with_version_in(world: &World, key: &str, to: VersionState) -> State {
    let path = world.path(key);
    let id = parse_key_path(path.trim_start_matches('/')).expect("a path of ours");
    let view = world.service.journey.directory.view(ShardId::FIRST.group()).expect("the world has a view");
    let row_key = [&[RowKind::KeyVersion as u8], id.as_bytes().as_slice()].concat();
    let rows = view.state.rows().map(|(key, value)| {
        if key != row_key {
            return (key, value);
        }
        let row: KeyVersion = codec::decode_row(&value).expect("a row of ours");
        (key, codec::encode_row(&KeyVersion { state: to, ..row }))
    });
    State::from_rows(rows).expect("rows of ours")
}

#[tokio::test]
async fn material_of_a_version_that_is_out_of_use_leaves_the_memory_and_no_other() {
    for out_of_use in [VersionState::Disabled, VersionState::DestroyScheduled, VersionState::Destroyed] {
        let world = World::fresh().await;
        let journey = &world.service.journey;
        let mut looked = Looked::default();
        let before = world.arena.free_slots();
        for key in ["k1", "listed"] {
            wrap(&world, key).await;
        }
        // what a denied call asks for is never opened
        let opened = before - world.arena.free_slots();
        assert!(opened >= 1, "k1 is opened");
        journey.lookup.release(&journey.directory, &mut looked);
        assert_eq!(before - world.arena.free_slots(), opened, "what is enabled stays");

        let state = with_version_in(&world, "k1", out_of_use);
        let view = View { state, index: LogIndex(1_000), confirmed: None };
        journey.directory.publish(ShardId::FIRST.group(), &view);
        journey.lookup.release(&journey.directory, &mut looked);
        let freed = async {
            // the cache lets go when no thread of this process is in the middle of a look, other tests' included
            while before - world.arena.free_slots() != opened - 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                journey.lookup.release(&journey.directory, &mut Looked::default());
            }
        };
        let freed = tokio::time::timeout(AMPLE, freed).await;
        assert!(freed.is_ok(), "{out_of_use}: its slot is free again, and overwritten");
    }
}
