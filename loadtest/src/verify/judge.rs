//! What to ask and what a right answer looks like: a plan of cases and a judge of answers. Pure: random bytes come in as an
//! argument, nothing is sent from here, and no answer is ever excused.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use thiserror::Error;

use crate::client::Answer;
use crate::wire::{Detail, ErrorBody, UnwrapRequest, UnwrapResponse, WrapRequest, WrapResponse};

/// Sizes of the plaintexts, in bytes; 64 KiB is the most that Cloud KMS takes from its users.
const PLAINTEXT_SIZES: [usize; 5] = [0, 1, 64, 4096, 65536];
/// Sizes of the associated data, in bytes: none, short, the most.
const ASSOCIATED_DATA_SIZES: [usize; 3] = [0, 16, 65536];
/// So long a part of a wrong answer is shown, in bytes.
const EXCERPT_MAX: usize = 200;

/// The check that follows the round trip of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Wrapping the same plaintext again gives another blob.
    WrapAgain,
    /// The blob does not open under other associated data.
    OtherAssociatedData,
    /// The blob does not open with one bit changed.
    FlippedBit,
    /// Without a token nothing opens.
    NoToken,
}

/// Four probes against fifteen pairs of sizes: without a common divisor, so every probe meets every pair.
const PROBES: [Probe; 4] = [Probe::WrapAgain, Probe::OtherAssociatedData, Probe::FlippedBit, Probe::NoToken];

/// One plaintext, its associated data, and the probe that follows its round trip.
pub struct Case {
    pub probe: Probe,
    plaintext: Vec<u8>,
    associated_data: Vec<u8>,
    /// Chooses the bit that is flipped.
    choice: u64,
}

/// Whether the answer says that the same call may succeed later: 429, 503 and 504 do.
pub const fn is_retriable(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 503 | 504)
}

/// A refusal that is the right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400, `INVALID_ARGUMENT`: the blob does not authenticate.
    DoesNotOpen,
    /// 401, `UNAUTHENTICATED`: there is no token.
    NoToken,
}

/// What is wrong with an answer.
#[derive(Debug, Error)]
pub enum Fault {
    /// The status is another one.
    #[error("status {got} where {expected} is right: {excerpt}")]
    Status { expected: u16, got: u16, excerpt: String },
    /// The body is not the JSON that belongs there.
    #[error("the body is not the JSON that belongs there ({cause}): {excerpt}")]
    Body {
        #[source]
        cause: serde_json::Error,
        excerpt: String,
    },
    /// A value is not standard padded base64.
    #[error("{field} is not standard base64")]
    Base64 {
        field: &'static str,
        #[source]
        cause: base64::DecodeError,
    },
    /// A wrap was answered without a blob.
    #[error("the answer has no wrapped blob")]
    NoBlob,
    /// An unwrap gave something else than was wrapped.
    #[error("unwrapped {got} bytes that are not the {expected} bytes wrapped")]
    OtherPlaintext { expected: usize, got: usize },
    /// Wrapping twice gave the same blob.
    #[error("two wraps of one plaintext gave the same blob")]
    RepeatedBlob,
    /// The error body names another code.
    #[error("the error body says {got} where {expected} is right")]
    Code { expected: &'static str, got: String },
    /// The error body carries no request id.
    #[error("the error body has no google.rpc.RequestInfo with a request id")]
    NoRequestId,
}

impl Case {
    /// The case of this number: sizes and probe follow from the number, the bytes come from `fill`.
    pub fn plan(number: u64, fill: &mut impl FnMut(&mut [u8])) -> Self {
        let mut random = |size: usize| {
            let mut bytes = vec![0; size];
            fill(&mut bytes);
            bytes
        };
        let plaintext = random(pick(number, &PLAINTEXT_SIZES));
        let associated_data = random(pick(number / PLAINTEXT_SIZES.len() as u64, &ASSOCIATED_DATA_SIZES));
        let choice = random(8).into_iter().fold(0, |choice, byte| choice << 8 | u64::from(byte));
        Self { probe: pick(number, &PROBES), plaintext, associated_data, choice }
    }

    /// The call that wraps this case's plaintext.
    pub fn wrap(&self) -> WrapRequest {
        WrapRequest {
            plaintext: BASE64_STANDARD.encode(&self.plaintext),
            additional_authenticated_data: BASE64_STANDARD.encode(&self.associated_data),
        }
    }

    /// The call that must give the plaintext back.
    pub fn unwrap_of(&self, blob: &[u8]) -> UnwrapRequest {
        unwrap_request(blob, &self.associated_data)
    }

    /// The call that must be refused: the right blob under other associated data.
    pub fn unwrap_elsewhere(&self, blob: &[u8]) -> UnwrapRequest {
        let mut other = self.associated_data.clone();
        match other.first_mut() {
            Some(byte) => *byte ^= 1,
            None => other.push(0),
        }
        unwrap_request(blob, &other)
    }

