//! How errors must look to a service: who says what under which code, and whether a retry can help. Written down a second time
//! on purpose: the product's own table is held against it.

use crate::cloud_kms::{Code, KmsError, Origin, Retry};

/// How an error looks to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symptom {
    /// Stands in the message.
    pub text: &'static str,
    /// Stands there too: what the reader must know to act.
    pub names: &'static str,
    pub code: Code,
    pub origin: Speaker,
    pub retry: Retry,
}

/// Who must have said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    Ekm(u16),
    Network,
    CloudKms,
}

impl Symptom {
    const fn ekm(status: u16, code: Code, retry: Retry, text: &'static str) -> Self {
        Self { text, names: KEY, code, origin: Speaker::Ekm(status), retry }
    }

    const fn unnamed(self) -> Self {
        Self { names: "", ..self }
    }

    /// Whether the error looks like that.
    pub fn fits(&self, error: &KmsError) -> bool {
        let origin = match error.origin {
            Origin::Ekm(status) => Speaker::Ekm(status),
            Origin::Network => Speaker::Network,
            Origin::CloudKms => Speaker::CloudKms,
        };
        (origin, error.code, error.retry) == (self.origin, self.code, self.retry)
            && [self.text, self.names].iter().all(|part| error.message.contains(part))
    }
}

/// The key is named in every error about it: see requirements B4 and B5.
const KEY: &str = "ey version 'v0/keys/";

pub const DISABLED: Symptom = Symptom::ekm(
    400,
    Code::FailedPrecondition,
    Retry::Final,
    "is disabled in the external key manager. Enable it there to use it again.",
);
pub const SCHEDULED: Symptom = Symptom::ekm(
    400,
    Code::FailedPrecondition,
    Retry::Final,
    "is scheduled for destruction in the external key manager. Restore and enable it there to use it again.",
);
pub const DESTROYED: Symptom = Symptom::ekm(
    400,
    Code::FailedPrecondition,
    Retry::Final,
    "is destroyed, and what was wrapped with it cannot be unwrapped any more.",
);
pub const DENIED: Symptom =
    Symptom::ekm(403, Code::FailedPrecondition, Retry::Final, "Grant it in the external key manager.");
pub const OVERLOADED: Symptom =
    Symptom::ekm(503, Code::Unavailable, Retry::CanHelp, "The external key manager is overloaded. Try again.")
        .unnamed();
pub const QUOTA: Symptom = Symptom::ekm(
    429,
    Code::ResourceExhausted,
    Retry::CanHelp,
    "is over a quota of the external key manager, not of Google: the requests of its key are limited to",
);
pub const DISABLED_AT_GOOGLE: Symptom = Symptom {
    text: "is not enabled, current state is: DISABLED.",
    names: "",
    code: Code::FailedPrecondition,
    origin: Speaker::CloudKms,
    retry: Retry::Final,
};
pub const NO_CONNECTION: Symptom = Symptom {
    text: "cannot be reached",
    names: "",
    code: Code::Unavailable,
    origin: Speaker::Network,
    retry: Retry::CanHelp,
};
pub const NO_ANSWER: Symptom = Symptom {
    text: "did not answer within",
    names: "",
    code: Code::DeadlineExceeded,
    origin: Speaker::Network,
    retry: Retry::CanHelp,
};
pub const GOOGLES_QUOTA: Symptom = Symptom {
    text: "of service 'cloudkms.googleapis.com'",
    names: "",
    code: Code::ResourceExhausted,
    origin: Speaker::CloudKms,
    retry: Retry::CanHelp,
};
