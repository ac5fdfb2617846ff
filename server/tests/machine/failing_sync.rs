//! A log whose disk fails for real, at a chosen write or sync: the server ends by itself and says why, acknowledges nothing that
//! it has not kept, and the next start holds all that was acknowledged.

use std::path::Path;

use super::cases::{DATA, Prepared, stop_after_trouble, work};
use super::disk::folder;
use super::google::Protocol;
use super::harness::{Dev, Ended, Process, ekm_dev, soon};
use super::ledger::Ledger;
use super::scene::Scene;
use super::tracer::traced;

/// Which of a thread's calls on the log of the only shard fails: the first sync is one of opening it, the others are of changes.
const FAILURES: [(&str, usize); 6] =
    [("fdatasync", 1), ("fdatasync", 2), ("fdatasync", 4), ("fdatasync", 6), ("pwrite64", 2), ("pwrite64", 11)];

/// A run on this data whose disk fails.
async fn fail(data: &Path, ledger: &mut Ledger, failure: (&str, usize)) -> Ended {
    let (call, when) = failure;
    let log = data.join("groups/1/log.redb");
    let options = [
        format!("--trace={call}"),
        format!("--inject={call}:error=EIO:when={when}"),
        format!("--trace-path={}", log.display()),
    ];
    let mut command = traced(ekm_dev(data).args(["--port", "0"]), Path::new("/dev/null"), &options);
    let dev = match Dev::served(Process::start(&mut command), data).await {
        Ok(dev) => dev,
        Err(ended) => return ended,
    };
    let scene = Scene::of(dev, Protocol::Http2);
    work(&scene, ledger, "failing").await;
    // by itself: nobody tells it to
    soon("a server without a log to end", scene.dev.process.ended()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_or_synced_ends_the_process_and_loses_nothing() {
    let before = Prepared::new().await;
    for failure in FAILURES {
        let run = folder();
        let data = run.path().join(DATA);
        let mut ledger = before.copy(&data);
        let ended = fail(&data, &mut ledger, failure).await;
        assert_eq!(ended.code, Some(i32::from(server::exit::UNAVAILABLE)), "{failure:?}: {}", ended.err);
        let told = ended.err.lines().skip_while(|line| !line.starts_with("error: "));
        let told = told.collect::<Vec<_>>().join("\n");
        let is_clear = told.starts_with("error: group 1 cannot ") && told.contains("Input/output error");
        assert!(is_clear, "{failure:?}: {told}");
        let scene = Scene::open(&data, Protocol::Http1).await;
        scene.check(&mut ledger).await;
        let blobs = 0..ledger.blobs.len();
        ledger.unwrap_all(&scene.google, blobs).await;
        stop_after_trouble(scene.dev).await;
    }
}
