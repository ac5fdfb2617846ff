//! Power cuts: the disk of a working `ekm dev` as it would be found if the power went away now, again and again. What was
//! acknowledged before is on it, what was in flight comes to one change, blobs unwrap, disabled keys are refused. And the
//! proof that this can fail: the same with a sync that does nothing.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use super::cases::{found_by, number, said, stop_after_trouble};
use super::disk::{Disk, folder};
use super::google::Protocol;
use super::harness::{Dev, Process, soon};
use super::ledger::Ledger;
use super::rng::Rng;
use super::scene::{Scene, ensure_tenants};
use super::serve::{block_on, often, server, serves};
use super::tracer::Attached;
use super::worker::Event;

/// Cuts at work, and cuts while a server starts.
const CUTS_AT_WORK: usize = 16;
const CUTS_AT_START: usize = 4;
/// The live disk: ten times what the run writes.
const DISK_BYTES: u64 = 96 << 20;
/// At most so many acknowledgements lie between two cuts, and so much time after the last of them.
const EVENTS_BETWEEN_MAX: usize = 60;
const MILLIS_BETWEEN_MAX: u64 = 40;
/// A start takes so long.
const MILLIS_OF_A_START: u64 = 400;
/// Tasks that wrap.
const WRAPPERS: usize = 1;
/// Acknowledged changes before the power goes in the test of a planted fault, and how often it may go in vain: the kernel
/// writes by itself now and then.
const PLANTED_CHANGES: usize = 12;
const PLANTED_TRIES: usize = 5;

/// What the power left.
struct Cut {
    image: PathBuf,
    /// As it was known when the power went.
    ledger: Ledger,
}

/// Stops every thread of a process, and returns once none of them runs, so that no sync is half done.
async fn stop(process: &Process) {
    process.signal(Signal::STOP);
    let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw).expect("a process has an id");
    let stopped = tokio::task::spawn_blocking(move || waitpid(Some(pid), WaitOptions::UNTRACED));
    let status =
        soon("a process to stop", stopped).await.expect("waiting does not panic").expect("a child is waited for");
    assert!(status.is_some_and(|(_, status)| status.stopped()), "the server ended where it should have stopped");
}

/// Stops the server, takes what it has told by now, and copies what its disk holds.
async fn cut(process: &Process, told: &mut Receiver<Event>, ledger: &mut Ledger, disk: &Disk, image: PathBuf) -> Cut {
    stop(process).await;
    // an answer that is here was given before the stop, and a question that the server knows was told before it was asked
    while let Ok(event) = told.try_recv() {
        ledger.take(event);
    }
    disk.copy(&image);
    process.signal(Signal::CONT);
    Cut { image, ledger: ledger.clone() }
}

/// Hears so many events, and goes on hearing for so long.
async fn hear(told: &mut Receiver<Event>, ledger: &mut Ledger, events: usize, then: Duration) {
    for _ in 0..events {
        ledger.take(soon("work to be done", told.recv()).await.expect("the server goes on"));
    }
    // an input from the seed: nothing depends on where it falls
    let mut end = pin!(tokio::time::sleep(then));
    loop {
        tokio::select! {
            () = &mut end => return,
            Some(event) = told.recv() => ledger.take(event),
        }
    }
}

/// Kills the server; what its tasks still have to tell was acknowledged.
async fn end(mut scene: Scene, mut told: Receiver<Event>, mut tasks: JoinSet<()>, ledger: &mut Ledger) {
    scene.dev.process.kill();
    while let Some(event) = soon("the tasks to end", told.recv()).await {
        ledger.take(event);
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task saw an answer that it should not have");
    }
    scene.dev.process.ended().await;
}

/// Mounts what the power left, starts the released server on it, and looks at everything. How many snapshots of the shard it found.
async fn verify(Cut { image, mut ledger }: Cut) -> usize {
    let disk = Disk::of(image);
    let snapshots = std::fs::read_dir(data(&disk).join("groups/1/snapshots")).map_or(0, Iterator::count);
    let scene = Scene::open(&data(&disk), Protocol::Http1).await;
    scene.check(&mut ledger).await;
    let blobs = 0..ledger.blobs.len();
    ledger.unwrap_all(&scene.google, blobs).await;
    stop_after_trouble(scene.dev).await;
    snapshots
}

fn data(disk: &Disk) -> PathBuf {
    disk.root().join("ekm-dev")
}

