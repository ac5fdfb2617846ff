//! A running server with an operator and a caller at its sides, and what every test of acknowledged work does with it: repeat
//! what got no answer, check what got one, and put several tasks to work.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use replication::machine::request::AdminOperation;
use replication::machine::rows::Staleness;
use server::admin::client::{AdminClient, Operator};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::google::{Google, Protocol};
use super::harness::Dev;
use super::ledger::{Ledger, STEADY, TOGGLED};
use super::rng::Rng;
use super::worker::{Change, Event, Worker, execute, new_id};

/// Tasks that make keys.
const CREATORS: usize = 2;
/// What tasks have told and nobody has heard yet.
pub(crate) const EVENTS_MAX: usize = 64;

/// Repeats under its id whatever was in flight when the server was killed: it must come to one thing made once.
pub(crate) async fn settle(ledger: &mut Ledger, admin: &AdminClient) {
    for change in std::mem::take(&mut ledger.in_flight) {
        ledger.settled += 1;
        let first = execute(admin, &change).await.expect("a running server answers");
        let again = execute(admin, &change).await.expect("a running server answers");
        assert!(again.repeated, "{change:?} was carried out once more");
        assert_eq!((&again.path, &again.state), (&first.path, &first.state), "{change:?}");
        ledger.take(Event::Changed(change, first.path));
    }
}

pub(crate) async fn ensure_tenants(admin: &AdminClient, ledger: &mut Ledger) {
    if std::mem::replace(&mut ledger.has_tenants, true) {
        return;
    }
    for tenant in [STEADY, TOGGLED] {
        let operation = AdminOperation::CreateTenant {
            tenant: tenant.parse().expect("a legal tenant name"),
            staleness: Staleness::default(),
            shard: None,
        };
        execute(admin, &Change { id: new_id(), operation }).await.expect("a running server answers");
    }
}

/// The operator of a server.
pub(crate) fn admin(dev: &Dev) -> AdminClient {
    let operator = Operator::load(&dev.file.operator_cert_file, &dev.file.operator_key_file);
    let operator = operator.expect("the operator's files can be used");
    let admin = AdminClient::new(&dev.file.admin_url, &dev.file.ca_file, operator);
    admin.expect("the admin API can be called")
}

/// A server and its two sides.
pub(crate) struct Scene {
    pub(crate) dev: Dev,
    pub(crate) admin: Arc<AdminClient>,
    pub(crate) google: Google,
}

impl Scene {
    /// Starts a server on the folder.
    pub(crate) async fn open(folder: &Path, protocol: Protocol) -> Self {
        Self::of(Dev::start(folder).await, protocol)
    }

    /// Of one that serves.
    pub(crate) fn of(dev: Dev, protocol: Protocol) -> Self {
        let (admin, google) = (admin(&dev), Google::new(&dev, protocol));
        Self { dev, admin: Arc::new(admin), google }
    }

    /// What was acknowledged is there, before and after what was in flight is repeated.
    pub(crate) async fn check(&self, ledger: &mut Ledger) {
        ledger.check(&self.admin).await;
        settle(ledger, &self.admin).await;
        ledger.check(&self.admin).await;
    }

    /// One who works with this server.
    pub(crate) fn worker(&self, tell: &Sender<Event>) -> Worker {
        Worker { admin: Arc::clone(&self.admin), google: self.google.clone(), tell: tell.clone() }
    }

    /// Several tasks that work until the server is gone.
    pub(crate) fn work(
        &self,
        ledger: &Ledger,
        prefix: &str,
        wrappers: usize,
        rng: &mut Rng,
    ) -> (JoinSet<()>, Receiver<Event>) {
        let (tell, events) = channel(EVENTS_MAX);
        let worker = || self.worker(&tell);
        let usable = Arc::new(Mutex::new(ledger.usable(STEADY)));
        let mut tasks = JoinSet::new();
        for creator in 0..CREATORS {
            tasks.spawn(worker().create(format!("{prefix}-c{creator}"), Arc::clone(&usable)));
        }
        tasks.spawn(worker().toggle(format!("{prefix}-t")));
        for _ in 0..wrappers {
            tasks.spawn(worker().wrap(Arc::clone(&usable), Rng::new(rng.next())));
        }
        (tasks, events)
    }
}
