//! Ends the processes that a start has marked: frontends and the load balancer first, then the key stores. A process is known by its
//! settings file on its command line, so that a number that the system has given to somebody else is left alone.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::ClusterError;
use super::file::{self, Record};
use super::layout::{self, Layout};
use super::plan::Kind;
use super::prepare;
use crate::clock::now;

/// Longer than a process takes to end politely.
const END_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longer than the system takes to end one that was killed.
const KILL_WAIT_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Stops the cluster below a folder, and says what it did.
///
/// # Errors
/// If there is no cluster, or its marks cannot be read.
pub async fn stop(folder: &Path) -> Result<String, ClusterError> {
    let absent = || ClusterError::NoCluster { folder: folder.to_owned() };
    if !folder.is_dir() {
        return Err(absent());
    }
    let layout = Layout::of(folder)?;
    if !layout.plan().exists() {
        return Err(absent());
    }
    let _lock = prepare::lock(&layout)?;
    let records = file::running(&layout)?;
    let living = living(&records);
    if !living.is_empty() {
        end(&records).await;
    }
    layout::remove(&layout.cluster())?;
    layout::remove(&layout.running())?;
    Ok(match living.len() {
        0 => format!("nothing runs below {}", folder.display()),
        ended => format!("stopped {ended} processes; the data below {} stays", folder.display()),
    })
}

/// Those that run, and are what was started.
pub fn living(records: &[Record]) -> Vec<&Record> {
    records.iter().filter(|record| hold(record).is_some()).collect()
}

/// Ends those that run, politely first. Who does not end is killed, with a warning.
pub async fn end(records: &[Record]) {
    let (front, back): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| matches!(record.kind, Kind::Frontend | Kind::Loadbalancer));
    for wave in [front, back] {
        signal(&wave, Signal::TERM);
        // one that was paused takes the first only when it goes on
        signal(&wave, Signal::CONT);
        let left = wait(&wave, END_WAIT_MAX).await;
        if left.is_empty() {
            continue;
        }
        let names: Vec<&str> = left.iter().map(|record| record.name.as_str()).collect();
        // a closed terminal leaves nobody to tell
        let _ = writeln!(
            io::stderr(),
            "warning: {} did not end within {} s and is killed",
            names.join(", "),
            END_WAIT_MAX.as_secs()
        );
        signal(&left, Signal::KILL);
        wait(&left, KILL_WAIT_MAX).await;
    }
}

/// A hold on the process, if it runs and is the one that was started: the number may be given to another at any time, the hold not.
fn hold(record: &Record) -> Option<OwnedFd> {
    let pid = i32::try_from(record.pid).ok().and_then(Pid::from_raw)?;
    let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let line = fs::read(format!("/proc/{}/cmdline", record.pid)).ok()?;
    let named = line.split(|byte| *byte == 0).any(|word| word == record.settings.as_os_str().as_bytes());
    named.then_some(held)
}

fn signal(records: &[&Record], signal: Signal) {
    for held in records.iter().filter_map(|record| hold(record)) {
        // one that ends just now needs no signal
        let _ = pidfd_send_signal(&held, signal);
    }
}

/// Who is left after this time.
async fn wait<'a>(records: &[&'a Record], longest: Duration) -> Vec<&'a Record> {
    let began = now();
    loop {
        let left: Vec<&Record> = records.iter().copied().filter(|record| hold(record).is_some()).collect();
        if left.is_empty() || began.elapsed() > longest {
            return left;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::{Child, Command};

    use super::*;

    /// A process that has been started shows its command line a moment later.
    async fn until_known(record: &Record) {
        while hold(record).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn sleeper(folder: &Path) -> (Child, PathBuf) {
        let settings = folder.join("keystore.toml");
        fs::write(&settings, "").expect("the folder is writable");
        let child = Command::new("tail").arg("-f").arg(&settings).spawn().expect("there is a tail");
        (child, settings)
    }

    #[tokio::test]
    async fn a_number_that_another_process_has_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (mut child, settings) = sleeper(folder.path());
        let record = |settings| Record { name: "one".to_owned(), kind: Kind::Keystore, pid: child.id(), settings };
        let (ours, other) = (record(settings), record(folder.path().join("other.toml")));
        until_known(&ours).await;
        end(std::slice::from_ref(&other)).await;
        assert!(child.try_wait().expect("it can be asked").is_none(), "it is none of theirs");
        assert!(living(std::slice::from_ref(&other)).is_empty());
        assert_eq!(living(std::slice::from_ref(&ours)).len(), 1);
        end(std::slice::from_ref(&ours)).await;
        child.wait().expect("it was ended");
    }

    #[tokio::test]
    async fn a_folder_without_a_cluster_is_told_and_a_stopped_one_is_no_error() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for absent in [folder.path().to_owned(), folder.path().join("none")] {
            assert!(matches!(stop(&absent).await, Err(ClusterError::NoCluster { .. })));
        }
        fs::write(folder.path().join("plan.json"), "{}").expect("the folder is writable");
        fs::write(folder.path().join("cluster.json"), "{}").expect("the folder is writable");
        let said = stop(folder.path()).await.expect("nothing runs there");
        assert!(said.starts_with("nothing runs"), "{said}");
        assert!(!folder.path().join("cluster.json").exists());
    }
}
