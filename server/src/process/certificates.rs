//! Has the listeners of a process take renewed certificates while it runs. Renews none itself.

use std::sync::Arc;
use std::time::Duration;

use replication::clock::Clock;
use tokio::sync::Notify;

use crate::edge::renewal::{self, Renewal};
use crate::edge::tls::ServerTls;
use crate::metrics::{ListenerLabel, Metrics};
use crate::tasks::Tasks;

/// Looks at the files of these listeners every so often, and when `asked`.
pub fn watch(
    listeners: Vec<(ListenerLabel, ServerTls)>,
    every: Duration,
    asked: Arc<Notify>,
    (metrics, clock): (&Arc<Metrics>, &Arc<dyn Clock>),
    tasks: &Tasks,
) {
    let renewal = |(listener, tls)| Renewal::new(listener, tls, Arc::clone(metrics));
    let renewals = listeners.into_iter().map(renewal).collect();
    tasks.spawn_endless("certificates", renewal::keep(renewals, every, Arc::clone(clock), asked));
}
