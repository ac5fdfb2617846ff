//! Processor time of a process, as the kernel counts it in `/proc`. Never signals, never traces.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a process has no processor time to tell.
#[derive(Debug, Error)]
pub enum CpuError {
    /// There is no such process, or no `/proc`.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The line is not what proc(5) says.
    #[error("{} is not laid out as proc(5) says", path.display())]
    Malformed { path: PathBuf },
}

/// Which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// This one.
    Own,
    /// Another, by its id.
    Other(u32),
}

/// User and system time of all threads of a process so far, in steps of a clock tick (10 ms mostly).
///
/// # Errors
/// See [`CpuError`].
pub fn spent(process: Process) -> Result<Duration, CpuError> {
    let path = match process {
        Process::Own => PathBuf::from("/proc/self/stat"),
        Process::Other(pid) => PathBuf::from(format!("/proc/{pid}/stat")),
    };
    match fs::read_to_string(&path) {
        Err(cause) => Err(CpuError::Unreadable { path, cause }),
        Ok(line) => of(&line, rustix::param::clock_ticks_per_second()).ok_or(CpuError::Malformed { path }),
    }
}

/// Fields 14 and 15 of proc(5), counted behind the name in brackets, which may hold anything.
fn of(line: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, behind) = line.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let nanos_per_tick = 1_000_000_000_u64.checked_div(ticks_per_second)?;
    Some(Duration::from_nanos(user.checked_add(system)?.checked_mul(nanos_per_tick)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_ticks_are_found_behind_any_name() {
        let line = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 20 0 9 0 100";
        assert_eq!(of(line, 100), Some(Duration::from_secs(2)));
        for damaged in ["", "12 (name", "12 (name) S 1 2 3", "12 (n) S 1 2 3 4 5 6 7 8 9 10 x 50"] {
            assert_eq!(of(damaged, 100), None, "{damaged}");
        }
        assert_eq!(of(line, 0), None);
    }

    #[test]
    fn the_own_process_has_spent_something_and_a_missing_one_is_told() {
        assert!(spent(Process::Own).is_ok());
        assert!(matches!(spent(Process::Other(u32::MAX)), Err(CpuError::Unreadable { .. })));
    }
}
