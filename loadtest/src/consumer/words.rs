//! How moves, expectations, events and errors read in a story. Words only.

use std::error::Error;
use std::fmt;
use std::iter;
use std::time::Duration;

use super::event::{Event, What};
use super::scenario::{Expected, Move};
use super::symptom::Symptom;
use super::workload::Revocation;
use crate::cloud_kms::{KmsError, Retry};

/// An error down to its cause.
pub fn of_error(error: &(dyn Error + 'static)) -> String {
    iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl Revocation {
    /// The service that does this.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreventNew => "prevent-new",
            Self::ShutDown => "shut-down",
            Self::ShutDownAfter(_) => "delayed",
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disable => f.write_str("the operator disables the key version"),
            Self::Enable => f.write_str("the operator enables the key version"),
            Self::ScheduleDestroy(window) => {
                write!(f, "the operator schedules its destruction in {} s", window.as_secs())
            }
            Self::Restore => f.write_str("the operator restores the key version"),
            Self::TakeGrantAway => f.write_str("the operator takes the grant away"),
            Self::Grant => f.write_str("the operator grants the use of the key again"),
            Self::SetQuota => f.write_str("the operator sets the key's quota to one call a second"),
            Self::ClearQuota => f.write_str("the operator lifts the quota"),
            Self::RefuseConnections => f.write_str("the network refuses connections to the key manager"),
            Self::Swallow => f.write_str("the network swallows what is sent to the key manager"),
            Self::Mend => f.write_str("the network is whole again"),
            Self::Crowd => f.write_str("others take every place for calls in progress"),
            Self::Disperse => f.write_str("they leave"),
            Self::EnableAtGoogle => f.write_str("the customer enables the version at Google"),
            Self::LimitAtGoogle(Some(limit)) => {
                write!(f, "Google's own quota of the project is down to {limit} an hour")
            }
            Self::LimitAtGoogle(None) => f.write_str("Google's own quota is ample again"),
            Self::ScaleOut => f.write_str("traffic asks each service for one more instance"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serves => f.write_str("every service runs all its instances, and its checks pass"),
            Self::AllSee(symptom) => write!(f, "every service logs {symptom}"),
            Self::OneSees(symptom) => write!(f, "a service logs {symptom}"),
            Self::StartsSee(symptom) => write!(f, "at every service a start meets {symptom}"),
            Self::Stopped => {
                f.write_str("those services that stop their instances have stopped them, and no other has")
            }
        }
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} «{}» ({})", self.code, self.text, retry(self.retry))
    }
}

impl fmt::Display for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Whether a retry can help, in a word.
pub const fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::CanHelp => "retriable",
        Retry::Final => "final",
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployed => f.write_str("deployed: a new data key is wrapped"),
            Self::InstanceStarted { running } => write!(f, "an instance started; {running} run"),
            Self::Waits { context, error } => write!(f, "{}: {error} Trying again.", context.words()),
            Self::Refused { context, error } => write!(f, "{}: {error} Not tried again.", context.words()),
            Self::Revoked => f.write_str("the key counts as revoked"),
            Self::Restored => f.write_str("the key works again"),
            Self::StopPlanned { after } => write!(f, "instances will stop in {:.0} h", hours(*after)),
            Self::StopCalledOff => f.write_str("that stop is called off"),
            Self::Stopped { instances } => write!(f, "{instances} instances stopped"),
            Self::WrongPlaintext { context } => write!(f, "{}: OTHER BYTES CAME BACK", context.words()),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(hand) => hand.fmt(f),
            Self::Told(event) => event.fmt(f),
            Self::VersionDisabled => f.write_str("Cloud KMS disables the key version, because it was refused"),
            Self::Reached(expected) => write!(f, "as it must be: {expected}"),
        }
    }
}

/// In hours of the service.
pub fn hours(time: Duration) -> f64 {
    time.as_secs_f64() / Duration::from_hours(1).as_secs_f64()
}
