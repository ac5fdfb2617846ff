//! The life of a key version, as a table. A step without a row is refused, and no row leads out of `Destroyed`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a key version stands. Only `Enabled` wraps and unwraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Made, its canary not yet opened everywhere.
    Pending,
    /// In use.
    Enabled,
    /// Out of use until enabled again.
    Disabled,
    /// Out of use and counting down; can be restored.
    DestroyScheduled,
    /// Its material is gone for ever.
    Destroyed,
}

impl VersionState {
    /// Every state, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Enabled, Self::Disabled, Self::DestroyScheduled, Self::Destroyed];

    /// The state as metrics, answers and `ekmctl` spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::DestroyScheduled => "destroy_scheduled",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can happen to a key version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Its canary opened: it may be used.
    Activate,
    /// An operator took it out of use.
    Disable,
    /// An operator put it back into use.
    Enable,
    /// An operator scheduled its destruction.
    ScheduleDestroy,
    /// An operator called the destruction off.
    Restore,
    /// The window ran out.
    Destroy,
    /// Cloud KMS called destroyKey for a coordinated key.
    DestroyByCloud,
}

impl Event {
    /// Every event, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::Activate,
        Self::Disable,
        Self::Enable,
        Self::ScheduleDestroy,
        Self::Restore,
        Self::Destroy,
        Self::DestroyByCloud,
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Activate => "activate",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::ScheduleDestroy => "schedule its destruction",
            Self::Restore => "restore",
            Self::Destroy => "destroy",
            Self::DestroyByCloud => "destroy by Cloud KMS",
        })
    }
}

struct Step {
    from: VersionState,
    event: Event,
    to: VersionState,
}

const fn step(from: VersionState, event: Event, to: VersionState) -> Step {
    Step { from, event, to }
}

/// One row per legal step; everything else is refused with the state it was in.
const STEPS: &[Step] = &[
    step(VersionState::Pending, Event::Activate, VersionState::Enabled),
    step(VersionState::Enabled, Event::Disable, VersionState::Disabled),
    step(VersionState::Disabled, Event::Enable, VersionState::Enabled),
    step(VersionState::Disabled, Event::ScheduleDestroy, VersionState::DestroyScheduled),
    step(VersionState::DestroyScheduled, Event::Restore, VersionState::Disabled),
    step(VersionState::DestroyScheduled, Event::Destroy, VersionState::Destroyed),
    // destroyKey of a coordinated key: no soak, the full window
    step(VersionState::Enabled, Event::DestroyByCloud, VersionState::DestroyScheduled),
];

/// The state after `event`, or `None` if the step is not legal from `state`.
pub fn next(state: VersionState, event: Event) -> Option<VersionState> {
    STEPS.iter().find(|step| step.from == state && step.event == event).map(|step| step.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table as text: a change to it is a change to this text, in review.
    const PINNED: &str = "\
pending           Activate -> enabled
enabled           Disable -> disabled
enabled           DestroyByCloud -> destroy_scheduled
disabled          Enable -> enabled
disabled          ScheduleDestroy -> destroy_scheduled
destroy_scheduled Restore -> disabled
destroy_scheduled Destroy -> destroyed
";

    #[test]
    fn every_state_and_event_stands_as_pinned() {
        let mut text = String::new();
        for state in VersionState::ALL {
            for event in Event::ALL {
                if let Some(to) = next(state, event) {
                    text.push_str(&format!("{:<17} {event:?} -> {to}\n", state.as_str()));
                }
            }
        }
        assert_eq!(text, PINNED);
    }

    #[test]
    fn destroyed_is_final() {
        assert!(Event::ALL.iter().all(|event| next(VersionState::Destroyed, *event).is_none()));
    }
}
