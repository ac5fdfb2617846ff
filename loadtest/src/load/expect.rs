//! What a call of the load must bring, and the judgement of what it brought. Pure; no answer is excused, and one that says "try
//! again" must say it properly.

use std::rc::Rc;

use super::blobs::{Known, Plain};
use super::tally::{Code, Worth};
use crate::client::Answer;
use crate::line::LineError;
use crate::verify::judge::{self, Fault, Refusal};

/// What a right answer is.
pub enum Expected {
    /// A blob of this plaintext.
    Blob(Plain),
    /// The plaintext of this blob.
    Plaintext(Rc<Known>),
    /// A refusal.
    Refusal(Refusal),
}

/// What came of a call.
pub struct Judged {
    pub code: Code,
    pub worth: Worth,
    /// A blob for the pool, of a right wrap.
    pub known: Option<Known>,
    /// What was wrong.
    pub fault: Option<Fault>,
}

/// Judges one call.
pub fn judge(expected: &Expected, outcome: &Result<Answer, LineError>) -> Judged {
    let Ok(answer) = outcome else {
        return Judged { code: Code::NoAnswer, worth: Worth::Error, known: None, fault: None };
    };
    let code = Code::Status(answer.status);
    let judged = |worth, known, fault| Judged { code, worth, known, fault };
    if judge::is_retriable(answer) {
        return match judge::told_to_try_again(answer) {
            Ok(()) => judged(Worth::Error, None, None),
            Err(fault) => judged(Worth::Wrong, None, Some(fault)),
        };
    }
    let right = match expected {
        Expected::Blob(plain) => judge::wrapped_blob(answer).map(|blob| Some(Known { blob, plain: *plain })),
        Expected::Plaintext(known) => judge::opened_as(&known.plain.plaintext(), answer).map(|()| None),
        Expected::Refusal(refusal) => judge::refused(answer, *refusal).map(|()| None),
    };
    match right {
        Ok(known) => judged(Worth::Right, known, None),
        Err(fault) => judged(Worth::Wrong, None, Some(fault)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::super::weighted::Size;
    use super::*;

    const PLAIN: Plain = Plain { seed: 3, size: Size(64), associated_size: Size(0) };

    fn judged(expected: &Expected, status: u16, body: &str) -> (Worth, Option<String>) {
        let answer = Answer { status, body: body.as_bytes().to_vec(), latency: Duration::ZERO };
        let Judged { worth, fault, code, .. } = judge(expected, &Ok(answer));
        assert_eq!(code, Code::Status(status));
        (worth, fault.map(|fault| fault.to_string()))
    }

    #[test]
    fn recorded_answers_are_judged_by_what_was_expected() {
        let blob = Expected::Blob(PLAIN);
        let opens = Expected::Plaintext(Rc::new(Known { blob: vec![1], plain: PLAIN }));
        let refused = Expected::Refusal(Refusal::DoesNotOpen);
        let plaintext = format!(r#"{{"plaintext":"{}"}}"#, BASE64_STANDARD.encode(PLAIN.plaintext()));
        let refusal = r#"{"code":3,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"r"}]}"#;
        let busy = r#"{"code":14,"message":"m"}"#;
        let quota = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#;
        let rows: [(&Expected, u16, &str, Worth); 13] = [
            (&blob, 200, r#"{"wrappedBlob":"AAAA"}"#, Worth::Right),
            (&blob, 200, "{}", Worth::Wrong),
            (&blob, 403, r#"{"code":7,"message":"m"}"#, Worth::Wrong),
            (&blob, 500, r#"{"code":13,"message":"m"}"#, Worth::Wrong),
            (&blob, 503, busy, Worth::Error),
            (&blob, 503, "no JSON", Worth::Wrong),
            (&blob, 429, quota, Worth::Error),
            (&blob, 504, busy, Worth::Wrong),
            (&opens, 200, &plaintext, Worth::Right),
            (&opens, 200, r#"{"plaintext":"AAAA"}"#, Worth::Wrong),
            (&refused, 400, refusal, Worth::Right),
            (&refused, 200, &plaintext, Worth::Wrong),
            (&refused, 403, refusal, Worth::Wrong),
        ];
        for (expected, status, body, worth) in rows {
            let (got, fault) = judged(expected, status, body);
            assert_eq!(got, worth, "{status} {body}");
            assert_eq!(fault.is_some(), worth == Worth::Wrong, "{status} {body}");
        }
    }

    #[test]
    fn a_right_wrap_gives_a_blob_for_the_pool_and_no_answer_is_an_error() {
        let answer = Answer { status: 200, body: br#"{"wrappedBlob":"AAAA"}"#.to_vec(), latency: Duration::ZERO };
        let known = judge(&Expected::Blob(PLAIN), &Ok(answer)).known.expect("the wrap was right");
        assert_eq!(known, Known { blob: vec![0, 0, 0], plain: PLAIN });
        let silent = judge(&Expected::Blob(PLAIN), &Err(LineError::TimedOut(Duration::ZERO)));
        assert_eq!((silent.code, silent.worth), (Code::NoAnswer, Worth::Error));
    }
}
