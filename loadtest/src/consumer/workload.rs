//! A service protected by a customer's key, such as one of Cloud Run: when it uses the key, what it makes of errors, and when
//! instances start and stop. Pure: the time and the data key come in, and nothing is sent. It must never stop an instance for
//! an error that a retry can mend.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::Event;
use crate::cloud_kms::{Ciphertext, KeyUse, KmsError, Payload, Reply, Request, Retry};

/// Between two checks of the key.
pub const CHECK_EVERY: Duration = Duration::from_hours(1);
/// The pause before the first repetition; each further one is twice as long.
const RETRY_MIN: Duration = Duration::from_mins(6);
/// The longest pause between repetitions.
const RETRY_MAX: Duration = Duration::from_hours(1);
/// What binds a ciphertext to this service.
const ASSOCIATED_DATA: &[u8] = b"revision 1 of the service";
/// The dummy data of a check.
const DUMMY: &[u8] = b"the key is checked with this";

/// What is done with running instances when the key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// They go on; no new ones start.
    PreventNew,
    /// They are stopped at once.
    ShutDown,
    /// They are stopped when the key has been gone for so long.
    ShutDownAfter(Duration),
}

/// One service.
#[derive(Debug)]
pub struct Workload {
    action: Revocation,
    data_key: Vec<u8>,
    /// The data key as Cloud KMS gave it back at deploy.
    wrapped: Option<Ciphertext>,
    wanted: u32,
    running: u32,
    /// Whether an instance of this revision ever ran.
    has_served: bool,
    deploy: Option<Attempt>,
    start: Option<Attempt>,
    check: Attempt,
    /// What the check has encrypted and is about to decrypt.
    dummy: Option<Ciphertext>,
    /// Whether the last final word was that the key is gone.
    is_revoked: bool,
    /// When running instances are to stop.
    stop_due: Option<Duration>,
    told: VecDeque<Event>,
}

/// When something is tried next, and how long to wait if it fails.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    due: Duration,
    pause: Duration,
}

impl Attempt {
    const fn at(due: Duration) -> Self {
        Self { due, pause: RETRY_MIN }
    }

    fn later(self, now: Duration) -> Self {
        Self { due: now + self.pause, pause: (self.pause * 2).min(RETRY_MAX) }
    }
}

impl Workload {
    /// A service that is deployed at once, with one instance.
    pub const fn new(action: Revocation, data_key: Vec<u8>, now: Duration) -> Self {
        Self {
            action,
            data_key,
            wrapped: None,
            wanted: 1,
            running: 0,
            has_served: false,
            deploy: Some(Attempt::at(now)),
            start: None,
            check: Attempt { due: now.saturating_add(CHECK_EVERY), pause: RETRY_MIN },
            dummy: None,
            is_revoked: false,
            stop_due: None,
            told: VecDeque::new(),
        }
    }

    /// What is done at a revocation.
    pub const fn action(&self) -> Revocation {
        self.action
    }

    /// Traffic asks for one more instance: its start is tried once even if the key is gone.
    pub fn scale_out(&mut self, now: Duration) {
        self.wanted += 1;
        self.start = Some(Attempt::at(now));
    }

    /// Whether every instance that is wanted runs, and the key is well.
    pub const fn serves_fully(&self) -> bool {
        self.running == self.wanted && !self.is_revoked
    }

    /// Instances that run.
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// When there is something to do next.
    pub fn due(&self) -> Duration {
        let deploy = self.deploy.map(|attempt| attempt.due);
        let start = self.start.filter(|_| self.wrapped.is_some()).map(|attempt| attempt.due);
        let check = self.wrapped.is_some().then_some(self.check.due);
        [deploy, start, check, self.stop_due].into_iter().flatten().min().unwrap_or(self.check.due)
    }

    /// Does what needs no key, and gives the next request if one is due. Its answer goes to [`Self::answered`] before the
    /// next is asked for.
    pub fn next(&mut self, now: Duration) -> Option<Request> {
        if self.stop_due.is_some_and(|due| due <= now) {
            self.stop();
        }
        if self.deploy.is_some_and(|attempt| attempt.due <= now) {
            return Some(encrypt(KeyUse::NewDataKeyAtDeploy, &self.data_key));
        }
        let wrapped = self.wrapped.clone()?;
        if self.start.is_some_and(|attempt| attempt.due <= now) {
            let context = if self.has_served { KeyUse::ExistingDataKeyAtStart } else { KeyUse::InstanceStart };
            return Some(decrypt(context, wrapped));
        }
        if self.check.due > now {
            return None;
        }
        Some(match self.dummy.clone() {
            None => encrypt(KeyUse::DummyEncrypt, DUMMY),
            Some(dummy) => decrypt(KeyUse::DummyDecrypt, dummy),
        })
    }

