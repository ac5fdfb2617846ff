//! Reads an error body in either of the two shapes there are, and knows which code goes with which HTTP status.

use serde_json::Value;

/// How an error body is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{"code": 5, "message": …}`.
    Status,
    /// `{"error": {"code": 404, "status": "NOT_FOUND", "message": …}}`.
    Envelope,
    /// Neither.
    Foreign,
}

impl Shape {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "a google.rpc.Status",
            Self::Envelope => "an `error` envelope",
            Self::Foreign => "neither a google.rpc.Status nor an `error` envelope",
        }
    }
}

/// An error body as far as it can be read.
pub struct ErrorBody {
    pub shape: Shape,
    /// Of `google.rpc.Code`.
    pub code: Option<u16>,
    /// The HTTP status that an envelope repeats.
    pub http: Option<u64>,
    pub message: String,
    pub details: Vec<Value>,
}

/// The names of `google.rpc.Code`, by number, and the HTTP statuses that go with each.
const CODES: [(&str, &[u16]); 17] = [
    ("OK", &[200]),
    ("CANCELLED", &[499]),
    ("UNKNOWN", &[500]),
    ("INVALID_ARGUMENT", &[400, 413, 414, 431]),
    ("DEADLINE_EXCEEDED", &[504, 408]),
    ("NOT_FOUND", &[404]),
    ("ALREADY_EXISTS", &[409]),
    ("PERMISSION_DENIED", &[403]),
    ("RESOURCE_EXHAUSTED", &[429, 413]),
    ("FAILED_PRECONDITION", &[400, 412]),
    ("ABORTED", &[409]),
    ("OUT_OF_RANGE", &[400]),
    ("UNIMPLEMENTED", &[501, 405]),
    ("INTERNAL", &[500]),
    ("UNAVAILABLE", &[503]),
    ("DATA_LOSS", &[500]),
    ("UNAUTHENTICATED", &[401]),
];

/// Reads an error body in either shape.
pub fn error_body(bytes: &[u8]) -> ErrorBody {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let (shape, inner) = match &value["error"] {
        Value::Object(_) => (Shape::Envelope, &value["error"]),
        _ => (Shape::Status, &value),
    };
    let number = inner["code"].as_u64();
    let named = inner["status"].as_str().and_then(|name| CODES.iter().position(|(known, _)| *known == name));
    let (code, http) = match shape {
        Shape::Envelope => (named.and_then(|code| u16::try_from(code).ok()), number),
        Shape::Status | Shape::Foreign => (number.and_then(|code| u16::try_from(code).ok()), None),
    };
    let message = inner["message"].as_str().unwrap_or_default().to_owned();
    let is_ours = code.is_some() && inner["message"].is_string();
    let details = inner["details"].as_array().cloned().unwrap_or_default();
    ErrorBody { shape: if is_ours { shape } else { Shape::Foreign }, code, http, message, details }
}

/// What a `google.rpc.Code` is called.
pub fn code_name(code: u16) -> String {
    CODES.get(usize::from(code)).map_or_else(|| format!("code {code}"), |(name, _)| (*name).to_owned())
}

/// Whether a `google.rpc.Code` goes with an HTTP status.
pub fn fits(code: u16, status: u16) -> bool {
    CODES.get(usize::from(code)).is_some_and(|(_, statuses)| statuses.contains(&status))
}
