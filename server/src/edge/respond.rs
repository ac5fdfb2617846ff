//! From a recorded response to HTTP: the one mapping for Google's dialect. Decides nothing.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response as HttpResponse, StatusCode};
use replication::ids::key_path;

use crate::audit::Response;
use crate::error::{Code, NotOffered, PublicDetail, Retry, ServiceError};
use crate::metrics::{CodeLabel, MalformedReason, QuotaLevel};
use crate::quota::{Level, UsedUp};
use crate::wire::{Detail, ErrorShape, RequestId, Status, WireError};

/// The header that carries the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lays out a response.
pub fn respond(response: Response, shape: ErrorShape) -> HttpResponse<Body> {
    let request = *response.request();
    match response.into_result() {
        Ok(wrapped) => build(Code::Ok, wrapped.into_body(), &request),
        Err(error) => refuse(&error, &request, shape),
    }
}

fn refuse(error: &ServiceError, request: &RequestId, shape: ErrorShape) -> HttpResponse<Body> {
    let mut response = build(error.code(), error_body(error, request, shape), request);
    match error {
        ServiceError::NotOffered(NotOffered::WrongMethod { allow }) => {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        // RFC 9110 section 11.6.1: a 401 says how to authenticate
        ServiceError::Unauthenticated(_) => {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    // RFC 9110 section 10.2.3: what RetryInfo says, for whatever stands between the caller and us
    if let Retry::After(wait) = error.retry() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

/// The body of an error.
pub fn error_body(error: &ServiceError, request: &RequestId, shape: ErrorShape) -> Vec<u8> {
    let (code, public) = (error.code(), error.public());
    let mut details = vec![Detail::Request { id: request.as_str() }];
    if let Retry::After(wait) = error.retry() {
        details.push(Detail::Retry { seconds: wait.as_secs() });
    }
    let told = public.detail.as_ref().map(Told::new);
    let metadata = told.as_ref().map(Told::metadata);
    if let (Some(told), Some(metadata)) = (&told, &metadata) {
        if let Told { violated: Some((subject, description)), .. } = told {
            details.push(Detail::Quota { subject, description });
        }
        details.push(Detail::Error { reason: told.reason, metadata });
    }
    let status = Status {
        http: code.http(),
        code: code.rpc(),
        name: code.as_str(),
        message: &public.message,
        details: &details,
    };
    status.to_json(shape)
}

/// A detail in words of its own, for as long as the body is written.
struct Told {
    /// Ours, and none of Google's: their domains end in `googleapis.com`, and ours is `ekm`.
    reason: &'static str,
    metadata: Vec<(&'static str, String)>,
    /// Of a quota: what is over it, and what it is.
    violated: Option<(String, String)>,
}

impl Told {
    fn new(detail: &PublicDetail) -> Self {
        match detail {
            PublicDetail::Reason(refused) => Self {
                reason: "ACCESS_REASON_NOT_ALLOWED",
                metadata: vec![("justification", refused.justification.clone()), ("rule", refused.rule.clone())],
                violated: None,
            },
            PublicDetail::Quota(UsedUp { path, level, quota }) => Self {
                reason: "QUOTA_USED_UP",
                metadata: vec![
                    ("level", level.as_str().to_owned()),
                    ("per_second", quota.per_second.to_string()),
                    ("burst", quota.burst.to_string()),
                ],
                violated: Some((
                    key_path(*path),
                    format!("{}: {} per second, {} at once", level.as_str(), quota.per_second, quota.burst),
                )),
            },
        }
    }

    fn metadata(&self) -> Vec<(&'static str, &str)> {
        self.metadata.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

fn build(code: Code, body: Vec<u8>, request: &RequestId) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code.http()).expect("the table holds HTTP statuses");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REQUEST_ID, HeaderValue::from_str(request.as_str()).expect("hexadecimal digits make a header"));
    response
}

/// The metric label of a result.
pub fn code_label(result: Result<(), &ServiceError>) -> CodeLabel {
    let code = result.err().map_or(Code::Ok, ServiceError::code);
    CodeLabel::from_number(code.rpc()).expect("the table holds google.rpc codes")
}

/// The level whose quota refused, if one did.
pub fn quota_level(error: &ServiceError) -> Option<QuotaLevel> {
    let ServiceError::QuotaUsedUp(used) = error else { return None };
    Some(match used.level {
        Level::Key => QuotaLevel::Key,
        Level::CryptoSpace => QuotaLevel::CryptoSpace,
        Level::Tenant => QuotaLevel::Tenant,
    })
}

/// As what a malformed request is counted, if it is one.
pub fn malformed(error: &ServiceError) -> Option<MalformedReason> {
    Some(match error {
        ServiceError::MalformedPath(_) => MalformedReason::Path,
        ServiceError::MalformedBody(WireError::Empty) => MalformedReason::EmptyBody,
        ServiceError::MalformedBody(WireError::Base64 { .. }) => MalformedReason::Base64,
        ServiceError::MalformedBody(WireError::Json { .. } | WireError::Type { .. } | WireError::Twice { .. }) => {
            MalformedReason::Json
        }
        ServiceError::BodyTooLarge(_) => MalformedReason::BodyTooLarge,
        ServiceError::BodyTooSlow(_) => MalformedReason::BodyTimeout,
        ServiceError::BodyBroken => MalformedReason::Incomplete,
        ServiceError::NotOffered(NotOffered::WrongMethod { .. }) => MalformedReason::Method,
        ServiceError::NotOffered(NotOffered::UnknownVerb) => MalformedReason::Verb,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replication::freshness::Age;
    use replication::ids::KeyVersionId;
    use replication::machine::rows::Quota;

    use super::*;
    use crate::error::DeniedKey;
    use crate::policy::{Denial, Why};
    use crate::wire::AccessReason;

    fn denied_by_reason() -> ServiceError {
        let rule = "r1".parse().expect("a rule name");
        let denial = Denial::danger_made_up(Why::Reason { rule, reason: AccessReason::from_number(3) });
        let (version, caller) = (KeyVersionId::from_bytes([0xab; 16]), "a@x.example".to_owned());
        ServiceError::denied(DeniedKey { version, caller, denial }, Age::new(Duration::ZERO))
    }

    fn over_quota() -> ServiceError {
        let number = |number: u32| number.try_into().expect("not zero");
        let quota = Quota { per_second: number(100), burst: number(200) };
        ServiceError::QuotaUsedUp(UsedUp {
            path: KeyVersionId::from_bytes([0xab; 16]),
            level: Level::CryptoSpace,
            quota,
        })
    }

    #[test]
    fn both_shapes_stand_as_pinned() {
        let id = RequestId::new([0x77; 16]);
        let request =
            r#"{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"77777777777777777777777777777777"}"#;
        let rows = [
            (
                ServiceError::NotLoaded,
                r#""message":"The external key manager has not loaded its keys yet. Try again.""#,
                r#",{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}"#,
            ),
            (ServiceError::BodyBroken, r#""message":"The body of the request did not arrive whole.""#, ""),
            (
                denied_by_reason(),
                concat!(
                    r#""message":"Rule 'r1' does not allow a@x.example to use key version "#,
                    r#"'v0/keys/abababababababababababababababab' for the access reason 'THIRD_PARTY_DATA_REQUEST'.""#
                ),
                concat!(
                    r#",{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_REASON_NOT_ALLOWED","domain":"ekm","#,
                    r#""metadata":{"justification":"THIRD_PARTY_DATA_REQUEST","rule":"r1"}}"#
                ),
            ),
            (
                over_quota(),
                concat!(
                    r#""message":"Key version 'v0/keys/abababababababababababababababab' is over a quota of the external key manager, "#,
                    r#"not of Google: the requests of its crypto space are limited to 100 per second, and 200 at once, "#,
                    r#"on each machine. Try again in 1 s, or have the quota raised (ekmctl quota set).""#
                ),
                concat!(
                    r#",{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}"#,
                    r#",{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"#,
                    r#""subject":"v0/keys/abababababababababababababababab","#,
                    r#""description":"crypto_space: 100 per second, 200 at once"}]}"#,
                    r#",{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"QUOTA_USED_UP","domain":"ekm","#,
                    r#""metadata":{"level":"crypto_space","per_second":"100","burst":"200"}}"#
                ),
            ),
        ];
        for (error, message, more) in rows {
            let (http, rpc, name) = (error.code().http(), error.code().rpc(), error.code().as_str());
            let body = |shape| String::from_utf8(error_body(&error, &id, shape)).expect("JSON is UTF-8");
            assert_eq!(body(ErrorShape::Status), format!(r#"{{"code":{rpc},{message},"details":[{request}{more}]}}"#));
            assert_eq!(
                body(ErrorShape::Envelope),
                format!(r#"{{"error":{{"code":{http},{message},"status":"{name}","details":[{request}{more}]}}}}"#)
            );
        }
    }
}
