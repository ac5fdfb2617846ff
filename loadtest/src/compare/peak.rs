//! The closed loop of a comparison: a fixed number of connections, each with one call under way, for a fixed time. Every answer is
//! checked. It measures one server at a time and knows nothing of the other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Uri};
use thiserror::Error;
use tokio::task::LocalSet;

use crate::client::Answer;
use crate::clock::now;
use crate::cpu::{self, CpuError, Process};
use crate::line::{Call, Line, LineError, Route};
use crate::verify::judge::{self, Fault};

/// Each connection opens, and answers so many calls, before anything counts.
const CALLS_BEFORE: u32 = 50;

/// A wrap or an unwrap, with a payload of the size that the promise names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Wrap,
    Unwrap,
}

/// What a right answer is.
#[derive(Clone)]
pub enum Right {
    /// The body that was sent.
    Same,
    /// A blob.
    Blob,
    /// This plaintext.
    Plaintext(Bytes),
}

/// A server under measure.
#[derive(Clone)]
pub struct Server {
    pub route: Route,
    pub host: HeaderValue,
    pub process: Process,
}

/// What every call of a measurement is.
#[derive(Clone)]
pub struct Asked {
    pub uri: Uri,
    pub authorization: HeaderValue,
    pub body: Bytes,
    pub right: Right,
}

/// What one measurement found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Answers in a second.
    pub rps: f64,
    /// The server's processor time for a call, in microseconds.
    pub cpu_us: f64,
    /// The generator's.
    pub generator_cpu_us: f64,
    /// The generator's processor time as a share of one core.
    pub generator_share: f64,
}

/// Why there is nothing to compare.
#[derive(Debug, Error)]
pub enum PeakError {
    /// No answer.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A wrong answer, which no rate excuses.
    #[error("a wrong answer under load")]
    Wrong(#[from] Fault),
    /// The echo sent something else back.
    #[error("the echo answered {status} with another body than it was sent")]
    NoEcho { status: u16 },
    /// Processor times are not to be had.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The server answered nothing at all.
    #[error("not one answer came within {} s", .0.as_secs())]
    Nothing(Duration),
}

/// Measures one server for `span` over `connections`. Must be called within a runtime of one thread.
///
/// # Errors
/// [`PeakError`] at the first call that is not answered rightly.
pub async fn measure(server: &Server, asked: &Asked, connections: u16, span: Duration) -> Result<Sample, PeakError> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        let mut line = Line::open(&server.route).await?;
        for _ in 0..CALLS_BEFORE.div_ceil(u32::from(connections)).max(2) {
            check(&asked.right, asked, &line.call(call(server, asked)).await?)?;
        }
        lines.push(line);
    }
    let before = (cpu::spent(server.process)?, cpu::spent(Process::Own)?);
    let started_at = now();
    let ends_at = started_at + span;
    let count = Rc::new(RefCell::new(0_u64));
    let local = LocalSet::new();
    let workers: Vec<_> = lines
        .into_iter()
        .map(|line| local.spawn_local(work(line, server.clone(), asked.clone(), ends_at, Rc::clone(&count))))
        .collect();
    let ended: Result<Vec<()>, PeakError> = local
        .run_until(async {
            let mut ended = Vec::new();
            for worker in workers {
                ended.push(worker.await.expect("a worker never panics and is never cancelled")?);
            }
            Ok(ended)
        })
        .await;
    ended?;
    let elapsed = started_at.elapsed();
    let after = (cpu::spent(server.process)?, cpu::spent(Process::Own)?);
    let answers = *count.borrow();
    if answers == 0 {
        return Err(PeakError::Nothing(span));
    }
    Ok(Sample::of(answers, elapsed, after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)))
}

impl Sample {
    /// From counts and times. `answers` is not zero.
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 answers")]
    pub fn of(answers: u64, elapsed: Duration, server: Duration, generator: Duration) -> Self {
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / answers as f64;
        Self {
            rps: answers as f64 / elapsed.as_secs_f64(),
            cpu_us: each(server),
            generator_cpu_us: each(generator),
            generator_share: generator.as_secs_f64() / elapsed.as_secs_f64(),
        }
    }
}

