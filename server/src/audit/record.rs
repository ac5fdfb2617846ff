//! One record as one line of JSON.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use replication::clock::{Moment, Timestamp};
use replication::ids::{KeyName, RuleName, TenantId};
use replication::machine::policy::Principal;
use serde::{Serialize, Serializer};

use crate::crypto::{Draw, Entropy};
use crate::error::{Code, Fault, ServiceError};
use crate::wire::AccessReason;

/// Longest text of a caller's in a record, in bytes before escaping.
const TEXT_BYTES_MAX: usize = 512;

/// Names one request: 16 random bytes, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

impl RequestId {
    /// A new one. Without randomness it is all zeros; the request itself then fails where it needs a nonce.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 16];
        if entropy.fill(Draw::Id, &mut bytes).is_err() {
            bytes = [0; 16];
        }
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What has become known of a request on its way. Filled in as the journey goes, so that a refusal tells as much as it can.
#[derive(Debug)]
pub struct Trail<'a> {
    /// Its id.
    pub request: RequestId,
    /// When it was admitted.
    pub started: Moment,
    /// What was called: an operation's name, or `none`.
    pub operation: &'static str,
    /// The path called, bounded by its reader.
    pub path: Cow<'a, str>,
    /// Who was proven to ask.
    pub caller: Option<Principal>,
    /// The resource stated.
    pub resource: Option<Cow<'a, str>>,
    /// The reason stated; `None` as long as the body is unread.
    pub reason: Option<AccessReason>,
    /// Google's own check of the key.
    pub is_health_check: bool,
    /// The owner of the version reached.
    pub tenant: Option<TenantId>,
    /// The key of the version reached, and the version's number.
    pub version: Option<(KeyName, u32)>,
    /// The rule that decided.
    pub rule: Option<RuleName>,
}

impl<'a> Trail<'a> {
    /// A request of which nothing more is known yet.
    pub fn new(request: RequestId, started: Moment, operation: &'static str, path: impl Into<Cow<'a, str>>) -> Self {
        Self {
            request,
            started,
            operation,
            path: path.into(),
            caller: None,
            resource: None,
            reason: None,
            is_health_check: false,
            tenant: None,
            version: None,
            rule: None,
        }
    }
}

/// The order of the fields is the order in the file.
#[derive(Serialize)]
struct Record<'a> {
    time: Rfc3339,
    machine: &'a str,
    request: &'a str,
    operation: &'a str,
    path: &'a str,
    tenant: Option<&'a str>,
    key: Option<&'a str>,
    version: Option<u32>,
    #[serde(serialize_with = "as_text")]
    caller: Option<&'a Principal>,
    resource: Option<&'a str>,
    justification: Option<&'a str>,
    health_check: bool,
    probe: bool,
    decision: &'static str,
    rule: Option<&'a str>,
    code: &'static str,
    status: u16,
    message: Option<&'a str>,
    latency_us: u64,
}

/// The record, ending in a line feed.
pub(super) fn line(
    trail: &Trail<'_>,
    error: Option<&ServiceError>,
    machine: &str,
    wall: Timestamp,
    latency: Duration,
) -> Vec<u8> {
    let code = error.map_or(Code::Ok, ServiceError::code);
    let message = error.map(|error| error.public().message);
    let record = Record {
        time: Rfc3339(wall),
        machine,
        request: trail.request.as_str(),
        operation: trail.operation,
        path: bounded(&trail.path),
        tenant: trail.tenant.as_ref().map(TenantId::as_str),
        key: trail.version.as_ref().map(|(key, _)| key.as_str()),
        version: trail.version.as_ref().map(|(_, number)| *number),
        caller: trail.caller.as_ref(),
        resource: trail.resource.as_deref().map(bounded),
        justification: trail.reason.as_ref().and_then(AccessReason::as_str),
        health_check: trail.is_health_check,
        probe: trail.caller == Some(Principal::Probe),
        decision: decision(error),
        rule: trail.rule.as_ref().map(RuleName::as_str),
        code: code.as_str(),
        status: code.http(),
        message: message.as_deref().map(bounded),
        latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
    };
    let mut line = Vec::with_capacity(640);
    serde_json::to_writer(&mut line, &record).expect("a record is made of texts and numbers, which have a JSON form");
    line.push(b'\n');
    line
}

