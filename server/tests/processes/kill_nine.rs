//! kill -9 of `ekm dev` amid key creation, grants, disabling and wraps, again and again on one data directory. What was
//! acknowledged is kept, what was in flight comes to exactly one key when it is repeated, what was wrapped unwraps.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use replication::machine::request::AdminOperation;
use replication::machine::rows::Staleness;
use server::admin::client::{AdminClient, Operator};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

use super::google::{Google, Protocol};
use super::harness::{Dev, Process, alarms, asked, ekm, soon, temporary};
use super::ledger::{Ledger, STEADY, TOGGLED};
use super::rng::Rng;
use super::worker::{Change, Event, Worker, execute, new_id};

/// What a developer waits for.
const ROUNDS: usize = 12;
/// `.ci/run` asks for a hundred.
const ROUNDS_ENV: &str = "EKM_KILL_ROUNDS";
const SEED_ENV: &str = "EKM_KILL_SEED";
/// Tasks that make keys, and tasks that wrap.
const CREATORS: usize = 2;
const WRAPPERS: usize = 3;
/// What tasks have told and nobody has heard yet.
const EVENTS_MAX: usize = 64;
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

/// Repeats under its id whatever was in flight when the server was killed: it must come to one thing made once.
async fn settle(ledger: &mut Ledger, admin: &AdminClient) {
    for change in std::mem::take(&mut ledger.in_flight) {
        ledger.settled += 1;
        let first = execute(admin, &change).await.expect("a running server answers");
        let again = execute(admin, &change).await.expect("a running server answers");
        assert!(again.repeated, "{change:?} was carried out once more");
        assert_eq!((&again.path, &again.state), (&first.path, &first.state), "{change:?}");
        ledger.take(Event::Changed(change, first.path));
    }
}

async fn ensure_tenants(admin: &AdminClient, ledger: &mut Ledger) {
    if std::mem::replace(&mut ledger.has_tenants, true) {
        return;
    }
    for tenant in [STEADY, TOGGLED] {
        let operation = AdminOperation::CreateTenant {
            tenant: tenant.parse().expect("a legal tenant name"),
            staleness: Staleness::default(),
        };
        execute(admin, &Change { id: new_id(), operation }).await.expect("a running server answers");
    }
}

/// A server and its two sides.
struct Scene {
    dev: Dev,
    admin: Arc<AdminClient>,
    google: Google,
}

impl Scene {
    async fn open(folder: &Path, protocol: Protocol) -> Self {
        let dev = Dev::start(folder).await;
        let operator = Operator::load(&dev.file.operator_cert_file, &dev.file.operator_key_file);
        let operator = operator.expect("the operator's files can be used");
        let admin = AdminClient::new(&dev.file.admin_url, &dev.file.ca_file, operator);
        let google = Google::new(&dev, protocol);
        Self { dev, admin: Arc::new(admin.expect("the admin API can be called")), google }
    }

    /// What was acknowledged is there, before and after what was in flight is repeated.
    async fn check(&self, ledger: &mut Ledger) {
        ledger.check(&self.admin).await;
        settle(ledger, &self.admin).await;
        ledger.check(&self.admin).await;
    }

    /// Several tasks that work until the server is gone.
    fn work(&self, ledger: &Ledger, round: usize, rng: &mut Rng) -> (JoinSet<()>, Receiver<Event>) {
        let (tell, events) = channel(EVENTS_MAX);
        let worker = || Worker { admin: Arc::clone(&self.admin), google: self.google.clone(), tell: tell.clone() };
        let usable = Arc::new(Mutex::new(ledger.usable(STEADY)));
        let mut tasks = JoinSet::new();
        for creator in 0..CREATORS {
            tasks.spawn(worker().create(format!("r{round}-c{creator}"), Arc::clone(&usable)));
        }
        tasks.spawn(worker().toggle(format!("r{round}-t")));
        for _ in 0..WRAPPERS {
            tasks.spawn(worker().wrap(Arc::clone(&usable), Rng::new(rng.next())));
        }
        (tasks, events)
    }

    /// Works until so much is done that the server is killed. Gives its log.
    async fn work_until_killed(mut self, ledger: &mut Ledger, round: usize, moment: &Moment, rng: &mut Rng) -> String {
        let (mut tasks, mut events) = self.work(ledger, round, rng);
        let (mut changes, mut wraps, mut is_killed) = (0, 0, false);
        while let Some(event) = soon("work to be done", events.recv()).await {
            match event {
                Event::Changed(..) => changes += 1,
                Event::Wrapped(_) => wraps += 1,
                Event::InFlight(_) | Event::Answered(_) => {}
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
