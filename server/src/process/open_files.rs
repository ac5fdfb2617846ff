//! How many files and connections the process may have open at once.
//!
//! A stranger's connection must never take the place of a snapshot's file: as many as the settings allow, and all that is not a
//! connection, must fit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections of listeners: logs, mirrors, snapshots, audit, and the process's own connections.
const OTHERS_MAX: u64 = 256;

/// Raises the limit of open files as far as the system lets it, and says so if it does not hold that many connections.
pub fn allow(connections_max: usize) {
    let wanted = wanted(connections_max);
    let before = getrlimit(Resource::Nofile);
    let allowed = before.maximum.unwrap_or(u64::MAX);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before });
    let allowed = if raised.is_ok() { allowed } else { before.current.unwrap_or(u64::MAX) };
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "fewer open files are allowed than the settings' connections_max may take: strangers could use them up. Raise the \
             limit (LimitNOFILE, ulimit -n), or lower connections_max"
        );
    }
}

fn wanted(connections_max: usize) -> u64 {
    (connections_max as u64).saturating_add(OTHERS_MAX)
}
