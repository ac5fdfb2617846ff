//! From a recorded response to HTTP: the one mapping for Google's dialect. Decides nothing.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response as HttpResponse, StatusCode};

use crate::audit::Response;
use crate::error::{Code, NotOffered, Retry, ServiceError};
use crate::metrics::{CodeLabel, MalformedReason};
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
    response
}

/// The body of an error.
pub fn error_body(error: &ServiceError, request: &RequestId, shape: ErrorShape) -> Vec<u8> {
    let (code, public) = (error.code(), error.public());
    let mut details = vec![Detail::Request { id: request.as_str() }];
    if let Retry::After(wait) = error.retry() {
        details.push(Detail::Retry { seconds: wait.as_secs() });
    }
    let metadata = public
        .reason
        .as_ref()
        .map(|refused| [("justification", refused.justification.as_str()), ("rule", refused.rule.as_str())]);
    if let Some(metadata) = &metadata {
        details.push(Detail::Error { reason: "ACCESS_REASON_NOT_ALLOWED", metadata });
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
