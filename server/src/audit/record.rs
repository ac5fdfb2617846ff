//! One record as one line of JSON. Has no field for key material, plaintexts, blobs or tokens, and bounds what callers wrote.

use std::fmt;
use std::time::Duration;

use replication::clock::Timestamp;
use replication::ids::TenantId;
use replication::machine::policy::Principal;
use serde::{Serialize, Serializer};

use crate::error::{Code, Fault, ServiceError};
use crate::operations::Trail;
use crate::policy::Decider;
use crate::wire::AccessReason;

/// Longest text of a caller's in a record, in bytes before escaping.
const TEXT_BYTES_MAX: usize = 512;

/// The order of the fields is the order in the file.
#[derive(Serialize)]
struct Record<'a> {
    time: Shown<Rfc3339>,
    machine: &'a str,
    request: &'a str,
    operation: &'a str,
    path: &'a str,
    tenant: Option<&'a str>,
    key: Option<&'a str>,
    version: Option<u32>,
    caller: Option<Shown<&'a Principal>>,
    resource: Option<&'a str>,
    justification: Option<&'a str>,
    health_check: bool,
    probe: bool,
    decision: &'static str,
    /// The rule's name, or `deny:` and the id of a deny entry.
    rule: Option<Shown<&'a Decider>>,
    /// The level whose quota refused.
    quota: Option<&'static str>,
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
        time: Shown(Rfc3339(wall)),
        machine,
        request: trail.arrival.request.as_str(),
        operation: trail.operation,
        path: bounded(trail.path),
        tenant: trail.tenant.as_ref().map(TenantId::as_str),
        key: trail.version.as_ref().map(|(key, _)| key.as_str()),
        version: trail.version.as_ref().map(|(_, number)| *number),
        caller: trail.caller.as_ref().map(Shown),
        resource: trail.resource.as_deref().map(bounded),
        justification: trail.reason.as_ref().and_then(AccessReason::as_str),
        health_check: trail.is_health_check,
        probe: trail.caller == Some(Principal::Probe),
        decision: decision(error),
        rule: trail.decider.as_ref().map(Shown),
        quota: error.and_then(over_quota),
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

fn over_quota(error: &ServiceError) -> Option<&'static str> {
    if let ServiceError::QuotaUsedUp(used) = error { Some(used.level.as_str()) } else { None }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// A value that stands in a record as its text.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// `2026-01-31T23:59:59.999Z`.
struct Rfc3339(Timestamp);

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
    use replication::clock::Moment;

    use super::*;
    use crate::edge::admitted::Arrival;
    use crate::error::Doubt;
    use crate::wire::RequestId;

    fn arrival() -> Arrival {
        Arrival { request: RequestId::new([0x77; 16]), at: Moment::default() }
    }

    #[test]
    fn a_full_record_reads_as_pinned() {
        let mut trail = Trail::new(arrival(), "wrap", "v0/keys/k");
        trail.caller = Some("service-1@x.example".parse().expect("an e-mail"));
        trail.resource = Some("projects/p".into());
        trail.reason = Some(AccessReason::from_number(5));
        trail.is_health_check = true;
        trail.tenant = Some("acme".parse().expect("a tenant"));
        trail.version = Some(("k1".parse().expect("a key name"), 3));
        trail.decider = Some(Decider::Rule("r1".parse().expect("a rule name")));
        let line = line(&trail, None, "m1", Timestamp(1_798_761_599_042), Duration::from_micros(321));
        assert_eq!(
            String::from_utf8_lossy(&line),
            concat!(
                r#"{"time":"2026-12-31T23:59:59.042Z","machine":"m1","request":"77777777777777777777777777777777","#,
                r#""operation":"wrap","path":"v0/keys/k","tenant":"acme","key":"k1","version":3,"#,
                r#""caller":"service-1@x.example","resource":"projects/p","justification":"CUSTOMER_INITIATED_ACCESS","#,
                r#""health_check":true,"probe":false,"decision":"allowed","rule":"r1","quota":null,"code":"OK","#,
                r#""status":200,"message":null,"latency_us":321}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_a_caller_wrote_is_bounded_and_stays_on_its_line() {
        let path = "p\n\"}".repeat(10_000);
        let mut trail = Trail::new(arrival(), "other", &path);
        trail.resource = Some("\u{2028}\u{0}\n".repeat(10_000).into());
        trail.caller = Some(Principal::Probe);
        let error = ServiceError::Doubtful(Doubt::Path);
        let line = line(&trail, Some(&error), "m1", Timestamp(u64::MAX), Duration::MAX);
        assert!(line.len() < 8 * TEXT_BYTES_MAX, "{}", line.len());
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        let read: serde_json::Value = serde_json::from_slice(&line).expect("a line is JSON");
        assert_eq!((&read["probe"], &read["decision"]), (&true.into(), &"unavailable".into()));
        assert_eq!(read["status"], 503);
    }
}
