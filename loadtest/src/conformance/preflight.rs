//! One right call before all others: it tells an EKM from something else, and a wrong test from a wrong EKM. It judges no more
//! than that: an EKM that is wrong in any other way goes on to the cases.

use thiserror::Error;

use super::error_body::{Shape, error_body};
use super::judge::Answer;
use super::run::Parties;
use super::scene::{self, Scene};
use super::sender::{NoAnswer, Sender};

/// How often the call is repeated that was answered with "try again".
const RETRIES_MAX: u32 = 8;
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// So much is quoted of a foreign body, in characters.
const QUOTED_MAX: usize = 80;

/// Why the cases are not tried.
#[derive(Debug, Error)]
pub enum PreflightError {
    /// Nobody answers.
    #[error("not an EKM, or not one that can be reached")]
    NoAnswer(#[source] NoAnswer),
    /// Somebody else answers.
    #[error(
        "not an EKM: {method} is answered with HTTP {status} and {content_type} that begins with {quoted}: an EKM \
         answers with JSON. Correct --url, or look at what stands in front of it"
    )]
    Foreign { method: &'static str, status: u16, content_type: String, quoted: String },
    /// It answers, and cannot serve.
    #[error("the EKM answers HTTP {status} to every try: {message}. Wait until it is ready")]
    NotReady { status: u16, message: String },
    /// It does not believe the test's tokens.
    #[error(
        "the EKM refuses a right token with 401: {message}. Have it trust the public half of --issuer-key under the \
         kid {key_id}, the issuer {issuer} and the audience {audience}, and compare the clocks"
    )]
    NotTrusted { message: String, key_id: String, issuer: String, audience: String },
    /// It does not know the test's caller.
    #[error("the EKM refuses {email} with 403: {message}. Grant wrap and unwrap with --key-path to --email")]
    NotGranted { email: String, message: String },
    /// It does not know the test's key.
    #[error("the EKM knows no key at {key_path} (404): {message}. Correct --key-path: it has no host and no verb")]
    NoKey { key_path: String, message: String },
    /// The key is there and does not serve.
    #[error("the key at {key_path} does not serve: {message}. Enable it, or give another --key-path")]
    KeyUnusable { key_path: String, message: String },
}

impl PreflightError {
    /// Whether the command line has to be corrected, and not the target.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Foreign { .. } | Self::NotReady { .. } => false,
            Self::NotTrusted { .. } | Self::NotGranted { .. } | Self::NoKey { .. } | Self::KeyUnusable { .. } => true,
        }
    }
}

/// Makes one wrap that an EKM serves.
///
/// # Errors
/// If the cases would say nothing about the target.
pub async fn look(sender: &mut Sender, parties: &Parties<'_>, now: u64) -> Result<(), PreflightError> {
    let scene = Scene::at(now, parties.facts, parties.issuer, parties.forger);
    let call = scene.wrap(b"is anybody there?");
    let body = scene::body(&call.body, &[]).expect("a wrap needs no blob");
    let mut pause = RETRY_PAUSE;
    for _ in 0..RETRIES_MAX {
        let answer = sender.send(&call, body.clone()).await.map_err(PreflightError::NoAnswer)?;
        if !matches!(answer.status, 429 | 503 | 504) {
            return judged(&answer, parties);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let answer = sender.send(&call, body).await.map_err(PreflightError::NoAnswer)?;
    judged(&answer, parties)
}

/// What the one answer says about the test.
///
/// # Errors
/// See [`PreflightError`].
pub fn judged(answer: &Answer, parties: &Parties<'_>) -> Result<(), PreflightError> {
    let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 && value["wrappedBlob"].is_string() {
        return Ok(());
    }
    let body = error_body(&answer.body);
    if body.shape == Shape::Foreign || answer.status < 400 {
        return Err(foreign(answer));
    }
    let message = printable(&body.message, usize::MAX);
    let (facts, status) = (parties.facts, answer.status);
    Err(match (status, body.code) {
        (401, _) => PreflightError::NotTrusted {
            message,
            key_id: parties.issuer.key_id().to_owned(),
            issuer: facts.issuer.clone(),
            audience: facts.audience.clone(),
        },
        (403, _) => PreflightError::NotGranted { email: facts.email.clone(), message },
        (404, _) => PreflightError::NoKey { key_path: facts.key_path.clone(), message },
        (400, Some(9)) => PreflightError::KeyUnusable { key_path: facts.key_path.clone(), message },
        (429 | 503 | 504, _) => PreflightError::NotReady { status, message },
        // it is an EKM, and the cases say what is wrong with it
        _ => return Ok(()),
    })
}

fn foreign(answer: &Answer) -> PreflightError {
    let content_type = match answer.content_type.as_str() {
        "" => "a body of no type".to_owned(),
        named => format!("a body of type {}", printable(named, QUOTED_MAX)),
    };
    let quoted = format!("\"{}\"", printable(&String::from_utf8_lossy(&answer.body), QUOTED_MAX));
    PreflightError::Foreign { method: ":wrap", status: answer.status, content_type, quoted }
}

fn printable(text: &str, most: usize) -> String {
    text.trim().chars().take(most).map(|one| if one.is_control() { ' ' } else { one }).collect()
}
