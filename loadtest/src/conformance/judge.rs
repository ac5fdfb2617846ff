//! Says whether an answer is right. Pure: an answer, what is right for it, and what the case saw before come in; a finding
//! comes out. Never excuses an answer, and never quotes a token or a plaintext.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::error_body::{ErrorBody, Shape, code_name, error_body, fits};
use super::expect::{Aspect, Expect, Refusal};

/// So much of a wrong answer is shown, in characters.
const EXCERPT_MAX: usize = 240;
/// A message of fewer characters says nothing.
const MESSAGE_MIN: usize = 8;
/// How the base64 of a token's header begins, `{"`.
const TOKEN_START: &str = "eyJ";
/// Shorter texts that begin so are shown, in bytes.
const TOKEN_MIN: usize = 24;
/// What only stands in an error if its author did not write it.
const INTERNALS: [&str; 14] = [
    "panicked at",
    "stack backtrace",
    "Traceback (most recent",
    "goroutine ",
    "\\tat ",
    "Exception",
    "NullPointer",
    ".rs:",
    ".go:",
    ".java:",
    ".py\\\"",
    "node_modules",
    "SQLSTATE",
    "0x0000",
];

/// What came back, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub allow: String,
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
    /// From the first byte sent to the last byte read.
    pub latency: Duration,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub expected: String,
    pub got: String,
    /// The beginning of the body, printable.
    pub excerpt: String,
}

/// What a case saw before.
#[derive(Debug, Default)]
pub struct Past {
    /// By the number of the step.
    pub blobs: Vec<Option<Vec<u8>>>,
    /// Of the first error body.
    pub shape: Option<Shape>,
}

/// Judges one answer; a right blob is given back.
///
/// # Errors
/// What is wrong with it.
pub fn judge(expect: &Expect, answer: &Answer, past: &Past) -> Result<Option<Vec<u8>>, Finding> {
    match expect {
        Expect::Blob => blob(answer).map(Some),
        Expect::StandardBlob => {
            let blob = blob(answer)?;
            standard(answer, "wrappedBlob")?;
            Ok(Some(blob))
        }
        Expect::BlobUnlike(step) => {
            let blob = blob(answer)?;
            let same = past.blobs.get(*step).and_then(Option::as_ref) == Some(&blob);
            if same { Err(finding(answer, "another blob than before", "the same blob again")) } else { Ok(Some(blob)) }
        }
        Expect::Plaintext(right) => plaintext(answer, right).map(|()| None),
        Expect::StandardPlaintext(right) => {
            plaintext(answer, right)?;
            standard(answer, "plaintext").map(|()| None)
        }
        Expect::Refused(refusal) => refused(answer, *refusal).map(|()| None),
        Expect::TooLarge => refused(answer, Refusal::TOO_LARGE).map(|()| None),
        Expect::WrongMethod => {
            refused(answer, Refusal::NOT_OFFERED)?;
            let names = answer.allow.split(',').any(|one| one.trim() == "POST");
            let got = format!("Allow: {:?}", answer.allow);
            if names { Ok(None) } else { Err(finding(answer, "Allow: POST", &got)) }
        }
        Expect::ErrorBody(aspect) => aspect_of(answer, aspect).map(|()| None),
        Expect::SameShape => {
            let shape = error_body(&answer.body).shape;
            match past.shape {
                Some(first) if answer.status >= 400 && first != shape => {
                    Err(finding(answer, &format!("{}, as before", first.name()), shape.name()))
                }
                _ => Ok(None),
            }
        }
    }
}

/// Whether the answer says that the same call may succeed later, where that is not what is right.
pub fn is_retriable(expect: &Expect, answer: &Answer) -> bool {
    let is_right = matches!(expect, Expect::Refused(refusal) if refusal.statuses.contains(&answer.status));
    matches!(answer.status, 429 | 503 | 504) && !is_right
}

/// Judges a retriable answer by what it tells about the next try.
///
/// # Errors
/// If it tells nothing.
pub fn says_when(answer: &Answer) -> Result<(), Finding> {
    let body = error_body(&answer.body);
    let info = |detail: &Value| {
        let kind = detail["@type"].as_str().unwrap_or_default();
        kind.ends_with("/google.rpc.RetryInfo") && detail["retryDelay"].is_string()
    };
    if answer.status == 504 || answer.retry_after.is_some() || body.details.iter().any(info) {
        return Ok(());
    }
    let got = format!("HTTP {} without either", answer.status);
    Err(finding(answer, "a google.rpc.RetryInfo detail or Retry-After", &got))
}

/// A finding about an answer.
pub fn finding(answer: &Answer, expected: &str, got: &str) -> Finding {
    Finding { expected: expected.to_owned(), got: got.to_owned(), excerpt: excerpt(answer) }
}

fn ok_object(answer: &Answer) -> Result<Value, Finding> {
    if answer.status != 200 {
        return Err(finding(answer, "HTTP 200", &status_text(answer)));
    }
    match serde_json::from_slice(&answer.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(finding(answer, "a JSON object", "JSON that is no object")),
        Err(_) => Err(finding(answer, "a JSON object", "a body that is no JSON")),
    }
}

/// The bytes of a field in any spelling of base64; absent and null are empty.
fn field(answer: &Answer, name: &str) -> Result<Vec<u8>, Finding> {
    let object = ok_object(answer)?;
    let text = match &object[name] {
        Value::Null => "",
        Value::String(text) => text,
        _ => return Err(finding(answer, &format!("`{name}` as base64"), "a value that is no text")),
    };
    let plain: String = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    base64::prelude::BASE64_STANDARD_NO_PAD
        .decode(plain)
        .map_err(|_| finding(answer, &format!("`{name}` as base64"), "a text that is no base64"))
}

