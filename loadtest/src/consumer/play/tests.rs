//! Every scenario against a made-up key manager, in the time of the test's clock; and faults that must be caught.

use super::*;
use crate::cloud_kms::{Judge, Received, Retry, Verdict, judge};
use crate::consumer::premises::made_up::{MadeUp, other_bytes};
use crate::consumer::scenario::{ALL, Name};

const HOUR: Duration = Duration::from_millis(200);

async fn played(name: Name, judge: Judge, premises: MadeUp) -> Played {
    let mut key = CryptoKey::new(7, "k", judge);
    key.register("v0/keys/0001");
    play(name.scenario(), &premises, key, [vec![1], vec![2], vec![3]], Clock::start(HOUR)).await
}

fn faults(played: &Played) -> Vec<String> {
    played.broken.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn every_scenario_holds_with_a_right_key_manager() {
    for scenario in &ALL {
        let played = played(scenario.name, judge, MadeUp::new()).await;
        assert_eq!(faults(&played), Vec::<String>::new(), "{}: {:#?}", scenario.name.as_str(), played.story);
    }
}

/// A Cloud KMS, or a key manager behind it, that takes "try again" for a last word.
fn hasty(received: Received) -> Verdict {
    match judge(received) {
        Verdict::Error(error) => Verdict::Error(KmsError { retry: Retry::Final, ..error }),
        other => other,
    }
}

/// One that never gives up.
fn stubborn(received: Received) -> Verdict {
    match judge(received) {
        Verdict::Error(error) => Verdict::Error(KmsError { retry: Retry::CanHelp, ..error }),
        other => other,
    }
}

/// One that forgets what a 403 does.
fn forgetful(received: Received) -> Verdict {
    match judge(received) {
        Verdict::ErrorThatDisables(error) => Verdict::Error(error),
        other => other,
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_that_is_taken_for_final_is_caught_wherever_it_stops_an_instance() {
    for name in [Name::Overloaded, Name::Unreachable, Name::QuotaExceeded] {
        let played = played(name, hasty, MadeUp::new()).await;
        let faults = faults(&played).join("\n");
        assert!(faults.contains("shut-down stopped"), "{name:?}: {faults}");
        assert!(faults.contains("taken for final that a retry can mend"), "{name:?}: {faults}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_is_taken_for_retriable_is_caught() {
    for name in [Name::RevocationTest, Name::Scheduled, Name::Destroyed] {
        let faults = faults(&played(name, stubborn, MadeUp::new()).await).join("\n");
        assert!(faults.contains("this did not come: every service logs"), "{name:?}: {faults}");
        assert!(faults.contains("taken for retriable that is final"), "{name:?}: {faults}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_that_forgets_what_a_403_does_is_caught() {
    let faults = faults(&played(Name::Revoked, forgetful, MadeUp::new()).await).join("\n");
    assert!(faults.contains("disabled the key version 0 times where 1 is right"), "{faults}");
}

/// A key manager that says something else than the right thing whenever it has an error to tell.
async fn telling(name: Name, instead: Received) -> String {
    let premises = MadeUp::new();
    *premises.answers_instead.borrow_mut() = Some(instead);
    faults(&played(name, judge, premises).await).join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_key_manager_that_answers_wrongly_is_caught() {
    let status =
        |status, message: &str| Received::Answer { status, body: format!(r#"{{"message":"{message}"}}"#).into_bytes() };
    // the right sentence under a status that disables the version at Google
    let refusing = telling(Name::Overloaded, status(403, "The external key manager is overloaded. Try again.")).await;
    assert!(refusing.contains("disabled the key version 1 times where 0 is right"), "{refusing}");
    assert!(refusing.contains("shut-down stopped"), "{refusing}");
    // the right status, and a message that helps nobody
    let silent = telling(Name::RevocationTest, status(400, "")).await;
    assert!(silent.contains("is disabled in the external key manager"), "{silent}");
    // a key that goes on serving
    let serving = telling(Name::RevocationTest, other_bytes()).await;
    assert!(serving.contains("this did not come") && serving.contains("got back other bytes"), "{serving}");
}

#[test]
fn what_a_key_manager_must_say_stands_in_the_products_own_table() {
    use crate::consumer::symptom::{DENIED, DESTROYED, DISABLED, OVERLOADED, QUOTA, SCHEDULED};
    let table = include_str!("../../../../server/src/error/table.txt");
    for symptom in [DISABLED, SCHEDULED, DESTROYED, DENIED, OVERLOADED, QUOTA] {
        assert!(table.contains(symptom.text), "{symptom}");
    }
}