fn decision(error: Option<&ServiceError>) -> &'static str {
    match error.map(ServiceError::fault) {
        None => "allowed",
        Some(Fault::Caller) => "refused",
        Some(Fault::Us | Fault::Dependency) => "unavailable",
    }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn as_text<S: Serializer>(principal: &Option<&Principal>, serializer: S) -> Result<S::Ok, S::Error> {
    match principal {
        Some(principal) => serializer.collect_str(principal),
        None => serializer.serialize_none(),
    }
}

/// `2026-01-31T23:59:59.999Z`.
struct Rfc3339(Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.seconds()).unwrap_or(i64::MAX);
        let Ok(at) = time::OffsetDateTime::from_unix_timestamp(seconds) else {
            return f.write_str("9999-12-31T23:59:59.999Z");
        };
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            self.0.0 % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Doubt;

    fn request() -> RequestId {
        RequestId([b'7'; 32])
    }

    #[test]
    fn a_full_record_reads_as_pinned() {
        let mut trail = Trail::new(request(), Moment::default(), "wrap", "v0/keys/k");
        trail.caller = Some("service-1@x.example".parse().expect("an e-mail"));
        trail.resource = Some("projects/p".into());
        trail.reason = Some(AccessReason::from_number(5));
        trail.is_health_check = true;
        trail.tenant = Some("acme".parse().expect("a tenant"));
        trail.version = Some(("k1".parse().expect("a key name"), 3));
        trail.rule = Some("r1".parse().expect("a rule name"));
        let line = line(&trail, None, "m1", Timestamp(1_798_761_599_042), Duration::from_micros(321));
        assert_eq!(
            String::from_utf8_lossy(&line),
            concat!(
                r#"{"time":"2026-12-31T23:59:59.042Z","machine":"m1","request":"77777777777777777777777777777777","#,
                r#""operation":"wrap","path":"v0/keys/k","tenant":"acme","key":"k1","version":3,"#,
                r#""caller":"service-1@x.example","resource":"projects/p","justification":"CUSTOMER_INITIATED_ACCESS","#,
                r#""health_check":true,"probe":false,"decision":"allowed","rule":"r1","code":"OK","status":200,"#,
                r#""message":null,"latency_us":321}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_a_caller_wrote_is_bounded_and_stays_on_its_line() {
        let mut trail = Trail::new(request(), Moment::default(), "none", "p\n\"}".repeat(10_000));
        trail.resource = Some("\u{2028}\u{0}\n".repeat(10_000).into());
        trail.caller = Some(Principal::Probe);
        let error = ServiceError::Doubtful(Doubt::Path);
        let line = line(&trail, Some(&error), "m1", Timestamp(u64::MAX), Duration::MAX);
        assert!(line.len() < 8 * TEXT_BYTES_MAX, "{}", line.len());
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: serde_json::Value = serde_json::from_slice(&line).expect("a line is JSON");
        assert_eq!((&read["probe"], &read["decision"]), (&true.into(), &"unavailable".into()));
        assert_eq!(read["status"], 503);
    }

    #[test]
    fn an_id_is_32_digits() {
        struct Fixed;
        impl Entropy for Fixed {
            fn fill(&self, _: Draw, bytes: &mut [u8]) -> Result<(), crate::crypto::EntropyError> {
                bytes.fill(0x0f);
                Ok(())
            }
        }
        assert_eq!(RequestId::draw(&Fixed).as_str(), "0f".repeat(16));
    }
}
