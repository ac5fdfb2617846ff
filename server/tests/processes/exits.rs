//! Every exit status of the programs, each ended with by a real process, and told with a sentence.

use std::process::Command;

use server::exit;

use super::harness::{Dev, Ended, ekm, ekmctl, finish, temporary};
use super::stand_in::{Says, StandIn};

/// Descriptors that leave room for the program, and none for its runtime: standard input, output, error, and one more.
const DESCRIPTORS: &str = "4";

/// `ekmctl` where the system gives it hardly any descriptors.
async fn ekmctl_without_descriptors() -> Ended {
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" --url https://localhost:1 status");
    finish(Command::new("sh").arg("-c").arg(limited).arg(env!("CARGO_BIN_EXE_ekmctl"))).await
}

/// A change that a stand-in for the admin API answers so.
async fn answered(dev: &Dev, says: Says) -> Ended {
    let stand_in = StandIn::start(dev, says).await;
    let ended = stand_in.ekmctl(dev, &["tenant", "create", "acme"]).await;
    assert_eq!(stand_in.changes(), 3, "the same change is asked for again under its id: {}", ended.err);
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exit_status_is_one_that_a_process_ends_with() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let taken = finish(ekm().arg("dev").arg("--data-dir").arg(folder.path()).args(["--port", "0"])).await;
    let table = [
        (exit::REFUSED, "nobody", ekmctl(folder.path(), &["key", "list", "--tenant", "nobody"]).await),
        (exit::USAGE, "--explode", ekmctl(folder.path(), &["status", "--explode"]).await),
        (exit::USAGE, "--explode", finish(ekm().args(["dev", "--explode"])).await),
        (exit::UNAVAILABLE, "another ekm dev runs on", taken),
        (exit::UNKNOWN, "--idempotency-id", answered(&dev, Says::Unknown).await),
        (exit::TRY_LATER, "try again later", answered(&dev, Says::Unavailable).await),
        (exit::LOCAL_FILE, "cannot read", ekmctl(&folder.path().join("none"), &["status"]).await),
        (exit::OS, "Too many open files", ekmctl_without_descriptors().await),
    ];
    for (status, said, ended) in table {
        assert_eq!(ended.code, Some(i32::from(status)), "{}", ended.err);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(said), "{status}: {}", ended.err);
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        assert_eq!(ended.out, "", "what went wrong is no answer");
    }
    dev.stop().await;
}
