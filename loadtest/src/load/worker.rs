//! One connection of the pool: takes a call, sends it, reports what came. It opens its connection again when that has ended; it
//! repeats a call only if not one byte of it was sent.

use std::time::Instant;

use tokio::sync::mpsc::{Receiver, Sender};

use crate::client::Answer;
use crate::clock::now;
use crate::line::{Call, Line, LineError, Route};

/// How one call went.
pub struct Done {
    /// Which connection.
    pub worker: usize,
    /// When the connection took the call up.
    pub sent_at: Instant,
    /// When the whole answer was there, or it was clear that none comes.
    pub ended_at: Instant,
    pub outcome: Result<Answer, LineError>,
    /// Connections opened on the way, beside the first.
    pub reopened: u32,
}

/// Works until `calls` ends. There is room in `done` for one report of every worker.
pub async fn work(worker: usize, route: Route, first: Line, mut calls: Receiver<Call>, done: Sender<Done>) {
    let mut line = Some(first);
    let mut reopened = 0;
    while let Some(call) = calls.recv().await {
        let sent_at = now();
        let mut outcome = send(&route, &mut line, call.clone(), &mut reopened).await;
        if let Err(LineError::Broken(error)) = &outcome
            && error.is_canceled()
        {
            // the other side had ended the connection before: nothing of the call was sent
            outcome = send(&route, &mut line, call, &mut reopened).await;
        }
        let ended_at = now();
        if let Some(open) = &mut line {
            open.settle().await;
        }
        line = line.filter(|open| outcome.is_ok() && !open.is_over());
        let report = Done { worker, sent_at, ended_at, outcome, reopened: std::mem::take(&mut reopened) };
        if done.send(report).await.is_err() {
            return;
        }
    }
}

async fn send(route: &Route, line: &mut Option<Line>, call: Call, reopened: &mut u32) -> Result<Answer, LineError> {
    let mut open = match line.take() {
        Some(open) if !open.is_over() => open,
        _ => {
            *reopened += 1;
            Line::open(route).await?
        }
    };
    let outcome = open.call(call).await;
    *line = Some(open);
    outcome
}
