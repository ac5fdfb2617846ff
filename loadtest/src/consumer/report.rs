//! What was played, for people and for programs. Adds nothing to the story, and leaves nothing out of the JSON form.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::event::{Entry, Event, What, Who};
use super::play::Played;
use super::scenario::Name;
use super::words;
use crate::cloud_kms::{Code, KeyUse, KmsError, Origin, Retry};

/// Prints one scenario as a story. An error that a service meets again and again over one kind of use is told once, until
/// something else happens to that service.
///
/// # Errors
/// If `out` cannot be written.
pub fn print_story(played: &Played, out: &mut impl Write) -> io::Result<()> {
    let verdict = if played.broken.is_empty() { "held" } else { "BROKEN" };
    writeln!(out, "{}: {verdict}", played.scenario.name.as_str())?;
    let mut told = Told::default();
    for entry in played.story.iter().filter(|entry| told.is_news(entry)) {
        writeln!(out, "  {:7.2} h  {:<12} {}", words::hours(entry.at), who(entry.who), entry.what)?;
    }
    for broken in &played.broken {
        writeln!(out, "  BROKEN: {broken}")?;
    }
    Ok(())
}

/// The errors that each service has told since something else happened to it.
#[derive(Default)]
struct Told(HashMap<&'static str, Vec<(KeyUse, String)>>);

impl Told {
    fn is_news(&mut self, entry: &Entry) -> bool {
        let known = self.0.entry(who(entry.who)).or_default();
        let What::Told(event) = &entry.what else { return true };
        let Some((context, error)) = event.error() else {
            known.clear();
            return true;
        };
        let this = (context, error.message.clone());
        let is_news = !known.contains(&this);
        known.extend(is_news.then_some(this));
        is_news
    }
}

/// Prints the last line for people.
///
/// # Errors
/// If `out` cannot be written.
pub fn print_sum(played: &[Played], out: &mut impl Write) -> io::Result<()> {
    let broken = played.iter().filter(|one| !one.broken.is_empty()).count();
    writeln!(out, "{} scenarios played, {broken} with a broken promise", played.len())
}

/// Prints everything as one JSON object on one line.
///
/// # Errors
/// If `out` cannot be written.
pub fn print_json(played: &[Played], out: &mut impl Write) -> io::Result<()> {
    let page =
        Page { held: played.iter().all(|one| one.broken.is_empty()), scenarios: played.iter().map(scenario).collect() };
    serde_json::to_writer(&mut *out, &page)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Page {
    held: bool,
    scenarios: Vec<ScenarioPage>,
}

#[derive(Serialize)]
struct ScenarioPage {
    name: Name,
    held: bool,
    broken: Vec<String>,
    events: Vec<EventPage>,
}

#[derive(Serialize)]
struct EventPage {
    /// Since the scenario began, in hours of the service.
    at_hours: f64,
    who: &'static str,
    event: &'static str,
    text: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    error: Option<ErrorPage>,
}

#[derive(Serialize)]
struct ErrorPage {
    context: KeyUse,
    code: Code,
    origin: &'static str,
    /// What the key manager answered, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    retriable: bool,
    message: String,
}

fn scenario(played: &Played) -> ScenarioPage {
    ScenarioPage {
        name: played.scenario.name,
        held: played.broken.is_empty(),
        broken: played.broken.iter().map(ToString::to_string).collect(),
        events: played.story.iter().map(event).collect(),
    }
}

fn event(entry: &Entry) -> EventPage {
    let (event, error) = match &entry.what {
        What::Moved(_) => ("moved", None),
        What::VersionDisabled => ("version_disabled", None),
        What::Reached(_) => ("reached", None),
        What::Told(told) => (kind(told), told.error().map(|(context, error)| error_page(context, error))),
    };
    EventPage { at_hours: words::hours(entry.at), who: who(entry.who), event, text: entry.what.to_string(), error }
}

const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Deployed => "deployed",
        Event::InstanceStarted { .. } => "instance_started",
        Event::Waits { .. } => "waits",
        Event::Refused { .. } => "refused",
        Event::Revoked => "revoked",
        Event::Restored => "restored",
        Event::StopPlanned { .. } => "stop_planned",
        Event::StopCalledOff => "stop_called_off",
        Event::Stopped { .. } => "stopped",
        Event::WrongPlaintext { .. } => "wrong_plaintext",
    }
}

fn error_page(context: KeyUse, error: &KmsError) -> ErrorPage {
    let (origin, http_status) = match error.origin {
        Origin::Ekm(status) => ("external_key_manager", Some(status)),
        Origin::Network => ("network", None),
        Origin::CloudKms => ("cloud_kms", None),
    };
    let retriable = error.retry == Retry::CanHelp;
    ErrorPage { context, code: error.code, origin, http_status, retriable, message: error.message.clone() }
}

const fn who(who: Who) -> &'static str {
    match who {
        Who::Hand => "hand",
        Who::CloudKms => "Cloud KMS",
        Who::Service(action) => action.name(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consumer::scenario::Move;
    use crate::consumer::workload::Revocation;

    fn played() -> Played {
        let error = KmsError {
            code: Code::Unavailable,
            origin: Origin::Ekm(503),
            retry: Retry::CanHelp,
            message: "External key manager (EXTERNAL_VPC), HTTP 503: Try again.".to_owned(),
        };
        let waits = What::Told(Event::Waits { context: KeyUse::DummyEncrypt, error });
        let service = Who::Service(Revocation::ShutDown);
        let entry = |minutes, who, what| Entry { at: Duration::from_mins(minutes), who, what };
        Played {
            scenario: Name::Overloaded.scenario(),
            story: vec![
                entry(0, service, What::Told(Event::Deployed)),
                entry(90, Who::Hand, What::Moved(Move::Crowd)),
                entry(120, service, waits.clone()),
                entry(126, service, waits),
            ],
            broken: Vec::new(),
        }
    }

    fn printed(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).expect("memory takes every write");
        String::from_utf8(out).expect("a report is text")
    }

    #[test]
    fn a_story_reads_like_this() {
        let expected = "\
overloaded: held
     0.00 h  shut-down    deployed: a new data key is wrapped
     1.50 h  hand         others take every place for calls in progress
     2.00 h  shut-down    dummy encrypt: UNAVAILABLE: External key manager (EXTERNAL_VPC), HTTP 503: Try again. Trying again.
";
        assert_eq!(printed(|out| print_story(&played(), out)), expected);
    }

    #[test]
    fn the_json_form_holds_every_event() {
        let text = printed(|out| print_json(&[played()], out));
        let page: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
        assert_eq!((text.lines().count(), &page["held"]), (1, &serde_json::Value::Bool(true)));
        let events = page["scenarios"][0]["events"].as_array().expect("a list");
        assert_eq!(events.len(), 4);
        let last = &events[3];
        assert_eq!(last["context"], "dummy_encrypt");
        assert_eq!(last["code"], "UNAVAILABLE");
        assert_eq!(last["origin"], "external_key_manager");
        assert_eq!((&last["http_status"], &last["retriable"]), (&503.into(), &true.into()));
        assert_eq!(last["at_hours"], 2.1);
    }
}