/// A test that serves, too.
const NAME: &str = "power_cut::a_power_cut_loses_nothing_that_was_acknowledged";

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    // snapshots and purges all the time, so that the power goes amid them too
    if !serves(often()) {
        block_on(power_cuts());
    }
}

async fn power_cuts() {
    let mut rng = Rng::new(number("EKM_MACHINE_SEED").unwrap_or(0x0070_6f77_6572));
    let folder = folder();
    let disk = Disk::new(folder.path(), "live", DISK_BYTES);
    let mut ledger = Ledger::default();
    let mut cuts = cuts_at_work(folder.path(), &disk, &mut ledger, &mut rng).await;
    for serial in 0..CUTS_AT_START {
        let mut process = Process::start(&mut server(NAME, &data(&disk)));
        // an input from the seed again
        tokio::time::sleep(Duration::from_millis(rng.next() % MILLIS_OF_A_START)).await;
        let (_, mut silent) = tokio::sync::mpsc::channel(1);
        let image = folder.path().join(format!("start-{serial}.img"));
        cuts.push(cut(&process, &mut silent, &mut ledger, &disk, image).await);
        process.kill();
        process.ended().await;
    }
    said(&format!("{} images of: {}", cuts.len(), ledger.summary()));
    assert!(cuts.iter().any(|cut| !cut.ledger.in_flight.is_empty()), "some change was in flight");
    assert!(cuts.iter().any(|cut| !cut.ledger.disabled().is_empty()), "some key was disabled");
    let mut snapshots = Vec::new();
    for cut in cuts {
        snapshots.push(verify(cut).await);
    }
    said(&format!("snapshots on them: {snapshots:?}"));
    assert!(snapshots.iter().any(|count| *count > 1), "the server wrote snapshots: {snapshots:?}");
}

async fn cuts_at_work(folder: &Path, disk: &Disk, ledger: &mut Ledger, rng: &mut Rng) -> Vec<Cut> {
    let data = data(disk);
    let scene = Scene::of(Dev::of(Process::start(&mut server(NAME, &data)), &data).await, Protocol::Http2);
    ensure_tenants(&scene.admin, ledger).await;
    let (tasks, mut told) = scene.work(ledger, "w", WRAPPERS, rng);
    let mut cuts = Vec::new();
    for serial in 0..CUTS_AT_WORK {
        let events = 1 + rng.below(EVENTS_BETWEEN_MAX);
        hear(&mut told, ledger, events, Duration::from_millis(rng.next() % MILLIS_BETWEEN_MAX)).await;
        let image = folder.join(format!("work-{serial}.img"));
        cuts.push(cut(&scene.dev.process, &mut told, ledger, disk, image).await);
    }
    end(scene, told, tasks, ledger).await;
    cuts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_does_nothing_is_found_by_a_power_cut() {
    let mut rng = Rng::new(0x0070_6c61_6e74);
    for planted in 0..PLANTED_TRIES {
        let folder = folder();
        let disk = Disk::new(folder.path(), "live", DISK_BYTES);
        let mut ledger = Ledger::default();
        let scene = Scene::open(&data(&disk), Protocol::Http2).await;
        ensure_tenants(&scene.admin, &mut ledger).await;
        // the fault begins on sound data, so that what is lost is what was acknowledged under it
        let calls = "fsync,fdatasync";
        let _tracer = Attached::to(&scene.dev.process, calls, &format!("inject={calls}:retval=0")).await;
        let (tasks, mut told) = scene.work(&ledger, &format!("p{planted}"), WRAPPERS, &mut rng);
        let mut changes = 0;
        while changes < PLANTED_CHANGES {
            let event = soon("work to be done", told.recv()).await.expect("the server goes on");
            changes += usize::from(matches!(event, Event::Changed(..)));
            ledger.take(event);
        }
        let image = folder.path().join("cut.img");
        let cut = cut(&scene.dev.process, &mut told, &mut ledger, &disk, image).await;
        end(scene, told, tasks, &mut ledger).await;
        let Some(told) = found_by(verify(cut)).await else { continue };
        assert!(told.contains("acknowledged") || told.contains("before it served"), "another trouble: {told}");
        said(&format!("found, as it must be: {told:.200}"));
        return;
    }
    panic!("{PLANTED_TRIES} power cuts without a single sync, and nothing was missed");
}
