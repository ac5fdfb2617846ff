//! The bodies as they stand on the wire, written down a second time on purpose: an outsider that shared the server's types
//! would not notice a renamed field. Never grows logic, never imports the server.

use serde::{Deserialize, Serialize};

/// Body of `:wrap`. Both values are standard base64.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WrapRequest {
    pub plaintext: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub additional_authenticated_data: String,
}

/// Body of `:unwrap`. Both values are standard base64.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnwrapRequest {
    pub wrapped_blob: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub additional_authenticated_data: String,
}

/// Answer to `:wrap`; an absent field is an empty one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WrapResponse {
    #[serde(default)]
    pub wrapped_blob: String,
}

/// Answer to `:unwrap`; an absent field is an empty one, so an empty plaintext may arrive as `{}`.
#[derive(Debug, Deserialize)]
pub struct UnwrapResponse {
    #[serde(default)]
    pub plaintext: String,
}

/// An error body in either of the two shapes that a setting of the server chooses between.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum ErrorBody {
    /// `{"error": {"code": 400, "status": "INVALID_ARGUMENT", …}}`: the code is the HTTP status.
    Envelope { error: EnvelopedStatus },
    /// `{"code": 3, "message": "…", "details": […]}`: the code is the `google.rpc.Code`.
    Status {
        code: u16,
        #[serde(default)]
        details: Vec<Detail>,
    },
}

/// What stands inside the envelope.
#[derive(Debug, Deserialize)]
pub struct EnvelopedStatus {
    pub status: String,
    #[serde(default)]
    pub details: Vec<Detail>,
}

/// One entry of `details`: only a `google.rpc.RequestInfo` has a `requestId`.
#[derive(Debug, Deserialize)]
pub struct Detail {
    #[serde(rename = "@type")]
    pub kind: String,
    #[serde(default, rename = "requestId")]
    pub request_id: String,
}
