//! One run for each call that writes, syncs or names a file, killed as that call begins: of a first start, of a start on data with
//! changes and a stop, and of the same with snapshots and purges. What is left starts again and holds all that was acknowledged.
//!
//! By default a sample, drawn from a seed; `EKM_MACHINE_CASES=all` takes every one.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::{FutureExt as _, StreamExt as _};
use tempfile::TempDir;

use super::calls::{KINDS, Place, Plan};
use super::cases::{DATA, Prepared, number, said, stop_after_trouble, told_by, work};
use super::disk::folder;
use super::google::Protocol;
use super::harness::{Dev, Process, asked, ekm_dev};
use super::ledger::Ledger;
use super::rng::Rng;
use super::scene::Scene;
use super::serve::{block_on, often, server, serves};
use super::tracer::traced;

/// Runs of each scenario, of all that there could be.
const SAMPLE: usize = 50;
/// Asks for all of them.
const CASES_ENV: &str = "EKM_MACHINE_CASES";
/// Runs at once.
const AT_ONCE: usize = 2;

/// What a run does until it is killed.
struct Scenario {
    name: &'static str,
    /// What its data directory holds before: nothing, or acknowledged changes.
    before: Option<Prepared>,
    /// Where below it the calls must lie among others, or the scenario is not what its name says.
    touches: &'static str,
    /// The server on a data directory.
    server: fn(&Path) -> Command,
}

impl Scenario {
    /// A folder for one run, and what is known of it.
    fn scene(&self) -> (TempDir, PathBuf, Option<Ledger>) {
        let run = folder();
        let data = run.path().join(DATA);
        let ledger = self.before.as_ref().map(|before| before.copy(&data));
        (run, data, ledger)
    }

    /// One run under the tracer, to its end or until it is killed. Whether it was killed.
    async fn run(&self, data: &Path, ledger: &mut Option<Ledger>, log: &Path, options: &[String]) -> bool {
        let mut command = traced(&(self.server)(data), log, options);
        let dev = match Dev::served(Process::start(&mut command), data).await {
            Ok(dev) => dev,
            Err(ended) => {
                assert_eq!(ended.code, None, "it ended by itself before it served: {}", ended.err);
                return true;
            }
        };
        let scene = Scene::of(dev, Protocol::Http2);
        if let Some(ledger) = ledger {
            work(&scene, ledger, "killed").await;
        }
        // it may be gone by now, or go in the middle of its stop
        scene.dev.process.terminate();
        let ended = scene.dev.process.ended().await;
        assert!(matches!(ended.code, None | Some(0)), "{:?}: {}", ended.code, ended.err);
        ended.code.is_none()
    }

    /// A run that is killed at this place, and a start after it. Whether it came to the place.
    async fn case(&self, place: &Place) -> bool {
        let (run, data, mut ledger) = self.scene();
        let is_killed = self.run(&data, &mut ledger, Path::new("/dev/null"), &place.options(&data)).await;
        let scene = Scene::open(&data, Protocol::Http1).await;
        if let Some(ledger) = &mut ledger {
            scene.check(ledger).await;
            let blobs = 0..ledger.blobs.len();
            ledger.unwrap_all(&scene.google, blobs).await;
        }
        stop_after_trouble(scene.dev).await;
        drop(run);
        is_killed
    }

    /// The calls of a run that nobody kills.
    async fn plan(&self) -> Plan {
        let (run, data, mut ledger) = self.scene();
        let log = run.path().join("calls");
        let is_killed = self.run(&data, &mut ledger, &log, &[format!("--trace={KINDS}")]).await;
        assert!(!is_killed, "nobody kills the control run");
        Plan::of(&std::fs::read_to_string(&log).expect("the tracer has written"), &data)
    }

    async fn every_kill(&self) {
        let Plan { calls, mut places, unmet, files } = self.plan().await;
        assert!(files.iter().any(|file| file.starts_with(self.touches)), "{}: {files:?}", self.name);
        let all = places.len();
        let mut rng = Rng::new(number("EKM_MACHINE_SEED").unwrap_or(0x6361_6c6c));
        if asked(CASES_ENV).as_deref() != Some("all") {
            // the first of a shuffle
            for at in 0..SAMPLE.min(all) {
                places.swap(at, at + rng.below(all - at));
            }
            places.truncate(SAMPLE);
        }
        said(&format!("{}: {calls} calls, {all} can be met alone, {unmet} cannot; {} runs", self.name, places.len()));
        let runs =
            places.iter().map(|place| async move { (place, AssertUnwindSafe(self.case(place)).catch_unwind().await) });
        let ended: Vec<_> = futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
        let (mut killed, mut failed) = (0, Vec::new());
        for (place, ended) in ended {
            match ended {
                Ok(is_killed) => killed += usize::from(is_killed),
                Err(panic) => failed.push(format!("{place:?}: {}", told_by(panic))),
            }
        }
        assert!(failed.is_empty(), "{} of {} runs:\n{}", failed.len(), places.len(), failed.join("\n"));
        // threads race, and some runs have a call less than the control
        said(&format!("{}: {killed} of {} runs were killed", self.name, places.len()));
        assert!(killed * 10 >= places.len() * 8, "only {killed} of {} runs were killed", places.len());
    }
}

/// A test that serves, too.
const WITH_SNAPSHOTS: &str =
    "kill_at_call::a_server_that_is_killed_amid_snapshots_and_purges_loses_nothing_that_it_acknowledged";

/// The released server.
fn released(data: &Path) -> Command {
    let mut command = ekm_dev(data);
    command.args(["--port", "0"]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_at_any_call_is_made_good_by_the_next() {
    Scenario { name: "first start", before: None, touches: "pki", server: released }.every_kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_at_any_call_loses_nothing_that_it_acknowledged() {
    let before = Some(Prepared::new().await);
    Scenario { name: "start, changes, stop", before, touches: "groups/1/log.redb", server: released }
        .every_kill()
        .await;
}

#[test]
fn a_server_that_is_killed_amid_snapshots_and_purges_loses_nothing_that_it_acknowledged() {
    if serves(often()) {
        return;
    }
    block_on(async {
        let before = Some(Prepared::new().await);
        Scenario {
            name: "the same with snapshots",
            before,
            touches: "groups/1/snapshots",
            server: |data| server(WITH_SNAPSHOTS, data),
        }
        .every_kill()
        .await;
    });
}
