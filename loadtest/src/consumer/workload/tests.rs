//! The service alone, played against made-up answers.

use super::*;
use crate::cloud_kms::{Code, Origin};

const HOUR: Duration = Duration::from_hours(1);
const DELAY: Duration = Duration::from_hours(24);

fn error(retry: Retry) -> KmsError {
    KmsError { code: Code::Unavailable, origin: Origin::Ekm(503), retry, message: "m".to_owned() }
}

/// Blobs here are the plaintexts themselves.
fn echo(request: &Request) -> Reply {
    match &request.payload {
        Payload::Encrypt(plaintext) => Reply::Encrypted(Ciphertext { version: 1, blob: plaintext.clone() }),
        Payload::Decrypt(ciphertext) => Reply::Decrypted(ciphertext.blob.clone()),
    }
}

/// Plays until a moment against one and the same kind of answer; gives when what happened.
fn play(workload: &mut Workload, from: Duration, until: Duration, failure: Option<Retry>) -> Vec<(Duration, Event)> {
    let mut story = Vec::new();
    let mut now = from;
    while now <= until {
        while let Some(request) = workload.next(now) {
            let answer = failure.map_or_else(|| Ok(echo(&request)), |retry| Err(error(retry)));
            workload.answered(now, request.context, answer);
        }
        story.extend(workload.take_events().map(|event| (now, event)));
        let due = workload.due();
        assert!(due > now, "what is due is done");
        now = due;
    }
    story
}

fn serving(action: Revocation) -> Workload {
    let mut workload = Workload::new(action, vec![7; 32], Duration::ZERO);
    let story = play(&mut workload, Duration::ZERO, HOUR * 3, None);
    let events: Vec<Event> = story.into_iter().map(|(_, event)| event).collect();
    assert_eq!(events, [Event::Deployed, Event::InstanceStarted { running: 1 }]);
    assert!(workload.serves_fully());
    workload
}

fn stops(story: &[(Duration, Event)]) -> Vec<Duration> {
    story.iter().filter(|(_, event)| matches!(event, Event::Stopped { .. })).map(|(at, _)| *at).collect()
}

const ACTIONS: [Revocation; 3] = [Revocation::PreventNew, Revocation::ShutDown, Revocation::ShutDownAfter(DELAY)];

#[test]
fn a_stream_of_retriable_errors_never_stops_an_instance_and_delays_new_ones() {
    for action in ACTIONS {
        let mut workload = serving(action);
        workload.scale_out(HOUR * 3);
        let story = play(&mut workload, HOUR * 3, HOUR * 1000, Some(Retry::CanHelp));
        assert!(story.iter().all(|(_, event)| matches!(event, Event::Waits { .. })), "{action:?}");
        assert!(story.len() > 900, "it goes on trying: {}", story.len());
        assert_eq!(workload.running(), 1);
        play(&mut workload, HOUR * 1000, HOUR * 1003, None);
        assert_eq!(workload.running(), 2, "the new one starts when the key manager is back");
    }
}

#[test]
fn a_final_error_stops_instances_as_configured() {
    for (action, expected) in [
        (Revocation::PreventNew, None),
        (Revocation::ShutDown, Some(HOUR * 4)),
        (Revocation::ShutDownAfter(DELAY), Some(HOUR * 4 + DELAY)),
    ] {
        let mut workload = serving(action);
        let story = play(&mut workload, HOUR * 4, HOUR * 100, Some(Retry::Final));
        assert_eq!(stops(&story), Vec::from_iter(expected), "{action:?}");
        assert_eq!(workload.running(), u32::from(expected.is_none()));
    }
}

#[test]
fn a_key_that_comes_back_calls_the_stop_off_and_starts_what_is_wanted() {
    for action in ACTIONS {
        let mut workload = serving(action);
        play(&mut workload, HOUR * 4, HOUR * 20, Some(Retry::Final));
        workload.scale_out(HOUR * 20);
        let gone = play(&mut workload, HOUR * 20, HOUR * 21, Some(Retry::Final));
        let tries = gone
            .iter()
            .filter(|(_, event)| matches!(event, Event::Refused { context: KeyUse::ExistingDataKeyAtStart, .. }));
        assert_eq!(tries.count(), 1, "a start that was refused is not tried again before the key is back");
        let story = play(&mut workload, HOUR * 21, HOUR * 100, None);
        assert!(stops(&story).is_empty(), "{action:?}");
        assert!(workload.serves_fully() && workload.running() == 2, "{action:?}");
        let called_off = story.iter().any(|(_, event)| *event == Event::StopCalledOff);
        assert_eq!(called_off, matches!(action, Revocation::ShutDownAfter(_)));
    }
}

#[test]
fn a_planned_stop_stands_while_the_key_manager_is_out_of_reach_after_a_revocation() {
    let mut workload = serving(Revocation::ShutDownAfter(DELAY));
    play(&mut workload, HOUR * 4, HOUR * 5, Some(Retry::Final));
    let story = play(&mut workload, HOUR * 6, HOUR * 100, Some(Retry::CanHelp));
    assert_eq!(stops(&story), [HOUR * 4 + DELAY]);
}

#[test]
fn another_plaintext_is_told() {
    let mut workload = Workload::new(Revocation::PreventNew, vec![7; 32], Duration::ZERO);
    let deploy = workload.next(Duration::ZERO).expect("it is deployed at once");
    workload.answered(Duration::ZERO, deploy.context, Ok(echo(&deploy)));
    let start = workload.next(Duration::ZERO).expect("the first instance starts at once");
    workload.answered(Duration::ZERO, start.context, Ok(Reply::Decrypted(vec![8; 32])));
    let told = workload.take_events().any(|event| matches!(event, Event::WrongPlaintext { .. }));
    assert!(told);
}

#[test]
fn the_first_instance_and_later_ones_are_told_apart() {
    let mut workload = serving(Revocation::PreventNew);
    workload.scale_out(HOUR * 3);
    let contexts: Vec<KeyUse> = std::iter::from_fn(|| {
        let request = workload.next(HOUR * 4)?;
        workload.answered(HOUR * 4, request.context, Ok(echo(&request)));
        Some(request.context)
    })
    .collect();
    let expected = [KeyUse::ExistingDataKeyAtStart, KeyUse::DummyEncrypt, KeyUse::DummyDecrypt];
    assert_eq!(contexts, expected);
}
