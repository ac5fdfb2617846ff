//! A stand-in for Cloud KMS: crypto keys whose versions live in an external key manager, and what Cloud KMS makes of that
//! manager's answers. Pure: it plans calls and judges what came back; sending them is for the caller. It must never be kinder
//! than Google: a 403 disables a version for good, and nothing but the customer's own hand at Google enables it again.

mod call;
mod crypto_key;
mod verdict;

pub use call::{Call, Ciphertext, KeyUse, Payload, Request, Verb};
pub use crypto_key::{CryptoKey, Reply, Turn};
pub use verdict::{Code, KmsError, Origin, Received, Retry, judge};
#[cfg(test)]
pub use verdict::{Judge, Verdict};