async fn work(
    mut line: Line,
    server: Server,
    asked: Asked,
    ends_at: Instant,
    count: Rc<RefCell<u64>>,
) -> Result<(), PeakError> {
    while now() < ends_at {
        let answer = line.call(call(&server, &asked)).await?;
        check(&asked.right, &asked, &answer)?;
        *count.borrow_mut() += 1;
    }
    Ok(())
}

fn call(server: &Server, asked: &Asked) -> Call {
    Call {
        uri: asked.uri.clone(),
        host: server.host.clone(),
        authorization: Some(asked.authorization.clone()),
        body: asked.body.clone(),
    }
}

fn check(right: &Right, asked: &Asked, answer: &Answer) -> Result<(), PeakError> {
    match right {
        Right::Same if answer.status == 200 && answer.body == asked.body => Ok(()),
        Right::Same => Err(PeakError::NoEcho { status: answer.status }),
        Right::Blob => judge::wrapped_blob(answer).map(drop).map_err(PeakError::from),
        Right::Plaintext(plaintext) => judge::opened_as(plaintext, answer).map_err(PeakError::from),
    }
}

/// The body of a call as Cloud KMS sends it, with a resource name and a reason. `payload` is the plaintext or the blob.
pub fn body(kind: Kind, payload: &[u8], associated_data: &[u8]) -> Bytes {
    let field = match kind {
        Kind::Wrap => "plaintext",
        Kind::Unwrap => "wrappedBlob",
    };
    let value = serde_json::json!({
        field: BASE64_STANDARD.encode(payload),
        "additionalAuthenticatedData": BASE64_STANDARD.encode(associated_data),
        "additionalContext": {
            "relativeResourceName":
                "projects/demo/locations/europe-west1/keyRings/ring/cryptoKeys/key/cryptoKeyVersions/1",
            "accessReasonContext": {"reason": "CUSTOMER_INITIATED_ACCESS"},
        },
    });
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec(), latency: Duration::ZERO }
    }

    fn asked(right: Right) -> Asked {
        Asked {
            uri: Uri::from_static("/k:wrap"),
            authorization: HeaderValue::from_static("Bearer x"),
            body: Bytes::from_static(b"{}"),
            right,
        }
    }

    #[test]
    fn an_answer_that_is_not_the_right_one_stops_the_measurement() {
        let same = asked(Right::Same);
        assert!(check(&same.right, &same, &answer(200, "{}")).is_ok());
        assert!(matches!(check(&same.right, &same, &answer(200, "{ }")), Err(PeakError::NoEcho { status: 200 })));
        assert!(matches!(check(&same.right, &same, &answer(500, "{}")), Err(PeakError::NoEcho { status: 500 })));
        let blob = asked(Right::Blob);
        assert!(check(&blob.right, &blob, &answer(200, r#"{"wrappedBlob":"AAAA"}"#)).is_ok());
        assert!(matches!(check(&blob.right, &blob, &answer(503, "{}")), Err(PeakError::Wrong(_))));
        let plain = asked(Right::Plaintext(Bytes::from_static(&[0, 0, 0])));
        assert!(check(&plain.right, &plain, &answer(200, r#"{"plaintext":"AAAA"}"#)).is_ok());
        assert!(matches!(
            check(&plain.right, &plain, &answer(200, r#"{"plaintext":"AAAB"}"#)),
            Err(PeakError::Wrong(_))
        ));
    }

    #[test]
    fn figures_are_per_call_and_per_second() {
        let seconds = Duration::from_secs;
        let sample = Sample::of(100_000, seconds(2), seconds(3), seconds(1));
        assert_eq!(sample, Sample { rps: 50_000.0, cpu_us: 30.0, generator_cpu_us: 10.0, generator_share: 0.5 });
    }

    #[test]
    fn a_payload_stands_in_the_field_of_its_verb() {
        let wrap = body(Kind::Wrap, &[0; 64], b"aad");
        assert!(wrap.starts_with(b"{") && String::from_utf8_lossy(&wrap).contains("\"plaintext\":\"AAAA"));
        assert!(String::from_utf8_lossy(&body(Kind::Unwrap, &[1], b"")).contains("\"wrappedBlob\":\"AQ==\""));
    }
}
