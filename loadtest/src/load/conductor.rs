//! The open loop: takes each arrival when it is due, gives it to a free connection, and counts what came. It alone holds the state
//! of a run. No answer, and no slowness of the server, changes when the next call is due.

use std::collections::VecDeque;
use std::io;
use std::iter::Peekable;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::blobs::{Blobs, Plain};
use super::expect::{Expected, judge};
use super::habits::Content;
use super::progress::Progress;
use super::schedule::{Arrival, Arrivals, Operation, Plan};
use super::tally::{Fault, Tally, Timing};
use super::target::Target;
use super::worker::{Done, work};
use crate::clock::{Alarm, now, unix_seconds};
use crate::line::{CALL_TIME_MAX, Call, Line, LineError};
use crate::verify::judge::{self, Refusal};

/// Calls that are due and wait for a connection; more are counted as never sent.
const BACKLOG_MAX: usize = 10_000;
/// Blobs of each key before the run, so that unwraps have something to unwrap.
const BLOBS_BEFORE: u64 = 16;
/// How often one of those wraps is repeated that was told to try again, and the pause between.
const TRIES_BEFORE_MAX: u32 = 20;
const TRY_PAUSE: Duration = Duration::from_millis(100);
/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Why a run did not take place.
#[derive(Debug, Error)]
pub enum RunError {
    /// The server cannot be reached.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A wrap before the run was answered wrongly.
    #[error("key {key}: the first wraps were not answered rightly")]
    Wrong {
        /// Counted from 1, in the order of the command line.
        key: usize,
        #[source]
        cause: judge::Fault,
    },
    /// The system's timer failed.
    #[error("the timer of the generator failed")]
    Timer(#[from] io::Error),
}

/// A call under way.
struct InFlight {
    arrival: Arrival,
    noticed: Duration,
    expected: Expected,
}

/// The state of a run.
pub struct Conductor<'a> {
    plan: &'a Plan,
    target: &'a mut Target,
    blobs: Blobs,
    backlog: VecDeque<(Arrival, Duration)>,
    free: VecDeque<usize>,
    under_way: Vec<Option<InFlight>>,
    calls: Vec<Sender<Call>>,
    done: Receiver<Done>,
    tally: Tally,
    _workers: JoinSet<()>,
}

