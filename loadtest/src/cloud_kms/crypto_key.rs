//! One crypto key at Google: its versions, whether they are enabled there, the project's own quota, and the course of one
//! request over as many calls as it takes. Never sends anything, and reads no clock.

use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::call::{Call, Ciphertext, Payload, Request};
use super::verdict::{Code, Judge, KmsError, Origin, Received, Retry, Verdict};
use crate::wire::{UnwrapResponse, WrapResponse};

/// So often one request is sent on before its consumer hears that it failed.
const CALLS_MAX: u32 = 3;
/// Every so many requests Cloud KMS calls twice, as it may: every call must be safe to repeat.
const REPEATED_EVERY: u64 = 5;
/// The window of the project's quota.
const QUOTA_WINDOW: Duration = Duration::from_hours(1);

/// A crypto key with versions in an external key manager.
#[derive(Debug)]
pub struct CryptoKey {
    name: String,
    project: u64,
    versions: Vec<Version>,
    judge: Judge,
    quota: Option<NonZeroU32>,
    window: Window,
    requests: u64,
    disabled_by_refusal: u64,
}

#[derive(Debug)]
struct Version {
    path: String,
    state: VersionState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VersionState {
    Enabled,
    Disabled,
}

/// What of the quota is used, in the window that began here.
#[derive(Debug, Default)]
struct Window {
    began: Duration,
    used: u32,
}

/// A request that is under way.
#[derive(Debug)]
pub struct Pending {
    /// The call to send, as often as [`CryptoKey::judged`] says.
    pub call: Call,
    version: usize,
    calls_left: u32,
    repeats_left: u32,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To `Encrypt`.
    Encrypted(Ciphertext),
    /// To `Decrypt`.
    Decrypted(Vec<u8>),
}

/// What follows an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// The same call once more.
    Again,
    /// The consumer is answered.
    Done(Result<Reply, KmsError>),
}

impl CryptoKey {
    /// A crypto key of a project, by its number, without versions.
    pub fn new(project: u64, name: &str, judge: Judge) -> Self {
        let name = format!("projects/{project}/locations/europe-west3/keyRings/consumer/cryptoKeys/{name}");
        let (versions, window) = (Vec::new(), Window::default());
        Self { name, project, versions, judge, quota: None, window, requests: 0, disabled_by_refusal: 0 }
    }

    /// Registers a key path as the next version, which becomes the primary one.
    pub fn register(&mut self, path: &str) {
        self.versions.push(Version { path: path.to_owned(), state: VersionState::Enabled });
    }

    /// The customer enables every version at Google.
    pub fn enable_all(&mut self) {
        self.versions.iter_mut().for_each(|version| version.state = VersionState::Enabled);
    }

    /// Google's own limit on requests of the project, per hour of the consumer; none is ample.
    pub fn limit(&mut self, per_hour: Option<NonZeroU32>) {
        self.quota = per_hour;
        self.window = Window::default();
    }

    /// Versions that were disabled because the external key manager refused them, since the start.
    pub const fn disabled_by_refusal(&self) -> u64 {
        self.disabled_by_refusal
    }

    /// Takes a request on: quota and state at Google first, as the external key manager is not asked without need.
    ///
    /// # Errors
    /// What Cloud KMS itself refuses.
    pub fn begin(&mut self, request: &Request, now: Duration) -> Result<Pending, KmsError> {
        self.spend(now)?;
        let version = match &request.payload {
            Payload::Encrypt(_) => self.versions.len(),
            Payload::Decrypt(ciphertext) => ciphertext.version,
        };
        let resource = format!("{}/cryptoKeyVersions/{version}", self.name);
        let found = version.checked_sub(1).and_then(|index| self.versions.get(index));
        let path = match found {
            Some(Version { path, state: VersionState::Enabled }) => path,
            Some(_) => {
                return Err(own(
                    Code::FailedPrecondition,
                    Retry::Final,
                    format!("{resource} is not enabled, current state is: DISABLED."),
                ));
            }
            None => return Err(own(Code::FailedPrecondition, Retry::Final, format!("{resource} does not exist."))),
        };
        self.requests += 1;
        let repeats_left = u32::from(self.requests.is_multiple_of(REPEATED_EVERY));
        Ok(Pending { call: Call::new(path, &resource, request), version, calls_left: CALLS_MAX, repeats_left })
    }

    /// Judges the answer to the call of a pending request.
    pub fn judged(&mut self, pending: &mut Pending, received: Received) -> Turn {
        pending.calls_left -= 1;
        match (self.judge)(received) {
            Verdict::Success(_) if pending.repeats_left > 0 && pending.calls_left > 0 => {
                pending.repeats_left -= 1;
                Turn::Again
            }
            Verdict::Success(body) => Turn::Done(read(pending, &body)),
            Verdict::Error(error) if error.retry == Retry::CanHelp && pending.calls_left > 0 => Turn::Again,
            Verdict::Error(error) => Turn::Done(Err(error)),
            Verdict::ErrorThatDisables(error) => {
                let version = &mut self.versions[pending.version - 1];
                self.disabled_by_refusal += u64::from(version.state == VersionState::Enabled);
                version.state = VersionState::Disabled;
                Turn::Done(Err(error))
            }
        }
    }

    fn spend(&mut self, now: Duration) -> Result<(), KmsError> {
        let Some(quota) = self.quota else { return Ok(()) };
        if now.saturating_sub(self.window.began) >= QUOTA_WINDOW {
            self.window = Window { began: now, used: 0 };
        }
        if self.window.used >= quota.get() {
            let message = format!(
                "Quota exceeded for quota metric 'External KMS requests' of service 'cloudkms.googleapis.com' for consumer \
                 'project_number:{}'.",
                self.project
            );
            return Err(own(Code::ResourceExhausted, Retry::CanHelp, message));
        }
        self.window.used += 1;
        Ok(())
    }
}

const fn own(code: Code, retry: Retry, message: String) -> KmsError {
    KmsError { code, origin: Origin::CloudKms, retry, message }
}

/// An unusable body under a 200 is an error as well.
fn read(pending: &Pending, body: &[u8]) -> Result<Reply, KmsError> {
    let unusable = || {
        let message = "The external key manager answered 200 with a body that cannot be used.".to_owned();
        KmsError { code: Code::Internal, origin: Origin::Ekm(200), retry: Retry::Final, message }
    };
    match pending.call.verb {
        super::Verb::Wrap => {
            let answer: WrapResponse = serde_json::from_slice(body).map_err(|_| unusable())?;
            let blob = BASE64_STANDARD.decode(answer.wrapped_blob).map_err(|_| unusable())?;
            if blob.is_empty() {
                return Err(unusable());
            }
            Ok(Reply::Encrypted(Ciphertext { version: pending.version, blob }))
        }
        super::Verb::Unwrap => {
            let answer: UnwrapResponse = serde_json::from_slice(body).map_err(|_| unusable())?;
            BASE64_STANDARD.decode(answer.plaintext).map(Reply::Decrypted).map_err(|_| unusable())
        }
    }
}

#[cfg(test)]
mod tests;
