//! What a CMEK consumer asks of Cloud KMS, and the call that Cloud KMS makes of it. Never decides whether a call is made.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Why a consumer uses its key. On the wire each differs in method, stated reason or health-check mark, as far as Google
/// sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// A new data key is wrapped when a revision is deployed.
    NewDataKeyAtDeploy,
    /// The first instance of a fresh revision starts.
    InstanceStart,
    /// A further instance starts with the data key that exists.
    ExistingDataKeyAtStart,
    /// The periodic check wraps dummy data.
    DummyEncrypt,
    /// The periodic check unwraps it again.
    DummyDecrypt,
}

impl KeyUse {
    /// The access reason that is stated, by its name in Google's list.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NewDataKeyAtDeploy | Self::InstanceStart => "CUSTOMER_INITIATED_ACCESS",
            Self::ExistingDataKeyAtStart | Self::DummyEncrypt | Self::DummyDecrypt => {
                "GOOGLE_INITIATED_SYSTEM_OPERATION"
            }
        }
    }

    const fn is_health_check(self) -> bool {
        matches!(self, Self::DummyEncrypt | Self::DummyDecrypt)
    }

    /// In words, for the story.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NewDataKeyAtDeploy => "new data key at deploy",
            Self::InstanceStart => "instance start",
            Self::ExistingDataKeyAtStart => "existing data key at start",
            Self::DummyEncrypt => "dummy encrypt",
            Self::DummyDecrypt => "dummy decrypt",
        }
    }
}

/// What Cloud KMS gave for a plaintext; it knows which version made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// Number of the crypto key version, from 1.
    pub version: usize,
    /// What the external key manager answered.
    pub blob: Vec<u8>,
}

/// `Encrypt` or `Decrypt`, as a consumer sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Why.
    pub context: KeyUse,
    /// What.
    pub payload: Payload,
    /// Bound to the ciphertext.
    pub associated_data: Vec<u8>,
}

/// What is to be encrypted or decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `Encrypt` of these bytes.
    Encrypt(Vec<u8>),
    /// `Decrypt` of this ciphertext.
    Decrypt(Ciphertext),
}

/// A method of the external key manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `:wrap`
    Wrap,
    /// `:unwrap`
    Unwrap,
}

impl Verb {
    /// As it stands in the URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
        }
    }
}

/// One call of the external key manager: `POST https://<host>/<path>:<verb>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The key path that the version is registered with.
    pub path: String,
    /// The method.
    pub verb: Verb,
    /// Protobuf JSON: defaults are left out.
    pub body: Value,
}

impl Call {
    /// The call for a request on the version of this resource name.
    pub(super) fn new(path: &str, resource: &str, request: &Request) -> Self {
        let (verb, field, bytes) = match &request.payload {
            Payload::Encrypt(plaintext) => (Verb::Wrap, "plaintext", plaintext),
            Payload::Decrypt(ciphertext) => (Verb::Unwrap, "wrappedBlob", &ciphertext.blob),
        };
        let mut body = Map::new();
        for (field, bytes) in [(field, bytes), ("additionalAuthenticatedData", &request.associated_data)] {
            if !bytes.is_empty() {
                body.insert(field.to_owned(), BASE64_STANDARD.encode(bytes).into());
            }
        }
        let mut context = json!({
            "relativeResourceName": resource,
            "accessReasonContext": {"reason": request.context.reason()},
        });
        if request.context.is_health_check() {
            context["isKeyHealthCheck"] = true.into();
        }
        body.insert("additionalContext".to_owned(), context);
        Self { path: path.to_owned(), verb, body: Value::Object(body) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_five_contexts_differ_on_the_wire() {
        let encrypt = || Payload::Encrypt(vec![1]);
        let decrypt = || Payload::Decrypt(Ciphertext { version: 1, blob: vec![2] });
        let rows = [
            (KeyUse::NewDataKeyAtDeploy, encrypt()),
            (KeyUse::InstanceStart, decrypt()),
            (KeyUse::ExistingDataKeyAtStart, decrypt()),
            (KeyUse::DummyEncrypt, encrypt()),
            (KeyUse::DummyDecrypt, decrypt()),
        ];
        let told: BTreeSet<String> = rows
            .map(|(context, payload)| {
                let call = Call::new("v0/keys/k", "projects/1", &Request { context, payload, associated_data: vec![] });
                format!("{} {}", call.verb.name(), call.body["additionalContext"])
            })
            .into();
        assert_eq!(told.len(), 5, "{told:?}");
    }

    #[test]
    fn defaults_are_left_out_as_google_leaves_them_out() {
        let request = Request {
            context: KeyUse::InstanceStart,
            payload: Payload::Decrypt(Ciphertext { version: 1, blob: b"blob".to_vec() }),
            associated_data: Vec::new(),
        };
        let expected = json!({
            "wrappedBlob": "YmxvYg==",
            "additionalContext": {
                "relativeResourceName": "projects/1",
                "accessReasonContext": {"reason": "CUSTOMER_INITIATED_ACCESS"},
            },
        });
        assert_eq!(Call::new("v0/keys/k", "projects/1", &request).body, expected);
    }
}