impl<'a> Conductor<'a> {
    /// Opens the connections and wraps something with every key.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn prepare(
        plan: &'a Plan,
        target: &'a mut Target,
        connections: u16,
        tally: Tally,
    ) -> Result<Self, RunError> {
        let mut first = Line::open(&target.route).await?;
        let mut blobs = Blobs::new(target.keys.len());
        for key in 0..target.keys.len() {
            for number in 0..BLOBS_BEFORE {
                let random = fastrand::Rng::with_seed(plan.seed ^ number).u64(..);
                let plain = Plain {
                    seed: random,
                    size: *plan.sizes.pick(random),
                    associated_size: *plan.associated_sizes.pick(random.rotate_left(32)),
                };
                let known = wrap_before(target, &mut first, key, plain, plan).await?;
                blobs.keep(key, known);
            }
        }
        let (report, done) = channel(usize::from(connections));
        let mut workers = JoinSet::new();
        let mut calls = Vec::new();
        for worker in 0..usize::from(connections) {
            let line = Line::open(&target.route).await?;
            let (sender, receiver) = channel(1);
            workers.spawn(work(worker, target.route.clone(), line, receiver, report.clone()));
            calls.push(sender);
        }
        Ok(Self {
            plan,
            target,
            blobs,
            backlog: VecDeque::new(),
            free: (0..calls.len()).collect(),
            under_way: calls.iter().map(|_| None).collect(),
            calls,
            done,
            tally,
            _workers: workers,
        })
    }

    /// Goes through the plan and returns what was counted. An interrupt ends it early, which shows in the count.
    ///
    /// # Errors
    /// If the timer fails.
    pub async fn run(mut self, progress: &mut Progress) -> Result<Tally, RunError> {
        let alarm = Alarm::new()?;
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        let mut is_cut = false;
        let start = now();
        let mut arrivals = self.plan.arrivals().peekable();
        let mut shown = Duration::ZERO;
        loop {
            let elapsed = start.elapsed();
            self.target.tokens.renew_if_due(now(), unix_seconds);
            self.take_due(&mut arrivals, elapsed);
            if is_cut {
                self.give_up();
            }
            self.hand_out();
            let next = arrivals.peek().filter(|_| !is_cut).map(|arrival| arrival.at);
            if next.is_none() && self.is_idle() {
                break;
            }
            if next.is_none() && elapsed > self.plan.duration + CALL_TIME_MAX {
                self.give_up();
            }
            if elapsed >= shown + PROGRESS_EVERY {
                shown = elapsed;
                progress.show(elapsed, &self.tally);
            }
            let wake_at = next.map_or(shown + PROGRESS_EVERY, |next| next.min(shown + PROGRESS_EVERY));
            tokio::select! {
                biased;
                Some(done) = self.done.recv() => self.finish(&done, start),
                rung = alarm.wait(wake_at.saturating_sub(start.elapsed())) => rung?,
                // without a handler for signals the run goes on to its end
                Ok(()) = &mut interrupted, if !is_cut => is_cut = true,
            }
            while let Ok(done) = self.done.try_recv() {
                self.finish(&done, start);
            }
        }
        progress.end();
        Ok(self.tally)
    }

    fn is_idle(&self) -> bool {
        self.backlog.is_empty() && self.free.len() == self.calls.len()
    }

    /// Moves what is due into the backlog, or counts it as never sent.
    fn take_due(&mut self, arrivals: &mut Peekable<Arrivals<'_>>, elapsed: Duration) {
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at <= elapsed) {
            self.tally.asked(arrival.at);
            if self.backlog.len() < BACKLOG_MAX {
                self.backlog.push_back((arrival, elapsed));
            } else {
                self.tally.unsent(arrival.operation, arrival.at);
            }
        }
    }

    /// Counts the whole backlog as never sent.
    fn give_up(&mut self) {
        for (arrival, _) in self.backlog.drain(..) {
            self.tally.unsent(arrival.operation, arrival.at);
        }
    }

    /// Gives waiting calls to free connections, the longest free first: all are used, and none idles until it is closed.
    fn hand_out(&mut self) {
        while let Some(worker) = self.free.pop_front() {
            let Some((arrival, noticed)) = self.backlog.pop_front() else {
                self.free.push_front(worker);
                return;
            };
            let (call, expected) = self.write(&arrival);
            self.under_way[worker] = Some(InFlight { arrival, noticed, expected });
            self.calls[worker].try_send(call).expect("a free worker waits for its next call");
        }
    }

    /// The call of an arrival, and what it must bring.
    fn write(&self, arrival: &Arrival) -> (Call, Expected) {
        let key = &self.target.keys[arrival.key];
        let (field, payload, associated_data, expected) = match arrival.operation {
            Operation::Wrap => {
                let plain =
                    Plain { seed: arrival.choice, size: arrival.size, associated_size: arrival.associated_size };
                ("plaintext", plain.plaintext(), plain.associated_data(), Expected::Blob(plain))
            }
            Operation::Unwrap | Operation::OtherData | Operation::NoToken => {
                let known = self.blobs.pick(arrival.key, arrival.choice).expect("every key wrapped something before");
                let blob = known.blob.clone();
                let (associated_data, expected) = match arrival.operation {
                    Operation::OtherData => (known.plain.other_data(), Expected::Refusal(Refusal::DoesNotOpen)),
                    Operation::NoToken => (known.plain.associated_data(), Expected::Refusal(Refusal::NoToken)),
                    Operation::Wrap | Operation::Unwrap => (known.plain.associated_data(), Expected::Plaintext(known)),
                };
                ("wrappedBlob", blob, associated_data, expected)
            }
        };
        let content = Content { field, payload: &payload, associated_data: &associated_data, choice: arrival.choice };
        let uri = if arrival.operation == Operation::Wrap { &key.wrap } else { &key.unwrap };
        let caller = key.callers[usize::try_from(arrival.choice % key.callers.len() as u64).unwrap_or(0)];
        let is_named = arrival.operation != Operation::NoToken;
        let call = Call {
            uri: uri.clone(),
            host: self.target.host.clone(),
            authorization: is_named.then(|| self.target.tokens.authorization(caller)),
            body: Bytes::from(arrival.habit.body(&content)),
        };
        (call, expected)
    }

    /// Judges and counts a call that is over.
    fn finish(&mut self, done: &Done, start: Instant) {
        let InFlight { arrival, noticed, expected } =
            self.under_way[done.worker].take().expect("a worker reports once for each call");
        self.free.push_back(done.worker);
        let judged = judge(&expected, &done.outcome);
        let timing = Timing {
            intended: arrival.at,
            noticed,
            sent: done.sent_at.saturating_duration_since(start),
            ended: done.ended_at.saturating_duration_since(start),
        };
        self.tally.ended(arrival.operation, timing, judged.code, judged.worth);
        self.tally.reopened += u64::from(done.reopened);
        if let Err(error) = &done.outcome {
            self.tally.unanswered.get_or_insert_with(|| crate::exit::words(error));
        }
        if let Some(known) = judged.known {
            self.blobs.keep(arrival.key, known);
        }
        if let Some(fault) = judged.fault {
            self.tally.fault(Fault {
                at_seconds: arrival.at.as_secs_f64(),
                operation: arrival.operation.name(),
                habit: arrival.habit.name,
                words: fault.to_string(),
            });
        }
    }
}

/// One wrap before the run, repeated while the server says that it may succeed later.
async fn wrap_before(
    target: &Target,
    line: &mut Line,
    key: usize,
    plain: Plain,
    plan: &Plan,
) -> Result<super::blobs::Known, RunError> {
    let (payload, associated_data) = (plain.plaintext(), plain.associated_data());
    let content =
        Content { field: "plaintext", payload: &payload, associated_data: &associated_data, choice: plain.seed };
    let place = &target.keys[key];
    let call = Call {
        uri: place.wrap.clone(),
        host: target.host.clone(),
        authorization: Some(target.tokens.authorization(place.callers[0])),
        body: Bytes::from(plan.habits.pick(plain.seed).body(&content)),
    };
    let mut answer = line.call(call.clone()).await?;
    for _ in 1..TRIES_BEFORE_MAX {
        if !judge::is_retriable(&answer) {
            break;
        }
        tokio::time::sleep(TRY_PAUSE).await;
        answer = line.call(call.clone()).await?;
    }
    let blob = judge::wrapped_blob(&answer).map_err(|cause| RunError::Wrong { key: key + 1, cause })?;
    Ok(super::blobs::Known { blob, plain })
}