    /// Takes the answer to the last request.
    pub fn answered(&mut self, now: Duration, context: KeyUse, result: Result<Reply, KmsError>) {
        match result {
            Ok(reply) => self.succeeded(now, context, reply),
            Err(error) if error.retry == Retry::CanHelp => self.try_later(now, context, error),
            Err(error) => self.refused(now, context, error),
        }
    }

    /// What happened since the last call, oldest first.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> {
        std::mem::take(&mut self.told).into_iter()
    }

    fn succeeded(&mut self, now: Duration, context: KeyUse, reply: Reply) {
        match (context, reply) {
            (KeyUse::NewDataKeyAtDeploy, Reply::Encrypted(ciphertext)) => {
                self.wrapped = Some(ciphertext);
                self.deploy = None;
                self.start = Some(Attempt::at(now));
                self.tell(Event::Deployed);
            }
            (KeyUse::InstanceStart | KeyUse::ExistingDataKeyAtStart, Reply::Decrypted(opened)) => {
                self.expect(context, &opened, &self.data_key.clone());
                self.running += 1;
                self.has_served = true;
                self.tell(Event::InstanceStarted { running: self.running });
                self.start_what_is_wanted(now);
            }
            (KeyUse::DummyEncrypt, Reply::Encrypted(ciphertext)) => {
                self.dummy = Some(ciphertext);
                self.check = Attempt::at(now);
            }
            (KeyUse::DummyDecrypt, Reply::Decrypted(opened)) => {
                self.expect(context, &opened, DUMMY);
                self.dummy = None;
                self.check = Attempt::at(now + CHECK_EVERY);
                self.restored(now);
            }
            (context, Reply::Encrypted(_) | Reply::Decrypted(_)) => self.tell(Event::WrongPlaintext { context }),
        }
    }

    fn try_later(&mut self, now: Duration, context: KeyUse, error: KmsError) {
        self.tell(Event::Waits { context, error });
        let attempt = match context {
            KeyUse::NewDataKeyAtDeploy => self.deploy.as_mut(),
            KeyUse::InstanceStart | KeyUse::ExistingDataKeyAtStart => self.start.as_mut(),
            KeyUse::DummyEncrypt | KeyUse::DummyDecrypt => Some(&mut self.check),
        };
        if let Some(attempt) = attempt {
            *attempt = attempt.later(now);
        }
    }

    fn refused(&mut self, now: Duration, context: KeyUse, error: KmsError) {
        self.tell(Event::Refused { context, error });
        match context {
            KeyUse::NewDataKeyAtDeploy => self.deploy = None,
            KeyUse::InstanceStart | KeyUse::ExistingDataKeyAtStart => self.start = None,
            KeyUse::DummyEncrypt | KeyUse::DummyDecrypt => {
                self.dummy = None;
                self.check = Attempt::at(now + CHECK_EVERY);
            }
        }
        if self.is_revoked {
            return;
        }
        self.is_revoked = true;
        self.tell(Event::Revoked);
        match self.action {
            Revocation::PreventNew => {}
            Revocation::ShutDown => self.stop(),
            Revocation::ShutDownAfter(delay) => {
                self.stop_due = Some(now + delay);
                self.tell(Event::StopPlanned { after: delay });
            }
        }
    }

    fn restored(&mut self, now: Duration) {
        if !std::mem::take(&mut self.is_revoked) {
            return;
        }
        self.tell(Event::Restored);
        if self.stop_due.take().is_some() {
            self.tell(Event::StopCalledOff);
        }
        self.start_what_is_wanted(now);
    }

    fn start_what_is_wanted(&mut self, now: Duration) {
        self.start = (self.running < self.wanted && !self.is_revoked).then_some(Attempt::at(now));
    }

    fn stop(&mut self) {
        self.stop_due = None;
        let stopped = std::mem::take(&mut self.running);
        if stopped > 0 {
            self.tell(Event::Stopped { instances: stopped });
        }
    }

    fn expect(&mut self, context: KeyUse, opened: &[u8], expected: &[u8]) {
        if opened != expected {
            self.tell(Event::WrongPlaintext { context });
        }
    }

    fn tell(&mut self, event: Event) {
        self.told.push_back(event);
    }
}

fn encrypt(context: KeyUse, plaintext: &[u8]) -> Request {
    Request { context, payload: Payload::Encrypt(plaintext.to_vec()), associated_data: ASSOCIATED_DATA.to_vec() }
}

fn decrypt(context: KeyUse, ciphertext: Ciphertext) -> Request {
    Request { context, payload: Payload::Decrypt(ciphertext), associated_data: ASSOCIATED_DATA.to_vec() }
}

#[cfg(test)]
mod tests;
