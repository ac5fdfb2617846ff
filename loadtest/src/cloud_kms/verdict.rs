//! What an answer of the external key manager means to a consumer behind Cloud KMS: one table. The manager's own message is
//! carried on unchanged, because the consumer's logs show it word for word.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// So much of an answer without a message is shown, in bytes.
const EXCERPT_MAX: usize = 200;

/// What came back from one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// An HTTP answer, whole.
    Answer { status: u16, body: Vec<u8> },
    /// No connection, or it ended before the answer did.
    NoConnection { cause: String },
    /// The deadline of the call passed first.
    Late { deadline: Duration },
}

/// The `google.rpc` code that the consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
    DeadlineExceeded,
    Internal,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal => "INTERNAL",
        })
    }
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The external key manager, with this HTTP status.
    Ekm(u16),
    /// Nobody: the external key manager did not answer.
    Network,
    /// Cloud KMS itself: the external key manager was not asked.
    CloudKms,
}

/// Whether asking again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    CanHelp,
    Final,
}

/// An error as Cloud KMS hands it to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsError {
    pub code: Code,
    pub origin: Origin,
    pub retry: Retry,
    /// What the consumer logs.
    pub message: String,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The status says success; the body is still to be read.
    Success(Vec<u8>),
    /// An error.
    Error(KmsError),
    /// An error, and the version is disabled at Google.
    ErrorThatDisables(KmsError),
}

/// How answers are judged; tests put a wrong one in its place.
pub type Judge = fn(Received) -> Verdict;

/// The table of `google-ekm-api`, section 4. What Google does after a 401, 404 or 400 is not public: they count as final.
pub fn judge(received: Received) -> Verdict {
    let (status, body) = match received {
        Received::Answer { status: 200, body } => return Verdict::Success(body),
        Received::Answer { status, body } => (status, body),
        Received::NoConnection { cause } => {
            return Verdict::Error(unanswered(Code::Unavailable, &format!("cannot be reached ({cause})")));
        }
        Received::Late { deadline } => {
            let words = format!("did not answer within {} ms", deadline.as_millis());
            return Verdict::Error(unanswered(Code::DeadlineExceeded, &words));
        }
    };
    let (code, retry) = match status {
        400 | 401 | 403 | 404 | 413 => (Code::FailedPrecondition, Retry::Final),
        429 => (Code::ResourceExhausted, Retry::CanHelp),
        408 | 504 => (Code::DeadlineExceeded, Retry::CanHelp),
        502 | 503 => (Code::Unavailable, Retry::CanHelp),
        _ => (Code::Internal, Retry::Final),
    };
    let message = format!("External key manager (EXTERNAL_VPC), HTTP {status}: {}", message_of(&body));
    let error = KmsError { code, origin: Origin::Ekm(status), retry, message };
    if status == 403 { Verdict::ErrorThatDisables(error) } else { Verdict::Error(error) }
}

fn unanswered(code: Code, what: &str) -> KmsError {
    let message = format!("The external key manager behind the EkmConnection (EXTERNAL_VPC) {what}.");
    KmsError { code, origin: Origin::Network, retry: Retry::CanHelp, message }
}

/// The message of an error body, in either of its two shapes, unchanged.
fn message_of(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let status = parsed.get("error").unwrap_or(&parsed);
    status["message"].as_str().map_or_else(|| excerpt(body), str::to_owned)
}

fn excerpt(body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_MAX)]).into_owned();
    format!("an error without a message: {}", shown.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Received {
        Received::Answer { status, body: br#"{"code":1,"message":"What is \"wrong\" here."}"#.to_vec() }
    }

    fn error(received: Received) -> (KmsError, &'static str) {
        match judge(received) {
            Verdict::Error(error) => (error, "stays enabled"),
            Verdict::ErrorThatDisables(error) => (error, "is disabled"),
            Verdict::Success(body) => panic!("{body:?} was taken for a success"),
        }
    }

    #[test]
    fn every_status_means_what_google_makes_of_it() {
        use Code::{DeadlineExceeded, FailedPrecondition, Internal, ResourceExhausted, Unavailable};
        use Retry::{CanHelp, Final};
        let rows = [
            (400, FailedPrecondition, Final, "stays enabled"),
            (401, FailedPrecondition, Final, "stays enabled"),
            (403, FailedPrecondition, Final, "is disabled"),
            (404, FailedPrecondition, Final, "stays enabled"),
            (408, DeadlineExceeded, CanHelp, "stays enabled"),
            (413, FailedPrecondition, Final, "stays enabled"),
            (429, ResourceExhausted, CanHelp, "stays enabled"),
            (500, Internal, Final, "stays enabled"),
            (501, Internal, Final, "stays enabled"),
            (503, Unavailable, CanHelp, "stays enabled"),
            (504, DeadlineExceeded, CanHelp, "stays enabled"),
        ];
        for (status, code, retry, version) in rows {
            let (error, then) = error(answer(status));
            assert_eq!((error.code, error.retry, error.origin, then), (code, retry, Origin::Ekm(status), version));
            assert!(error.message.ends_with(r#": What is "wrong" here."#), "{}", error.message);
        }
    }

    #[test]
    fn silence_is_retriable_and_nobodys_word() {
        let rows = [
            (Received::NoConnection { cause: "refused".to_owned() }, Code::Unavailable, "cannot be reached (refused)."),
            (Received::Late { deadline: Duration::from_millis(150) }, Code::DeadlineExceeded, "within 150 ms."),
        ];
        for (received, code, words) in rows {
            let (error, then) = error(received);
            assert_eq!((error.code, error.retry, error.origin), (code, Retry::CanHelp, Origin::Network));
            assert!(error.message.ends_with(words) && then == "stays enabled", "{}", error.message);
        }
    }

    #[test]
    fn both_shapes_of_an_error_body_and_none_are_read() {
        assert_eq!(message_of(br#"{"code":9,"message":"m"}"#), "m");
        assert_eq!(message_of(br#"{"error":{"code":400,"message":"m","status":"S"}}"#), "m");
        assert_eq!(message_of(b"<html>\n"), "an error without a message: <html> ");
    }
}