fn blob(answer: &Answer) -> Result<Vec<u8>, Finding> {
    let blob = field(answer, "wrappedBlob")?;
    if blob.is_empty() { Err(finding(answer, "a `wrappedBlob`", "none")) } else { Ok(blob) }
}

fn plaintext(answer: &Answer, right: &[u8]) -> Result<(), Finding> {
    let plaintext = field(answer, "plaintext")?;
    if plaintext == right {
        return Ok(());
    }
    let got = format!("{} bytes that are not those", plaintext.len());
    Err(finding(answer, &format!("the {} bytes that were wrapped", right.len()), &got))
}

fn standard(answer: &Answer, name: &str) -> Result<(), Finding> {
    let object = ok_object(answer)?;
    let text = object[name].as_str().unwrap_or_default();
    if BASE64_STANDARD.decode(text).is_ok() {
        return Ok(());
    }
    Err(finding(answer, &format!("`{name}` in standard base64 with padding"), "another alphabet, or no padding"))
}

fn refused(answer: &Answer, refusal: Refusal) -> Result<(), Finding> {
    let statuses: Vec<String> = refusal.statuses.iter().map(u16::to_string).collect();
    let codes: Vec<String> = refusal.codes.iter().map(|code| code_name(*code)).collect();
    let expected = format!("HTTP {}, {}", statuses.join(" or "), codes.join(" or "));
    if !refusal.statuses.contains(&answer.status) {
        return Err(finding(answer, &expected, &status_text(answer)));
    }
    match error_body(&answer.body).code {
        Some(code) if !refusal.codes.contains(&code) => {
            Err(finding(answer, &expected, &format!("HTTP {} with {}", answer.status, code_name(code))))
        }
        // a body that cannot be read is judged by the cases about error bodies
        _ => Ok(()),
    }
}

/// What is no refusal is judged by the cases about refusals.
fn aspect_of(answer: &Answer, aspect: &Aspect) -> Result<(), Finding> {
    if answer.status < 400 {
        return Ok(());
    }
    let body = error_body(&answer.body);
    match aspect {
        Aspect::IsJson if body.shape == Shape::Foreign => {
            Err(finding(answer, "a google.rpc.Status or an `error` envelope, as JSON", body.shape.name()))
        }
        Aspect::CodeMatches => code_matches(answer, &body),
        Aspect::Message if body.message.chars().count() < MESSAGE_MIN => {
            Err(finding(answer, "a `message` for a person", &format!("{:?}", body.message)))
        }
        Aspect::ContentType if !is_json_type(&answer.content_type) => {
            Err(finding(answer, "Content-Type: application/json", &format!("{:?}", answer.content_type)))
        }
        Aspect::KeepsSecret(secrets) => {
            let text = String::from_utf8_lossy(&answer.body);
            if !secrets.iter().any(|secret| text.contains(secret.as_str())) {
                return Ok(());
            }
            Err(Finding {
                expected: "nothing of the request's token, plaintext or blob".to_owned(),
                got: format!("HTTP {} that quotes one of them", answer.status),
                excerpt: "(not shown)".to_owned(),
            })
        }
        Aspect::HidesInternals => {
            let text = String::from_utf8_lossy(&answer.body);
            match INTERNALS.iter().find(|one| text.contains(**one)) {
                Some(one) => Err(finding(answer, "a sentence for the customer", &format!("internals: {one:?}"))),
                None => Ok(()),
            }
        }
        Aspect::IsJson | Aspect::Message | Aspect::ContentType => Ok(()),
    }
}

fn code_matches(answer: &Answer, body: &ErrorBody) -> Result<(), Finding> {
    let status = answer.status;
    let expected = format!("a code that belongs to HTTP {status}");
    let Some(code) = body.code else { return Err(finding(answer, &expected, "no code")) };
    let repeats = body.http.is_none_or(|http| http == u64::from(status));
    if fits(code, status) && repeats { Ok(()) } else { Err(finding(answer, &expected, &code_name(code))) }
}

fn is_json_type(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn status_text(answer: &Answer) -> String {
    match error_body(&answer.body) {
        ErrorBody { shape: Shape::Foreign, .. } => format!("HTTP {}", answer.status),
        body => format!("HTTP {}, {}", answer.status, code_name(body.code.unwrap_or_default())),
    }
}

/// The beginning of an error's body, printable. What comes with a success may be a plaintext, and is not shown.
fn excerpt(answer: &Answer) -> String {
    if answer.status < 300 {
        return format!("({} bytes)", answer.body.len());
    }
    let text = without_tokens(&String::from_utf8_lossy(&answer.body));
    let shown: String = text.chars().take(EXCERPT_MAX).flat_map(escaped).collect();
    if text.chars().nth(EXCERPT_MAX).is_some() { format!("{shown}…") } else { shown }
}

/// The text, with "(a token)" for whatever looks like one.
fn without_tokens(text: &str) -> String {
    let (mut safe, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(TOKEN_START) {
        let is_token = |one: char| one.is_ascii_alphanumeric() || "-_.=".contains(one);
        let length = rest[at..].find(|one| !is_token(one)).unwrap_or(rest.len() - at);
        safe.push_str(&rest[..at]);
        safe.push_str(if length < TOKEN_MIN { &rest[at..at + length] } else { "(a token)" });
        rest = &rest[at + length..];
    }
    safe.push_str(rest);
    safe
}

fn escaped(one: char) -> Vec<char> {
    if one.is_control() || ('\u{202a}'..='\u{202e}').contains(&one) || ('\u{2066}'..='\u{2069}').contains(&one) {
        one.escape_unicode().collect()
    } else {
        vec![one]
    }
}
