//! kill -9 of `ekm dev` amid key creation, grants, disabling and wraps, again and again on one data directory. What was
//! acknowledged is kept, what was in flight comes to exactly one key when it is repeated, what was wrapped unwraps.

use std::path::Path;

use replication::machine::request::AdminOperation;

use super::google::Protocol;
use super::harness::{Process, alarms, asked, ekm, soon, temporary};
use super::ledger::{Ledger, TOGGLED};
use super::rng::Rng;
use super::scene::{Scene, ensure_tenants, settle};
use super::worker::{Change, Event, execute, new_id};

/// What a developer waits for.
const ROUNDS: usize = 12;
/// `.ci/run` asks for a hundred.
const ROUNDS_ENV: &str = "EKM_KILL_ROUNDS";
const SEED_ENV: &str = "EKM_KILL_SEED";
/// Tasks that wrap.
const WRAPPERS: usize = 3;
/// One round in so many is killed while it starts.
const STARTING_ONE_IN: usize = 6;

/// When a round's server is killed.
enum Moment {
    /// So many milliseconds after it was started.
    Starting(u64),
    /// After so many acknowledged changes.
    Changes(usize),
    /// After so many acknowledged wraps.
    Wraps(usize),
}

impl Moment {
    fn choose(rng: &mut Rng) -> Self {
        match rng.below(STARTING_ONE_IN) {
            0 => Self::Starting(rng.next() % 600),
            choice if choice % 2 == 0 => Self::Changes(1 + rng.below(12)),
            _ => Self::Wraps(1 + rng.below(120)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let number = |name| asked(name).map(|text| text.parse().expect("a number of rounds or a seed"));
    let rounds: usize = number(ROUNDS_ENV).unwrap_or(ROUNDS);
    let mut rng = Rng::new(number(SEED_ENV).map_or(0x006b_696c_6c2d_396e, |seed: usize| seed as u64));
    let folder = temporary();
    let folder = folder.path().join("ekm-dev");
    let mut ledger = Ledger::default();
    let mut killed_at_work = 0;
    for round in 0..rounds {
        let moment = Moment::choose(&mut rng);
        if let Moment::Starting(millis) = moment {
            let mut process = Process::start(ekm().arg("dev").arg("--data-dir").arg(&folder).args(["--port", "0"]));
            // any moment will do: this is an input, drawn from the seed, and nothing depends on where it falls
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            process.kill();
            process.ended().await;
            ledger.read_audit(&folder);
            continue;
        }
        let scene = Scene::open(&folder, Protocol::Http2).await;
        scene.check(&mut ledger).await;
        let sample = ledger.sample(&mut rng);
        ledger.unwrap_all(&scene.google, sample).await;
        ensure_tenants(&scene.admin, &mut ledger).await;
        killed_at_work += 1;
        let log = scene.work_until_killed(&mut ledger, round, &moment, &mut rng).await;
        assert_eq!(alarms(&log), Vec::<&str>::new(), "round {round}");
        ledger.read_audit(&folder);
    }
    assert!(killed_at_work > 0, "no round came to work");
    assert!(ledger.settled > 0, "some change was in flight when a server was killed");
    finish(&folder, &mut ledger).await;
}

/// The last start: everything is looked at.
async fn finish(folder: &Path, ledger: &mut Ledger) {
    let Scene { dev, admin, google } = Scene::open(folder, Protocol::Http1).await;
    settle(ledger, &admin).await;
    ledger.check(&admin).await;
    for version in ledger.disabled() {
        let tenant = TOGGLED.parse().expect("a legal tenant name");
        let change = Change { id: new_id(), operation: AdminOperation::EnableVersion { tenant, version } };
        execute(&admin, &change).await.expect("a disabled version is enabled");
    }
    ledger.enable_all();
    ledger.unwrap_all(&google, 0..ledger.blobs.len()).await;
    dev.stop().await;
    ledger.read_audit(folder);
    ledger.check_audit();
    assert!(ledger.blobs.len() > 1 && ledger.keys.len() > 1, "there was work: {}", ledger.summary());
}

impl Scene {
    /// Works until so much is done that the server is killed. Gives its log.
    async fn work_until_killed(mut self, ledger: &mut Ledger, round: usize, moment: &Moment, rng: &mut Rng) -> String {
        let (mut tasks, mut events) = self.work(ledger, &format!("r{round}"), WRAPPERS, rng);
        let (mut changes, mut wraps, mut is_killed) = (0, 0, false);
        while let Some(event) = soon("work to be done", events.recv()).await {
            match event {
                Event::Changed(..) => changes += 1,
                Event::Wrapped(_) => wraps += 1,
                Event::Asked(_) | Event::Answered(_) => {}
            }
            ledger.take(event);
            let is_due = match *moment {
                Moment::Changes(count) => changes >= count,
                Moment::Wraps(count) => wraps >= count,
                Moment::Starting(_) => true,
            };
            if is_due && !is_killed {
                self.dev.process.kill();
                is_killed = true;
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no task saw an answer that it should not have");
        }
        assert!(is_killed, "the server of round {round} went away before it was killed");
        self.dev.process.ended().await.err
    }
}
