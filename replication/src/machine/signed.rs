//! A request as it was received, with who signed it. The bytes are never re-encoded: the signature is over what was sent.

use serde::{Deserialize, Serialize};

use crate::ids::SignerId;

/// A request as it was received, with the signer's signature over its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRequest {
    /// The request, JSON, as received.
    pub bytes: Vec<u8>,
    /// Who signed.
    pub signer: SignerId,
    /// Ed25519 over [`super::signing::request_message`] of the bytes.
    pub signature: Vec<u8>,
}
