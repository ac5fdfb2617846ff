//! What several of these tests begin and end with, what whoever runs them may choose, and what a test tells them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use futures::FutureExt as _;
use tempfile::TempDir;
use tokio::sync::mpsc::channel;

use super::disk::{folder, tool};
use super::google::Protocol;
use super::harness::{Dev, alarms, asked};
use super::ledger::Ledger;
use super::scene::{EVENTS_MAX, Scene, ensure_tenants};

/// A number that was asked for.
pub(crate) fn number(variable: &str) -> Option<u64> {
    asked(variable).map(|text| text.parse().expect("a number"))
}

/// Tells the person who runs the tests how far a test has come.
#[allow(clippy::print_stderr, reason = "a run of minutes says what it has done")]
pub(crate) fn said(line: &str) {
    eprintln!("  {line}");
}

/// Ends a server that was started after a crash. It may have complained of the mirror alone, which is thrown away on any doubt.
pub(crate) async fn stop_after_trouble(dev: Dev) {
    dev.process.terminate();
    let ended = dev.process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let is_mirror = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        event["level"] == "WARN" && line.contains("the mirror")
    };
    let others: Vec<_> = alarms(&ended.err).into_iter().filter(|line| !is_mirror(line)).collect();
    assert_eq!(others, Vec::<&str>::new());
}

/// The words of a panic.
pub(crate) fn told_by(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(told) => *told,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("a panic without words").to_owned(),
    }
}

tokio::task_local! {
    /// Set where a panic is what is looked for.
    static SOUGHT: ();
}

/// What a look finds wrong. The panic by which it says so is no failure of the test, so it is not printed as one.
pub(crate) async fn found_by(look: impl Future) -> Option<String> {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if SOUGHT.try_with(|()| ()).is_err() {
                others(panic);
            }
        }));
    });
    SOUGHT.scope((), AssertUnwindSafe(look).catch_unwind()).await.err().map(told_by)
}

/// A data directory with acknowledged changes, and what is known of them.
pub(crate) struct Prepared {
    folder: TempDir,
    ledger: Ledger,
}

impl Prepared {
    /// A data directory with two tenants and a key, stopped well.
    pub(crate) async fn new() -> Self {
        let folder = folder();
        let scene = Scene::open(&folder.path().join(DATA), Protocol::Http2).await;
        let mut ledger = Ledger::default();
        ensure_tenants(&scene.admin, &mut ledger).await;
        work(&scene, &mut ledger, "before").await;
        scene.dev.stop().await;
        Self { folder, ledger }
    }

    /// Copies the data directory, and gives what is known of it.
    pub(crate) fn copy(&self, to: &Path) -> Ledger {
        tool("cp", &["-a".as_ref(), self.folder.path().join(DATA).as_os_str(), to.as_os_str()]);
        self.ledger.clone()
    }
}

/// The name of a data directory.
pub(crate) const DATA: &str = "ekm-dev";

/// Makes a key, wraps with it, and takes it out of use: what was acknowledged of it, and what was asked for, is in the ledger.
pub(crate) async fn work(scene: &Scene, ledger: &mut Ledger, name: &str) {
    let (tell, mut told) = channel(EVENTS_MAX);
    let worker = scene.worker(&tell);
    drop(tell);
    let working = async {
        let worker = worker;
        worker.disabled_key(name).await
    };
    let hearing = async {
        while let Some(event) = told.recv().await {
            ledger.take(event);
        }
    };
    tokio::join!(working, hearing);
}
