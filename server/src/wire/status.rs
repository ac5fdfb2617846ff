//! The body of an error: `google.rpc.Status` in JSON, bare or in the `error` envelope.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// How an error body is laid out. A setting, since Google does not document which one it reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// `{"code": 5, "message": …, "details": […]}`.
    #[default]
    Status,
    /// `{"error": {"code": 404, "message": …, "status": "NOT_FOUND", "details": […]}}`.
    Envelope,
}

/// One entry of `details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail<'a> {
    /// `google.rpc.RequestInfo`: the id under which the audit knows the request.
    Request {
        /// 32 hexadecimal digits.
        id: &'a str,
    },
    /// `google.rpc.RetryInfo`.
    Retry {
        /// Whole seconds.
        seconds: u64,
    },
    /// `google.rpc.QuotaFailure` with one violation.
    Quota {
        /// Whose or what for.
        subject: &'a str,
        /// For people.
        description: &'a str,
    },
    /// `google.rpc.ErrorInfo`.
    Error {
        /// In capitals, as Google spells such reasons.
        reason: &'static str,
        /// Names and values.
        metadata: &'a [(&'static str, &'a str)],
    },
}

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Request { id } => {
                map.serialize_entry("@type", "type.googleapis.com/google.rpc.RequestInfo")?;
                map.serialize_entry("requestId", id)?;
            }
            Self::Retry { seconds } => {
                map.serialize_entry("@type", "type.googleapis.com/google.rpc.RetryInfo")?;
                map.serialize_entry("retryDelay", &format_args!("{seconds}s"))?;
            }
            Self::Quota { subject, description } => {
                map.serialize_entry("@type", "type.googleapis.com/google.rpc.QuotaFailure")?;
                map.serialize_entry("violations", &[Violation { subject, description }])?;
            }
            Self::Error { reason, metadata } => {
                map.serialize_entry("@type", "type.googleapis.com/google.rpc.ErrorInfo")?;
                map.serialize_entry("reason", reason)?;
                map.serialize_entry("domain", "ekm")?;
                map.serialize_entry("metadata", &Metadata(metadata))?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Violation<'a> {
    subject: &'a str,
    description: &'a str,
}

struct Metadata<'a>(&'a [(&'static str, &'a str)]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// An error, ready to be laid out.
#[derive(Debug)]
pub struct Status<'a> {
    /// The HTTP status.
    pub http: u16,
    /// The number of the `google.rpc.Code`.
    pub code: u8,
    /// Its name.
    pub name: &'static str,
    /// For the reader of the customer's logs.
    pub message: &'a str,
    /// In order.
    pub details: &'a [Detail<'a>],
}

impl Status<'_> {
    /// The body in the given shape.
    pub fn to_json(&self, shape: ErrorShape) -> Vec<u8> {
        #[derive(Serialize)]
        struct Bare<'a> {
            code: u8,
            message: &'a str,
            details: &'a [Detail<'a>],
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: u16,
            message: &'a str,
            status: &'static str,
            details: &'a [Detail<'a>],
        }
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Inner<'a>,
        }
        let (message, details) = (self.message, self.details);
        match shape {
            ErrorShape::Status => serde_json::to_vec(&Bare { code: self.code, message, details }),
            ErrorShape::Envelope => {
                serde_json::to_vec(&Envelope { error: Inner { code: self.http, message, status: self.name, details } })
            }
        }
        .expect("a status is made of texts and numbers, which always have a JSON form")
    }
}
