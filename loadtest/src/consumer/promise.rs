//! What a story must never hold, whatever its scenario. Pure: it reads the story alone, and asks none of those who wrote it.

use std::time::Duration;

use thiserror::Error;

use super::event::{Entry, Event, What, Who};
use super::scenario::{AtGoogle, Instances, Scenario};
use super::workload::Revocation;
use crate::cloud_kms::{KeyUse, KmsError, Origin, Retry};

/// Clocks of two readings differ by this much at most, in the service's time.
const SLACK: Duration = Duration::from_mins(1);

/// A promise that was not kept.
#[derive(Debug, Error)]
pub enum Broken {
    /// A step did not come.
    #[error("within {} h this did not come: {expected}", within.as_secs() / 3600)]
    NeverCame { expected: String, within: Duration },
    /// A move could not be made.
    #[error("this could not be done: {hand}: {why}")]
    NotMade { hand: String, why: String },
    /// Instances stopped that must not.
    #[error("{service} stopped {instances} instances over an episode that a retry mends")]
    StoppedForNothing { service: &'static str, instances: u32 },
    /// Instances stopped against the configured action.
    #[error("{service} stopped its instances {}", if *.was_revoked { "sooner than configured" } else { "without a final error" })]
    StoppedAgainstConfiguration { service: &'static str, was_revoked: bool },
    /// An answer that only says "try again" was taken for final, or the other way round.
    #[error("an error was taken for {}: {code} {message}", if *.retry == Retry::Final { "final that a retry can mend" } else { "retriable that is final" })]
    Misjudged { retry: Retry, code: String, message: String },
    /// The version was disabled at Google another number of times than it must.
    #[error("Cloud KMS disabled the key version {times} times where {expected} is right")]
    Disabled { times: usize, expected: usize },
    /// Data came back changed.
    #[error("{service} got back other bytes than it encrypted ({})", .context.words())]
    WrongPlaintext { service: &'static str, context: KeyUse },
}

/// Every promise that the story breaks.
pub fn broken(scenario: &Scenario, story: &[Entry]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for entry in story {
        let (Who::Service(action), What::Told(event)) = (entry.who, &entry.what) else { continue };
        let service = action.name();
        match event {
            Event::Stopped { instances } => match scenario.instances {
                Instances::NeverStop => broken.push(Broken::StoppedForNothing { service, instances: *instances }),
                Instances::StopAsConfigured => broken.extend(untimely(action, entry.at, story)),
            },
            Event::Waits { error, .. } | Event::Refused { error, .. } => broken.extend(misjudged(error)),
            Event::WrongPlaintext { context } => broken.push(Broken::WrongPlaintext { service, context: *context }),
            Event::Deployed
            | Event::InstanceStarted { .. }
            | Event::Revoked
            | Event::Restored
            | Event::StopPlanned { .. }
            | Event::StopCalledOff => {}
        }
    }
    let times = story.iter().filter(|entry| entry.what == What::VersionDisabled).count();
    let expected = usize::from(scenario.at_google == AtGoogle::DisabledOnce);
    if times != expected {
        broken.push(Broken::Disabled { times, expected });
    }
    broken
}

/// Judged by the status alone, a second time: 429, 503, 504 and silence pass, and everything else of the key manager is final.
fn misjudged(error: &KmsError) -> Option<Broken> {
    let right = match error.origin {
        Origin::Ekm(408 | 429 | 502 | 503 | 504) | Origin::Network => Retry::CanHelp,
        Origin::Ekm(_) => Retry::Final,
        Origin::CloudKms => return None,
    };
    let (code, message) = (error.code.to_string(), error.message.clone());
    (error.retry != right).then_some(Broken::Misjudged { retry: error.retry, code, message })
}

/// A stop must follow a final error, by the delay that is configured.
fn untimely(action: Revocation, at: Duration, story: &[Entry]) -> Option<Broken> {
    let (service, who) = (action.name(), Who::Service(action));
    let of_service = story.iter().take_while(|entry| entry.at <= at).filter(|entry| entry.who == who);
    let last = of_service
        .filter(|entry| matches!(entry.what, What::Told(Event::Refused { .. } | Event::Revoked | Event::Restored)))
        .fold(None, |since, entry| match entry.what {
            What::Told(Event::Restored) => None,
            _ => since.or(Some(entry.at)),
        });
    let delay = match action {
        Revocation::PreventNew => {
            return Some(Broken::StoppedAgainstConfiguration { service, was_revoked: last.is_some() });
        }
        Revocation::ShutDown => Duration::ZERO,
        Revocation::ShutDownAfter(delay) => delay,
    };
    let is_timely = last.is_some_and(|since| at + SLACK >= since + delay);
    (!is_timely).then_some(Broken::StoppedAgainstConfiguration { service, was_revoked: last.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud_kms::Code;
    use crate::consumer::scenario::Name;

    const HOUR: Duration = Duration::from_hours(1);
    const DELAYED: Revocation = Revocation::ShutDownAfter(Duration::from_hours(24));

    /// In which hour what was told.
    type Told = (u32, Event);

    fn refused() -> Event {
        let (origin, retry) = (Origin::Ekm(400), Retry::Final);
        let error = KmsError { code: Code::FailedPrecondition, origin, retry, message: "m".to_owned() };
        Event::Refused { context: KeyUse::DummyEncrypt, error }
    }

    /// What is broken when a service tells these things at these hours, in a scenario that stops instances.
    fn broken_by(action: Revocation, told: &[Told]) -> Vec<String> {
        let entry = |(hours, event): &Told| {
            let (at, who, what) = (HOUR * *hours, Who::Service(action), What::Told(event.clone()));
            Entry { at, who, what }
        };
        let story: Vec<Entry> = told.iter().map(entry).collect();
        broken(Name::RevocationTest.scenario(), &story).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_stop_follows_a_final_error_by_the_configured_delay() {
        let stopped = || Event::Stopped { instances: 1 };
        let kept: [(Revocation, &[Told]); 2] = [
            (Revocation::ShutDown, &[(5, refused()), (5, Event::Revoked), (5, stopped())]),
            (DELAYED, &[(5, refused()), (5, Event::Revoked), (6, refused()), (29, stopped())]),
        ];
        for (action, told) in kept {
            assert_eq!(broken_by(action, told), Vec::<String>::new(), "{action:?}");
        }
        let sooner = "stopped its instances sooner than configured";
        let without = "stopped its instances without a final error";
        let rows: [(Revocation, &[Told], &str); 5] = [
            (Revocation::ShutDown, &[(5, stopped())], without),
            (DELAYED, &[(5, refused()), (28, stopped())], sooner),
            (DELAYED, &[(5, refused()), (20, Event::Restored), (29, stopped())], without),
            (DELAYED, &[(5, refused()), (20, Event::Restored), (21, refused()), (29, stopped())], sooner),
            (Revocation::PreventNew, &[(5, refused()), (99, stopped())], sooner),
        ];
        for (action, told, words) in rows {
            let broken = broken_by(action, told);
            assert!(broken.len() == 1 && broken[0].ends_with(words), "{action:?} {told:?}: {broken:?}");
        }
    }
}
