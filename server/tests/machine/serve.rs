//! This test binary as the server: `ekm dev` with a randomness or with snapshot limits that the released binary does not have.
//! A test that wants one begins with [`serves`], and starts itself once more by [`server`].

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use replication::raft::group::SnapshotLimits;
use server::crypto::SystemEntropy;
use server::dev::{Chosen, DevOptions, Flags, run_with};

use super::harness::asked;

/// Set for a process that is to be the server, to its data directory.
const SERVE: &str = "EKM_TEST_SERVE_MACHINE";
/// Entries after which a server of [`often`] writes a snapshot.
const ENTRIES_OFTEN: u64 = 6;

/// Serves until it is told to end, if this process was started to.
#[allow(clippy::print_stdout, reason = "it is the server, whose greeting belongs there")]
pub(crate) fn serves(chosen: Chosen) -> bool {
    let Some(data_dir) = asked(SERVE) else { return false };
    server::logging::start("info,openraft=warn").expect("the filter is legal");
    let data_dir = data_dir.into();
    let options = DevOptions { data_dir, ready_file: None, flags: Flags { port: Some(0), ..Flags::default() } };
    run_with(options, chosen, &|text| println!("{text}")).expect("the server runs until it is told to end");
    true
}

/// Starts the test of this name as the server on this data directory.
pub(crate) fn server(test: &str, data: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(SERVE, data);
    command
}

/// A server that writes snapshots and purges its log all the time.
pub(crate) fn often() -> Chosen {
    let snapshots = SnapshotLimits { entries: ENTRIES_OFTEN, ..SnapshotLimits::default() };
    Chosen { entropy: Arc::new(SystemEntropy), snapshots }
}

/// Runs a test that awaits.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be started");
    runtime.block_on(test);
}
