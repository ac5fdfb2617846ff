//! Plays one scenario: three services that differ in what they do at a revocation share one crypto key. The shell around the
//! pure parts: it knows the time, sends what is due and notes what is told. It judges nothing but whether a step has come.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Entry, Event, What, Who};
use super::premises::Premises;
use super::promise::{self, Broken};
use super::scenario::{Expected, Move, SHUT_DOWN_AFTER, Scenario, Step};
use super::symptom::Symptom;
use super::words;
use super::workload::{Revocation, Workload};
use crate::cloud_kms::{CryptoKey, KeyUse, KmsError, Reply, Request, Turn};

/// What the services do at a revocation.
pub const ACTIONS: [Revocation; 3] =
    [Revocation::PreventNew, Revocation::ShutDown, Revocation::ShutDownAfter(SHUT_DOWN_AFTER)];
/// Lines of a story that are kept; no scenario comes near it.
const ENTRIES_MAX: usize = 100_000;
/// The longest look away while hands move, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What became of a scenario.
#[derive(Debug)]
pub struct Played {
    pub scenario: &'static Scenario,
    pub story: Vec<Entry>,
    pub broken: Vec<Broken>,
}

/// How fast time passes.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    hour: Duration,
}

impl Clock {
    /// Time begins now, and an hour of the service takes this long.
    #[expect(clippy::disallowed_methods, reason = "the story's time is measured here, with the clock of this machine")]
    pub fn start(hour: Duration) -> Self {
        Self { began: Instant::now(), hour }
    }

    fn now(&self) -> Duration {
        Duration::from_hours(1).mul_f64(self.began.elapsed().as_secs_f64() / self.hour.as_secs_f64())
    }

    fn real(&self, service_time: Duration) -> Duration {
        self.hour.mul_f64(service_time.as_secs_f64() / Duration::from_hours(1).as_secs_f64())
    }
}

/// Plays a scenario from its first step to its last, or to the first that does not come.
pub async fn play<P: Premises>(
    scenario: &'static Scenario,
    premises: &P,
    key: CryptoKey,
    data_keys: [Vec<u8>; 3],
    clock: Clock,
) -> Played {
    let [first, second, third] = data_keys;
    let services = [(ACTIONS[0], first), (ACTIONS[1], second), (ACTIONS[2], third)]
        .map(|(action, data_key)| Workload::new(action, data_key, clock.now()));
    let mut stage = Stage { premises, key, services, clock, story: Vec::new(), since: 0 };
    let mut broken = Vec::new();
    for step in scenario.steps {
        if let Err(missed) = stage.step(*step).await {
            broken.push(missed);
            break;
        }
    }
    broken.extend(promise::broken(scenario, &stage.story));
    Played { scenario, story: stage.story, broken }
}

struct Stage<'a, P> {
    premises: &'a P,
    key: CryptoKey,
    services: [Workload; 3],
    clock: Clock,
    story: Vec<Entry>,
    /// Where in the story the last move stands.
    since: usize,
}

