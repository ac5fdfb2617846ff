//! The shell around the table: sends the calls of one case after the other, lets the judge look at each answer, and keeps the
//! verdicts. It goes on after a wrong answer and after none; what it measures fails nothing.

use std::error::Error;
use std::iter;
use std::time::Duration;

use super::case::{Case, Plan, Step};
use super::error_body::error_body;
use super::expect::Expect;
use super::judge::{self, Answer, Finding, Past};
use super::scene::{self, Facts, Scene};
use super::sender::{NoAnswer, Sender};
use crate::issuer::Issuer;

/// How often one call is repeated that was answered with "try again".
const RETRIES_MAX: u32 = 6;
/// The pause before the first repetition; each further one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Retriable answers that are kept to be judged.
const RETRIABLES_MAX: usize = 64;

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// In the step of this number, counted from 1, of so many.
    Failed {
        step: usize,
        steps: usize,
        finding: Finding,
    },
    /// Not tried, and why.
    Skipped(&'static str),
}

/// A case and what became of it.
pub struct Verdict {
    pub case: &'static Case,
    pub outcome: Outcome,
    pub took: Duration,
}

/// Who signs, and what the target is.
pub struct Parties<'a> {
    pub facts: &'a Facts,
    pub issuer: &'a Issuer,
    pub forger: &'a Issuer,
}

/// What was seen besides the verdicts.
#[derive(Debug, Default)]
pub struct Seen {
    pub calls: u64,
    /// Of every call that was served.
    pub latencies: Vec<Duration>,
    retriables: Vec<Answer>,
}

/// Tries these cases in their order. `now` tells the seconds since 1970, before each case anew.
pub async fn run(
    sender: &mut Sender,
    parties: &Parties<'_>,
    cases: &[&'static Case],
    now: impl Fn() -> u64,
) -> (Vec<Verdict>, Seen) {
    let mut seen = Seen::default();
    let mut verdicts = Vec::with_capacity(cases.len());
    for case in cases {
        let scene = Scene::at(now(), parties.facts, parties.issuer, parties.forger);
        let (outcome, took) = try_case(sender, (case.plan)(&scene), &mut seen).await;
        verdicts.push(Verdict { case, outcome, took });
    }
    (verdicts, seen)
}

async fn try_case(sender: &mut Sender, plan: Plan, seen: &mut Seen) -> (Outcome, Duration) {
    let steps = match plan {
        Plan::Calls(steps) => steps,
        Plan::Lacks(lack) => return (Outcome::Skipped(lack.says()), Duration::ZERO),
        Plan::Retriables => return (retriables(seen), Duration::ZERO),
    };
    let (mut past, mut took) = (Past::default(), Duration::ZERO);
    for (number, step) in steps.iter().enumerate() {
        let judged = try_step(sender, step, &past, seen, &mut took).await;
        let (answer, blob) = match judged {
            Ok(judged) => judged,
            Err(finding) => return (Outcome::Failed { step: number + 1, steps: steps.len(), finding }, took),
        };
        past.blobs.push(blob);
        if let Some(answer) = answer.filter(|answer| answer.status >= 400) {
            past.shape.get_or_insert(error_body(&answer.body).shape);
        }
    }
    (Outcome::Passed, took)
}

async fn try_step(
    sender: &mut Sender,
    step: &Step,
    past: &Past,
    seen: &mut Seen,
    took: &mut Duration,
) -> Result<(Option<Answer>, Option<Vec<u8>>), Finding> {
    let body = scene::body(&step.call.body, &past.blobs).expect("a case unwraps only what a step of it has wrapped");
    let mut pause = RETRY_PAUSE;
    let mut tries = 0;
    loop {
        seen.calls += 1;
        let answer = match sender.send(&step.call, body.clone()).await {
            Ok(answer) => answer,
            // closed on a sender of too much: that it is still there is looked at by the last case
            Err(NoAnswer::Http(_)) if step.expect == Expect::TooLarge => return Ok((None, None)),
            Err(error) => return Err(unanswered(&error)),
        };
        *took += answer.latency;
        if matches!(answer.status, 429 | 503 | 504) && seen.retriables.len() < RETRIABLES_MAX {
            seen.retriables.push(answer.clone());
        }
        // a busy EKM is no wrong one
        if tries < RETRIES_MAX && judge::is_retriable(&step.expect, &answer) {
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
            continue;
        }
        if answer.status == 200 {
            seen.latencies.push(answer.latency);
        }
        let blob = judge::judge(&step.expect, &answer, past)?;
        return Ok((Some(answer), blob));
    }
}

fn unanswered(error: &NoAnswer) -> Finding {
    Finding {
        expected: "an HTTP answer".to_owned(),
        got: format!("none: {}", told(error)),
        excerpt: "(nothing)".to_owned(),
    }
}

/// An error with its causes.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let words: Vec<String> = iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    words.join(": ")
}

fn retriables(seen: &Seen) -> Outcome {
    if seen.retriables.is_empty() {
        return Outcome::Skipped("no call was answered with 429, 503 or 504");
    }
    let mut judged = seen.retriables.iter().map(judge::says_when).enumerate();
    match judged.find_map(|(at, judged)| Some((at, judged.err()?))) {
        None => Outcome::Passed,
        Some((at, finding)) => Outcome::Failed { step: at + 1, steps: seen.retriables.len(), finding },
    }
}
