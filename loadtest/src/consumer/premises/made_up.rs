//! A key manager made up for tests: what a right one answers in each state, at once, and with the real one's words.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::Premises;
use crate::cloud_kms::{Call, Received, Verb};
use crate::consumer::scenario::Move;
use crate::consumer::symptom::{DENIED, DESTROYED, DISABLED, OVERLOADED, QUOTA, SCHEDULED, Speaker, Symptom};

/// A key manager with one key.
#[derive(Debug, Default)]
pub struct MadeUp {
    state: Cell<State>,
    trouble: Cell<Trouble>,
    is_granted: Cell<bool>,
    /// Calls since the quota was set; one in ten passes.
    quota: Cell<Option<u32>>,
    /// What is told to whoever must be told something else than the right thing.
    pub answers_instead: RefCell<Option<Received>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Enabled,
    Disabled,
    Scheduled,
    Destroyed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Trouble {
    #[default]
    None,
    Refusing,
    Swallowing,
    Crowded,
}

/// Nothing goes wrong with the hands of a made-up operator.
#[derive(Debug, thiserror::Error)]
pub enum Never {}

impl MadeUp {
    /// One that has granted the use of its key.
    pub fn new() -> Self {
        let made = Self::default();
        made.is_granted.set(true);
        made
    }

    fn judged(&self, call: &Call) -> Received {
        let is_over_quota = self.quota.get().is_some_and(|calls| {
            self.quota.set(Some(calls + 1));
            calls % 10 != 0
        });
        let refusal = match (self.trouble.get(), self.state.get()) {
            (Trouble::Refusing, _) => return Received::NoConnection { cause: "refused".to_owned() },
            (Trouble::Swallowing, _) => return Received::Late { deadline: Duration::from_millis(150) },
            (Trouble::Crowded, _) => Some(OVERLOADED),
            (Trouble::None, _) if is_over_quota => Some(QUOTA),
            (Trouble::None, _) if !self.is_granted.get() => Some(DENIED),
            (Trouble::None, State::Enabled) => None,
            (Trouble::None, State::Disabled) => Some(DISABLED),
            (Trouble::None, State::Scheduled) => Some(SCHEDULED),
            (Trouble::None, State::Destroyed) => Some(DESTROYED),
        };
        refusal.map_or_else(|| echo(call), said)
    }
}

/// Wraps to the plaintext itself.
fn echo(call: &Call) -> Received {
    let body = match call.verb {
        Verb::Wrap => json!({"wrappedBlob": call.body["plaintext"]}),
        Verb::Unwrap => json!({"plaintext": call.body["wrappedBlob"]}),
    };
    Received::Answer { status: 200, body: body.to_string().into_bytes() }
}

fn said(symptom: Symptom) -> Received {
    let Speaker::Ekm(status) = symptom.origin else { unreachable!("a key manager has a status") };
    Received::Answer {
        status,
        body: json!({"code": 1, "message": format!("Key version 'v0/keys/0001' {}", symptom.text)})
            .to_string()
            .into_bytes(),
    }
}

/// What an unwrap of other bytes looks like.
pub fn other_bytes() -> Received {
    let other = BASE64_STANDARD.encode("other");
    Received::Answer { status: 200, body: json!({"wrappedBlob": other, "plaintext": other}).to_string().into_bytes() }
}

impl Premises for MadeUp {
    type Error = Never;

    async fn call(&self, call: &Call) -> Received {
        let received = self.judged(call);
        let length = if let Received::Late { deadline } = received { deadline } else { Duration::from_millis(1) };
        tokio::time::sleep(length).await;
        let is_success = matches!(received, Received::Answer { status: 200, .. });
        let instead = self.answers_instead.borrow().clone().filter(|_| !is_success);
        instead.unwrap_or(received)
    }

    async fn make(&self, step: Move) -> Result<(), Never> {
        match step {
            Move::Disable | Move::Restore => self.state.set(State::Disabled),
            Move::Enable => self.state.set(State::Enabled),
            Move::ScheduleDestroy(window) if window.as_secs() < 60 => self.state.set(State::Destroyed),
            Move::ScheduleDestroy(_) => self.state.set(State::Scheduled),
            Move::TakeGrantAway => self.is_granted.set(false),
            Move::Grant => self.is_granted.set(true),
            Move::SetQuota => self.quota.set(Some(0)),
            Move::ClearQuota => self.quota.set(None),
            Move::RefuseConnections => self.trouble.set(Trouble::Refusing),
            Move::Swallow => self.trouble.set(Trouble::Swallowing),
            Move::Mend | Move::Disperse => self.trouble.set(Trouble::None),
            Move::Crowd => self.trouble.set(Trouble::Crowded),
            Move::EnableAtGoogle | Move::LimitAtGoogle(_) | Move::ScaleOut => {}
        }
        Ok(())
    }
}
