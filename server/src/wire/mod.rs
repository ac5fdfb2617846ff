//! Google's bodies: protobuf JSON in, protobuf JSON out. No decision is taken here, and no text of the caller's ever
//! stands in an error.

mod base64_bytes;
mod call;
mod reason;
mod request_id;
mod status;

pub use base64_bytes::{Base64Fault, decode_base64};
pub use call::{CryptoCall, Field, PayloadField, WireError, unwrap_answer, wrap_answer};
pub use reason::{AccessReason, REASON_TEXT_MAX, ReasonCode, UnknownReason};
pub use request_id::RequestId;
pub use status::{Detail, ErrorShape, Status};

/// The body of an answer to getInfo.
pub const GET_INFO_ANSWER: &str = "{}";
