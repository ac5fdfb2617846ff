//! The scenarios, as data: what hands do, what every service must then see, and what must never happen. Nothing is carried
//! out here.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::symptom::{
    DENIED, DESTROYED, DISABLED, DISABLED_AT_GOOGLE, GOOGLES_QUOTA, NO_ANSWER, NO_CONNECTION, OVERLOADED, QUOTA,
    SCHEDULED, Symptom,
};

/// For how long the key must be gone before [`super::workload::Revocation::ShutDownAfter`] stops instances.
pub const SHUT_DOWN_AFTER: Duration = Duration::from_hours(24);
/// An episode longer than that.
const LONGER: Duration = Duration::from_hours(27);
/// Time for something to be noticed, generous for a busy machine.
const SOON: Duration = Duration::from_hours(150);
/// A destruction comes late rather than early: a key store that has a distant one before it looks once a minute.
const LATE: Duration = Duration::from_hours(1000);
/// Google's own quota while it is scarce, in requests an hour of the service.
const SCARCE: NonZeroU32 = NonZeroU32::new(1).expect("one is not zero");

/// A scenario by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Serve, disable, wait, gone, enable, serve
    RevocationTest,
    /// The grant is taken away: 403, and Google disables the version
    Revoked,
    /// The version is destroyed
    Destroyed,
    /// The version is scheduled for destruction, and restored in time
    Scheduled,
    /// The key manager cannot be reached for longer than the delay of a shut-down
    Unreachable,
    /// The key manager turns calls away for longer than that
    Overloaded,
    /// First Google's own quota is used up, then the tenant's in the key manager
    QuotaExceeded,
}

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    pub name: Name,
    pub steps: &'static [Step],
    pub instances: Instances,
    pub at_google: AtGoogle,
}

/// What instances must never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// None may stop, whatever the action.
    NeverStop,
    /// They stop as the action says, and no sooner.
    StopAsConfigured,
}

/// What Cloud KMS makes of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtGoogle {
    /// It stays enabled throughout.
    StaysEnabled,
    /// It is disabled by the first 403, once.
    DisabledOnce,
}

/// One step.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// A hand does something.
    Do(Move),
    /// Waited for, at most so long.
    Await(Expected, Duration),
    /// Time passes.
    Pass(Duration),
}

/// What a hand does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The operator takes the version out of use.
    Disable,
    /// The operator puts it back.
    Enable,
    /// The operator schedules its destruction, this far ahead.
    ScheduleDestroy(Duration),
    /// The operator calls the destruction off.
    Restore,
    /// The operator takes the grant away.
    TakeGrantAway,
    /// The operator gives it back.
    Grant,
    /// The operator sets the key's quota to one call a second.
    SetQuota,
    /// The operator lifts it.
    ClearQuota,
    /// The network refuses connections.
    RefuseConnections,
    /// The network swallows everything.
    Swallow,
    /// The network is whole again.
    Mend,
    /// Others take every place there is for calls in progress.
    Crowd,
    /// They leave.
    Disperse,
    /// The customer enables the version at Google.
    EnableAtGoogle,
    /// Google's own quota of the project.
    LimitAtGoogle(Option<NonZeroU32>),
    /// Traffic asks each service for one more instance.
    ScaleOut,
}

/// What is waited for. Errors count from the last move on.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// Every service runs all instances that are wanted, and its checks pass.
    Serves,
    /// Every service logs such an error.
    AllSee(Symptom),
    /// At least one service does.
    OneSees(Symptom),
    /// Every service logs such an error over the start of an instance.
    StartsSee(Symptom),
    /// Those services that stop their instances have none left, and the others have theirs.
    Stopped,
}

use Expected::{AllSee, OneSees, Serves, StartsSee, Stopped};
use Step::{Await, Do, Pass};