impl<P: Premises> Stage<'_, P> {
    async fn step(&mut self, step: Step) -> Result<(), Broken> {
        match step {
            Step::Do(hand) => self.make(hand).await,
            Step::Pass(length) => {
                let until = self.clock.now() + length;
                while self.clock.now() < until {
                    self.serve_what_is_due().await;
                    self.sleep(until).await;
                }
                Ok(())
            }
            Step::Await(expected, length) => self.await_it(expected, length).await,
        }
    }

    async fn await_it(&mut self, expected: Expected, length: Duration) -> Result<(), Broken> {
        let until = self.clock.now() + length;
        loop {
            self.serve_what_is_due().await;
            if self.holds(expected) {
                self.note(Who::Hand, What::Reached(expected.to_string()));
                return Ok(());
            }
            if self.clock.now() >= until {
                return Err(Broken::NeverCame { expected: expected.to_string(), within: length });
            }
            self.sleep(until).await;
        }
    }

    async fn make(&mut self, hand: Move) -> Result<(), Broken> {
        self.since = self.story.len();
        self.note(Who::Hand, What::Moved(hand));
        match hand {
            Move::EnableAtGoogle => self.key.enable_all(),
            Move::LimitAtGoogle(per_hour) => self.key.limit(per_hour),
            Move::ScaleOut => {
                let now = self.clock.now();
                self.services.iter_mut().for_each(|service| service.scale_out(now));
            }
            there => return self.make_there(there).await,
        }
        Ok(())
    }

    /// Services go on while an operator's command runs.
    async fn make_there(&mut self, hand: Move) -> Result<(), Broken> {
        let is_made = Cell::new(false);
        let premises = self.premises;
        let making = async {
            let made = premises.make(hand).await;
            is_made.set(true);
            made
        };
        let serving = async {
            while !is_made.get() {
                self.serve_what_is_due().await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let (made, ()) = tokio::join!(making, serving);
        made.map_err(|error| Broken::NotMade { hand: hand.to_string(), why: words::of_error(&error) })
    }

    /// At most one request of each service: where calls take long there is always one more due.
    async fn serve_what_is_due(&mut self) {
        for index in 0..self.services.len() {
            if let Some(request) = self.services[index].next(self.clock.now()) {
                let result = self.ask(&request).await;
                self.services[index].answered(self.clock.now(), request.context, result);
            }
            self.note_what_is_told(index);
        }
    }

    /// One request to Cloud KMS, over as many calls as it makes of it.
    async fn ask(&mut self, request: &Request) -> Result<Reply, KmsError> {
        let mut pending = self.key.begin(request, self.clock.now())?;
        loop {
            let received = self.premises.call(&pending.call).await;
            let before = self.key.disabled_by_refusal();
            let turn = self.key.judged(&mut pending, received);
            if self.key.disabled_by_refusal() > before {
                self.note(Who::CloudKms, What::VersionDisabled);
            }
            if let Turn::Done(result) = turn {
                return result;
            }
        }
    }

    fn note_what_is_told(&mut self, index: usize) {
        let who = Who::Service(self.services[index].action());
        let told: Vec<Event> = self.services[index].take_events().collect();
        for event in told {
            self.note(who, What::Told(event));
        }
    }

    fn note(&mut self, who: Who, what: What) {
        if self.story.len() < ENTRIES_MAX {
            self.story.push(Entry { at: self.clock.now(), who, what });
        }
    }

    async fn sleep(&self, until: Duration) {
        let due = self.services.iter().map(Workload::due).min().unwrap_or(until).min(until);
        // a timer has whole milliseconds: no spinning below one
        let pause = self.clock.real(due.saturating_sub(self.clock.now())).max(Duration::from_millis(1));
        tokio::time::sleep(pause).await;
    }

    fn holds(&self, expected: Expected) -> bool {
        match expected {
            Expected::Serves => self.services.iter().all(Workload::serves_fully),
            Expected::AllSee(symptom) => self.services.iter().all(|one| self.saw(one, symptom, |_| true)),
            Expected::OneSees(symptom) => self.services.iter().any(|one| self.saw(one, symptom, |_| true)),
            Expected::StartsSee(symptom) => self.services.iter().all(|one| self.saw(one, symptom, is_start)),
            Expected::Stopped => {
                self.services.iter().all(|one| (one.action() == Revocation::PreventNew) == (one.running() > 0))
            }
        }
    }

    fn saw(&self, service: &Workload, symptom: Symptom, of: impl Fn(KeyUse) -> bool) -> bool {
        let who = Who::Service(service.action());
        self.story[self.since..].iter().filter(|entry| entry.who == who).any(|entry| match &entry.what {
            What::Told(event) => event.error().is_some_and(|(context, error)| of(context) && symptom.fits(error)),
            What::Moved(_) | What::VersionDisabled | What::Reached(_) => false,
        })
    }
}

const fn is_start(context: KeyUse) -> bool {
    matches!(context, KeyUse::InstanceStart | KeyUse::ExistingDataKeyAtStart)
}

#[cfg(test)]
mod tests;