    /// The call that must be refused: one bit of the blob is changed.
    pub fn unwrap_damaged(&self, blob: &[u8]) -> UnwrapRequest {
        let mut damaged = blob.to_vec();
        let bit =
            usize::try_from(self.choice % (blob.len() as u64 * 8)).expect("a bit of a blob in memory has an index");
        damaged[bit / 8] ^= 1 << (bit % 8);
        unwrap_request(&damaged, &self.associated_data)
    }

    /// Judges the answer to [`Case::unwrap_of`].
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn opened(&self, answer: &Answer) -> Result<(), Fault> {
        opened_as(&self.plaintext, answer)
    }
}

/// Judges the answer to an unwrap that must give `expected` back.
///
/// # Errors
/// Says what is wrong with it.
pub fn opened_as(expected: &[u8], answer: &Answer) -> Result<(), Fault> {
    expect_status(answer, 200)?;
    let response: UnwrapResponse = parsed(answer)?;
    let plaintext = decoded("plaintext", &response.plaintext)?;
    if plaintext != expected {
        return Err(Fault::OtherPlaintext { expected: expected.len(), got: plaintext.len() });
    }
    Ok(())
}

/// Judges the answer to a wrap; the blob is never empty.
///
/// # Errors
/// Says what is wrong with it.
pub fn wrapped_blob(answer: &Answer) -> Result<Vec<u8>, Fault> {
    expect_status(answer, 200)?;
    let response: WrapResponse = parsed(answer)?;
    let blob = decoded("wrappedBlob", &response.wrapped_blob)?;
    if blob.is_empty() { Err(Fault::NoBlob) } else { Ok(blob) }
}

/// Judges the second of two wraps of one plaintext.
///
/// # Errors
/// If it repeats the first.
pub fn differs(second: &[u8], first: &[u8]) -> Result<(), Fault> {
    if second == first { Err(Fault::RepeatedBlob) } else { Ok(()) }
}

/// Judges the answer to a call that must be refused.
///
/// # Errors
/// Says what is wrong with it.
pub fn refused(answer: &Answer, refusal: Refusal) -> Result<(), Fault> {
    let (status, code, name) = match refusal {
        Refusal::DoesNotOpen => (400, 3, "INVALID_ARGUMENT"),
        Refusal::NoToken => (401, 16, "UNAUTHENTICATED"),
    };
    let details = error_of(answer, status, code, name)?;
    let named = details.iter().any(|one| one.kind.ends_with("/google.rpc.RequestInfo") && !one.request_id.is_empty());
    if named { Ok(()) } else { Err(Fault::NoRequestId) }
}

/// Judges an answer that says that the same call may succeed later: its body must say so too, with the code that belongs to
/// its status.
///
/// # Errors
/// Says what is wrong with it.
pub fn told_to_try_again(answer: &Answer) -> Result<(), Fault> {
    let (code, name) = match answer.status {
        429 => (8, "RESOURCE_EXHAUSTED"),
        504 => (4, "DEADLINE_EXCEEDED"),
        _ => (14, "UNAVAILABLE"),
    };
    let status = if is_retriable(answer) { answer.status } else { 503 };
    error_of(answer, status, code, name).map(drop)
}

/// The details of an error body that says what it must.
fn error_of(answer: &Answer, status: u16, code: u16, name: &'static str) -> Result<Vec<Detail>, Fault> {
    expect_status(answer, status)?;
    let (right, got, details) = match parsed(answer)? {
        ErrorBody::Status { code: got, details } => (got == code, got.to_string(), details),
        ErrorBody::Envelope { error } => (error.status == name, error.status, error.details),
    };
    if right { Ok(details) } else { Err(Fault::Code { expected: name, got }) }
}

fn unwrap_request(blob: &[u8], associated_data: &[u8]) -> UnwrapRequest {
    UnwrapRequest {
        wrapped_blob: BASE64_STANDARD.encode(blob),
        additional_authenticated_data: BASE64_STANDARD.encode(associated_data),
    }
}

fn pick<T: Copy>(number: u64, choices: &[T]) -> T {
    let index = usize::try_from(number % choices.len() as u64).expect("a remainder by a length is an index");
    choices[index]
}

fn expect_status(answer: &Answer, expected: u16) -> Result<(), Fault> {
    if answer.status == expected {
        return Ok(());
    }
    Err(Fault::Status { expected, got: answer.status, excerpt: excerpt(answer) })
}

fn parsed<'a, T: serde::Deserialize<'a>>(answer: &'a Answer) -> Result<T, Fault> {
    serde_json::from_slice(&answer.body).map_err(|cause| Fault::Body { cause, excerpt: excerpt(answer) })
}

fn decoded(field: &'static str, text: &str) -> Result<Vec<u8>, Fault> {
    BASE64_STANDARD.decode(text).map_err(|cause| Fault::Base64 { field, cause })
}

/// The beginning of an error's body, fit for a terminal. What came with a success may be a plaintext, and is not shown.
fn excerpt(answer: &Answer) -> String {
    if answer.status < 300 {
        return format!("({} bytes)", answer.body.len());
    }
    let shown = &answer.body[..answer.body.len().min(EXCERPT_MAX)];
    String::from_utf8_lossy(shown).chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

#[cfg(test)]
mod tests;