/// Every scenario, in the order in which they are played.
pub const ALL: [Scenario; 7] = [
    Scenario {
        name: Name::RevocationTest,
        steps: &[
            Await(Serves, SOON),
            Do(Move::Disable),
            Await(AllSee(DISABLED), SOON),
            Do(Move::ScaleOut),
            Await(StartsSee(DISABLED), SOON),
            Await(Stopped, SOON),
            Do(Move::Enable),
            Await(Serves, SOON),
        ],
        instances: Instances::StopAsConfigured,
        at_google: AtGoogle::StaysEnabled,
    },
    Scenario {
        name: Name::Revoked,
        steps: &[
            Await(Serves, SOON),
            Do(Move::TakeGrantAway),
            Await(OneSees(DENIED), SOON),
            Await(OneSees(DISABLED_AT_GOOGLE), SOON),
            Do(Move::ScaleOut),
            Await(StartsSee(DISABLED_AT_GOOGLE), SOON),
            Await(Stopped, SOON),
            // the grant alone does not bring the version back at Google
            Do(Move::Grant),
            Await(AllSee(DISABLED_AT_GOOGLE), SOON),
            Do(Move::EnableAtGoogle),
            Await(Serves, SOON),
        ],
        instances: Instances::StopAsConfigured,
        at_google: AtGoogle::DisabledOnce,
    },
    Scenario {
        name: Name::Destroyed,
        steps: &[
            Await(Serves, SOON),
            Do(Move::Disable),
            Do(Move::ScheduleDestroy(Duration::from_secs(2))),
            Await(AllSee(DESTROYED), LATE),
            Do(Move::ScaleOut),
            Await(StartsSee(DESTROYED), SOON),
            Await(Stopped, SOON),
        ],
        instances: Instances::StopAsConfigured,
        at_google: AtGoogle::StaysEnabled,
    },
    Scenario {
        name: Name::Scheduled,
        steps: &[
            Await(Serves, SOON),
            Do(Move::Disable),
            Do(Move::ScheduleDestroy(Duration::from_hours(1))),
            Await(AllSee(SCHEDULED), SOON),
            Do(Move::ScaleOut),
            Await(StartsSee(SCHEDULED), SOON),
            Await(Stopped, SOON),
            Do(Move::Restore),
            Await(AllSee(DISABLED), SOON),
            Do(Move::Enable),
            Await(Serves, SOON),
        ],
        instances: Instances::StopAsConfigured,
        at_google: AtGoogle::StaysEnabled,
    },
    Scenario {
        name: Name::Unreachable,
        steps: &[
            Await(Serves, SOON),
            Do(Move::RefuseConnections),
            Do(Move::ScaleOut),
            Await(StartsSee(NO_CONNECTION), SOON),
            Await(AllSee(NO_CONNECTION), SOON),
            Pass(LONGER),
            Do(Move::Swallow),
            Await(AllSee(NO_ANSWER), SOON),
            Pass(LONGER),
            Do(Move::Mend),
            Await(Serves, SOON),
        ],
        instances: Instances::NeverStop,
        at_google: AtGoogle::StaysEnabled,
    },
    Scenario {
        name: Name::Overloaded,
        steps: &[
            Await(Serves, SOON),
            Do(Move::Crowd),
            Await(AllSee(OVERLOADED), SOON),
            Do(Move::ScaleOut),
            Await(StartsSee(OVERLOADED), SOON),
            Pass(LONGER),
            Do(Move::Disperse),
            Await(Serves, SOON),
        ],
        instances: Instances::NeverStop,
        at_google: AtGoogle::StaysEnabled,
    },
    Scenario {
        name: Name::QuotaExceeded,
        steps: &[
            Await(Serves, SOON),
            Do(Move::LimitAtGoogle(Some(SCARCE))),
            Await(AllSee(GOOGLES_QUOTA), SOON),
            Pass(LONGER),
            Do(Move::LimitAtGoogle(None)),
            Await(Serves, SOON),
            Do(Move::SetQuota),
            Await(AllSee(QUOTA), SOON),
            Pass(LONGER),
            Do(Move::ClearQuota),
            Do(Move::ScaleOut),
            Await(Serves, SOON),
        ],
        instances: Instances::NeverStop,
        at_google: AtGoogle::StaysEnabled,
    },
];

impl Name {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RevocationTest => "revocation-test",
            Self::Revoked => "revoked",
            Self::Scheduled => "scheduled",
            Self::Destroyed => "destroyed",
            Self::Unreachable => "unreachable",
            Self::Overloaded => "overloaded",
            Self::QuotaExceeded => "quota-exceeded",
        }
    }

    /// What is played under this name.
    pub fn scenario(self) -> &'static Scenario {
        ALL.iter().find(|scenario| scenario.name == self).expect("every name has its scenario")
    }
}
