//! The shell around the judge: some connections, each going through the next case until there is none. It stops at the first
//! call without an answer; a wrong answer it notes and goes on.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::judge::{self, Case, Fault, Probe, Refusal};
use super::report::Report;
use crate::client::{Answer, Bearer, Client, ClientError, Verb};
use crate::dev::DevServer;
use crate::wire::{UnwrapRequest, WrapRequest};

/// How often one call is repeated that was answered with "try again".
const RETRIES_MAX: u32 = 8;
/// The pause before the first repetition; each further one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Goes through `count` cases over `connections` connections and reports.
///
/// # Errors
/// If the server cannot be reached, or stops answering on the way.
pub async fn run(server: &DevServer, count: NonZeroU64, connections: NonZeroU16) -> Result<Report, ClientError> {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..connections.get() {
        let worker = Worker { client: Client::new(server).await?, report: Report::empty() };
        workers.spawn(worker.go_through(next.clone(), count.get()));
    }
    let mut whole = Report::empty();
    while let Some(ended) = workers.join_next().await {
        // leaving early drops the set, which stops the other workers
        whole.absorb(ended.expect("a worker never panics and is never cancelled before it is joined")?);
    }
    Ok(whole)
}

struct Worker {
    client: Client,
    report: Report,
}

impl Worker {
    async fn go_through(mut self, next: Arc<AtomicU64>, count: u64) -> Result<Report, ClientError> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(self.report);
            }
            let case = Case::plan(number, &mut random);
            if let Err(fault) = self.examine(&case).await? {
                self.report.failed(number, &fault);
            }
            self.report.case_done();
        }
    }

    /// Round trip, then probe. The outer error is a missing answer, the inner one a wrong answer.
    async fn examine(&mut self, case: &Case) -> Result<Result<(), Fault>, ClientError> {
        let blob = match judge::wrapped_blob(&self.wrap(&case.wrap()).await?) {
            Ok(blob) => blob,
            Err(fault) => return Ok(Err(fault)),
        };
        let answer = self.unwrap(Bearer::Granted, &case.unwrap_of(&blob)).await?;
        if let Err(fault) = case.opened(&answer) {
            return Ok(Err(fault));
        }
        self.probe(case, &blob).await
    }

    async fn probe(&mut self, case: &Case, blob: &[u8]) -> Result<Result<(), Fault>, ClientError> {
        let (bearer, request, refusal) = match case.probe {
            Probe::WrapAgain => {
                let second = judge::wrapped_blob(&self.wrap(&case.wrap()).await?);
                return Ok(second.and_then(|second| judge::differs(&second, blob)));
            }
            Probe::OtherAssociatedData => (Bearer::Granted, case.unwrap_elsewhere(blob), Refusal::DoesNotOpen),
            Probe::FlippedBit => (Bearer::Granted, case.unwrap_damaged(blob), Refusal::DoesNotOpen),
            Probe::NoToken => (Bearer::Absent, case.unwrap_of(blob), Refusal::NoToken),
        };
        let judged = judge::refused(&self.unwrap(bearer, &request).await?, refusal);
        if judged.is_ok() {
            self.report.refused_as_expected();
        }
        Ok(judged)
    }

    async fn wrap(&mut self, request: &WrapRequest) -> Result<Answer, ClientError> {
        self.ask(Verb::Wrap, Bearer::Granted, request).await
    }

    async fn unwrap(&mut self, bearer: Bearer, request: &UnwrapRequest) -> Result<Answer, ClientError> {
        self.ask(Verb::Unwrap, bearer, request).await
    }

    /// Calls, and calls again while the answer says that a retry can help, as Cloud KMS does: overload is no wrong answer.
    async fn ask(&mut self, verb: Verb, bearer: Bearer, request: &impl Serialize) -> Result<Answer, ClientError> {
        let mut pause = RETRY_PAUSE;
        for _ in 0..RETRIES_MAX {
            let answer = self.client.call(verb, bearer, request).await?;
            if !judge::is_retriable(&answer) {
                self.report.answered(verb, &answer);
                return Ok(answer);
            }
            self.report.retried();
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let answer = self.client.call(verb, bearer, request).await?;
        self.report.answered(verb, &answer);
        Ok(answer)
    }
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the machine has a source of random bytes");
}
