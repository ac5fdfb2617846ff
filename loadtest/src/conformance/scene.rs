//! What every case stands on: the key, the caller, tokens right and wrong, and the calls that most cases vary. Reads no clock:
//! the time comes in as an argument.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Map, Value, json};

use super::call::{Body, Call, Damage, Framing, HostForm, Protocol, Spelling};
use crate::issuer::Issuer;

/// What Google names itself in a token.
pub const GOOGLE_ISSUER: &str = "https://accounts.google.com";
/// A resource of Cloud KMS, as it stands in a body.
const RESOURCE: &str = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
/// How long a right token is valid from now, in seconds; Google's live for an hour at most.
const TOKEN_LEFT_SECONDS: u64 = 3000;
/// How long ago a right token was issued, in seconds.
const TOKEN_AGE_SECONDS: u64 = 30;

/// What was said about the target on the command line.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Without a leading slash, as the others.
    pub key_path: String,
    pub second_key_path: Option<String>,
    pub disabled_key_path: Option<String>,
    pub unknown_key_path: String,
    pub audience: String,
    pub issuer: String,
    /// The caller that may use the keys.
    pub email: String,
}

/// The facts, the signers, and the time.
pub struct Scene<'a> {
    pub facts: &'a Facts,
    /// Trusted by the target.
    pub issuer: &'a Issuer,
    /// Unknown to the target.
    pub forger: &'a Issuer,
    /// Seconds since 1970.
    pub now: u64,
    right: String,
}

impl<'a> Scene<'a> {
    /// The scene at this time.
    pub fn at(now: u64, facts: &'a Facts, issuer: &'a Issuer, forger: &'a Issuer) -> Self {
        let mut scene = Self { facts, issuer, forger, now, right: String::new() };
        scene.right = scene.bearer(|_, _| ());
        scene
    }

    /// The claims of a right token.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.facts.issuer,
            "aud": self.facts.audience,
            "sub": "100000000000000000001",
            "azp": "100000000000000000001",
            "email": self.facts.email,
            "email_verified": true,
            "iat": self.now.saturating_sub(TOKEN_AGE_SECONDS),
            "exp": self.now + TOKEN_LEFT_SECONDS,
        })
    }

    /// A token of the trusted issuer whose header and claims are edited before they are signed, as the value of a header.
    pub fn bearer(&self, edit: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = (self.issuer.header(), self.claims());
        edit(&mut header, &mut claims);
        format!("Bearer {}", self.issuer.sign(&header, &claims))
    }

    /// A right token with one claim replaced.
    pub fn claiming(&self, name: &str, value: Value) -> String {
        self.bearer(|_, claims| claims[name] = value)
    }

    /// A right token without one claim.
    pub fn without(&self, name: &str) -> String {
        self.bearer(|_, claims| {
            claims.as_object_mut().expect("claims are an object").remove(name);
        })
    }

    /// The right token, as the value of a header.
    pub fn right(&self) -> &str {
        &self.right
    }

    /// The right token itself.
    pub fn token(&self) -> &str {
        self.right.trim_start_matches("Bearer ")
    }

    /// Where a verb of the key is.
    pub fn path(&self, verb: &str) -> String {
        format!("/{}:{verb}", self.facts.key_path)
    }

    /// A call of a verb of the key, with an empty object as its body.
    pub fn call(&self, verb: &str) -> Call {
        Call {
            method: Method::POST,
            path: self.path(verb),
            host: HostForm::Usual,
            protocol: Protocol::Http1,
            authorization: vec![self.right.clone()],
            cookie: None,
            content_type: Some("application/json"),
            framing: Framing::Length,
            body: Body::Bytes(b"{}".to_vec()),
        }
    }

    /// A wrap of these bytes.
    pub fn wrap(&self, plaintext: &[u8]) -> Call {
        self.call("wrap").with(&json!({"plaintext": BASE64_STANDARD.encode(plaintext), "additionalContext": context()}))
    }

    /// A wrap of these bytes under associated data.
    pub fn wrap_under(&self, plaintext: &[u8], associated_data: &[u8]) -> Call {
        self.call("wrap").with(&json!({
            "plaintext": BASE64_STANDARD.encode(plaintext),
            "additionalAuthenticatedData": BASE64_STANDARD.encode(associated_data),
            "additionalContext": context(),
        }))
    }

    /// An unwrap of what that step was answered with.
    pub fn unwrap(&self, of: usize) -> Call {
        let members = Map::from_iter([("additionalContext".to_owned(), context())]);
        let body = Body::Unwrap { of, damage: Damage::Nothing, spelling: Spelling::Standard, members };
        Call { body, ..self.call("unwrap") }
    }

    /// The same under associated data.
    pub fn unwrap_under(&self, of: usize, associated_data: &[u8]) -> Call {
        self.unwrap(of).and("additionalAuthenticatedData", BASE64_STANDARD.encode(associated_data).into())
    }
}

/// What Cloud KMS says about a call.
pub fn context() -> Value {
    json!({
        "relativeResourceName": RESOURCE,
        "fullResourceName": format!("//cloudkms.googleapis.com/{RESOURCE}"),
        "accessReasonContext": {"reason": "CUSTOMER_INITIATED_ACCESS"},
    })
}

/// So many bytes, every value among them; the seed keeps two plaintexts apart.
pub fn bytes(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|at| at.to_le_bytes()[0].wrapping_mul(167).wrapping_add(seed)).collect()
}

/// Base64 spelled this way.
pub fn encode(bytes: &[u8], spelling: Spelling) -> String {
    match spelling {
        Spelling::Standard => BASE64_STANDARD.encode(bytes),
        Spelling::UrlSafe => BASE64_URL_SAFE.encode(bytes),
        Spelling::Unpadded => BASE64_STANDARD_NO_PAD.encode(bytes),
        Spelling::UrlSafeUnpadded => BASE64_URL_SAFE_NO_PAD.encode(bytes),
    }
}

/// What becomes of a blob.
pub fn damage(blob: &[u8], how: Damage) -> Vec<u8> {
    let mut blob = blob.to_vec();
    match how {
        Damage::Nothing => {}
        Damage::Flipped(place) => {
            let at = (blob.len() * place / 1000).min(blob.len().saturating_sub(1));
            if let Some(byte) = blob.get_mut(at) {
                *byte ^= 1;
            }
        }
        Damage::Kept(place) => blob.truncate((blob.len() * place / 1000).max(1)),
        Damage::LastByteCut => blob.truncate(blob.len().saturating_sub(1)),
        Damage::FirstByteCut => {
            blob = blob.split_off(1.min(blob.len()));
        }
        Damage::ByteAdded => blob.push(0),
    }
    blob
}

/// The body as it is sent, or `None` if the step that it builds on left no blob.
pub fn body(body: &Body, blobs: &[Option<Vec<u8>>]) -> Option<Vec<u8>> {
    match body {
        Body::Bytes(bytes) => Some(bytes.clone()),
        Body::Unwrap { of, damage: how, spelling, members } => {
            let blob = blobs.get(*of)?.as_deref()?;
            let mut members = members.clone();
            members.insert("wrappedBlob".to_owned(), encode(&damage(blob, *how), *spelling).into());
            Some(Value::Object(members).to_string().into_bytes())
        }
    }
}
