//! A small EKM that keeps the contract, for tests of the kit: real wraps, real tokens, and one defect at a time that can be
//! switched on. Nobody but these tests may use it: its keys live and die with the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::defects::Defect;
use super::sealing::{Blobs, Opened};
use super::verifier::Verifier;

pub const KEY: &str = "v0/keys/first";
pub const SECOND_KEY: &str = "v0/keys/second";
pub const DISABLED_KEY: &str = "v0/keys/disabled";
pub const UNKNOWN_KEY: &str = "v0/keys/nobody";

/// Longest body, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
const REASONS: [&str; 3] = ["REASON_UNSPECIFIED", "CUSTOMER_INITIATED_ACCESS", "GOOGLE_INITIATED_SYSTEM_OPERATION"];

/// An answer before it becomes HTTP.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A call as it arrived.
pub struct Received {
    pub method: Method,
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether somebody was believed on this connection before.
    pub connection: Arc<AtomicBool>,
}

/// The EKM.
pub struct Honest {
    pub defect: Option<Defect>,
    pub verifier: Verifier,
    pub port: u16,
    blobs: Blobs,
    calls: AtomicU64,
    is_down: AtomicBool,
}

/// A refusal: status, code of google.rpc, message.
pub type Refused = (u16, u16, String);

pub fn refused(status: u16, code: u16, message: &str) -> Refused {
    (status, code, message.to_owned())
}

impl Honest {
    pub fn new(verifier: Verifier, port: u16, defect: Option<Defect>) -> Self {
        Self {
            defect,
            verifier,
            port,
            blobs: Blobs::default(),
            calls: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Answers a call.
    pub fn answer(&self, call: &Received) -> Reply {
        let is_first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first || self.is_down.load(Ordering::Relaxed) {
            return self.error(&refused(503, 14, "The key manager is busy. Try again."));
        }
        match self.served(call) {
            Ok(body) => Reply { status: 200, headers: json_type(), body: body.to_string().into_bytes() },
            Err(refusal) => self.error(&refusal),
        }
    }

    fn served(&self, call: &Received) -> Result<Value, Refused> {
        let path = call.path.split('?').next().unwrap_or_default();
        let (key, verb) = self.routed(call, path)?;
        self.believed(call)?;
        let body = self.read(call)?;
        let key = match body["keyPath"].as_str() {
            Some(other) if self.has(Defect::KeyPathOfBody) => other.to_owned(),
            _ => key,
        };
        let key = self.found(&key)?;
        self.context(&body)?;
        match verb.as_str() {
            "wrap" => self.wrap(&key, &body),
            _ => self.unwrap(&key, &body),
        }
    }

    fn routed(&self, call: &Received, path: &str) -> Result<(String, String), Refused> {
        let host = call.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        if self.has(Defect::ComparesHost) && !host.is_empty() && !host.ends_with(&format!(":{}", self.port)) {
            return Err(refused(404, 5, "No such host is served here."));
        }
        let decoded = path.replace("%3A", ":").replace("%3a", ":");
        let path = if self.has(Defect::ColonAsItStands) { path.to_owned() } else { decoded };
        let (key, verb) = path.rsplit_once(':').unwrap_or((&path, ""));
        match verb {
            "wrap" | "unwrap" if call.method == Method::POST => {}
            "wrap" | "unwrap" if self.has(Defect::MethodIs405) => {
                return Err(refused(405, 12, "This method is not allowed."));
            }
            "asymmetricSign" if self.has(Defect::SignIs404) => {
                return Err(refused(404, 5, "There is no such signing key."));
            }
            "wrap" | "unwrap" | "asymmetricSign" | "getPublicKey" => {
                return Err(refused(501, 12, "This method is not offered."));
            }
            _ if self.has(Defect::VerbIs404) => return Err(refused(404, 5, "There is nothing at this path.")),
            _ => return Err(refused(501, 12, "This key manager knows no such method.")),
        }
        let length = call.headers.contains_key("content-length");
        if self.has(Defect::WantsLength) && !length {
            return Err(refused(411, 3, "The length of the body is missing."));
        }
        let kind = call.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if self.has(Defect::WantsJsonType) && kind != "application/json" {
            return Err(refused(415, 3, "The type of the body is not application/json."));
        }
        Ok((key.trim_start_matches('/').to_owned(), verb.to_owned()))
    }

    fn believed(&self, call: &Received) -> Result<(), Refused> {
        let verdict = self.verifier.verify(&call.headers, &call.path, self.defect);
        if verdict.is_ok() {
            call.connection.store(true, Ordering::Relaxed);
        }
        let is_empty =
            call.headers.get("authorization").is_some_and(|value| value.as_bytes().trim_ascii() == b"Bearer");
        if self.has(Defect::RemembersConnection) && is_empty && call.connection.load(Ordering::Relaxed) {
            return Ok(());
        }
        verdict
    }

    fn read(&self, call: &Received) -> Result<Value, Refused> {
        let most = match self.defect {
            Some(Defect::SmallBodies) => BODY_BYTES_MAX / 2,
            Some(Defect::BodiesOfAnyLength) => usize::MAX,
            _ => BODY_BYTES_MAX,
        };
        if call.body.len() > most {
            return Err(refused(413, 3, "The body is too long."));
        }
        if self.has(Defect::EmptyBodyIsObject) && call.body.is_empty() {
            return Ok(json!({}));
        }
        if self.has(Defect::NoEscapes) && call.body.contains(&b'\\') {
            return Err(refused(400, 3, "The body has characters that are not understood."));
        }
        let invalid = |error: &serde_json::Error| {
            if error.to_string().contains("recursion") {
                self.is_down.store(self.has(Defect::DiesOfNesting), Ordering::Relaxed);
                if self.has(Defect::NestingIs500) {
                    return refused(500, 13, "The key manager failed.");
                }
            }
            match self.defect {
                Some(Defect::ShowsInternals) => refused(400, 3, "panicked at src/body.rs:12:5: no value"),
                _ => refused(400, 3, "The body is not a JSON object."),
            }
        };
        let mut values = serde_json::Deserializer::from_slice(&call.body).into_iter::<Value>();
        let body = values.next().unwrap_or(Ok(Value::Null)).map_err(|error| invalid(&error))?;
        if let (false, Some(next)) = (self.has(Defect::ReadsFirstValue), values.next()) {
            drop(next.map_err(|error| invalid(&error))?);
            return Err(refused(400, 3, "The body is not one JSON object."));
        }
        let known = ["plaintext", "wrappedBlob", "additionalAuthenticatedData", "additionalContext"];
        match body.as_object() {
            None => Err(refused(400, 3, "The body is not a JSON object.")),
            Some(members)
                if self.has(Defect::KnownFieldsOnly) && members.keys().any(|name| !known.contains(&&**name)) =>
            {
                Err(refused(400, 3, "The body has a field that is not known."))
            }
            Some(_) => Ok(body),
        }
    }

    fn found(&self, path: &str) -> Result<String, Refused> {
        match path {
            DISABLED_KEY if self.has(Defect::DisabledIs403) => Err(refused(403, 7, "The key version is disabled.")),
            DISABLED_KEY => Err(refused(400, 9, "The key version is disabled. Enable it to use it again.")),
            KEY | SECOND_KEY => Ok(path.to_owned()),
            longer if self.has(Defect::KeyByPrefix) && longer.starts_with(KEY) => Ok(KEY.to_owned()),
            _ if self.has(Defect::UnknownKeyIs403) => Err(refused(403, 7, "The caller may not use this key.")),
            _ => Err(refused(404, 5, "There is no key at this path. Check the path.")),
        }
    }

    fn context(&self, body: &Value) -> Result<(), Refused> {
        let wrong = || Err(refused(400, 3, "The context of the call is not understood."));
        let context = match &body["additionalContext"] {
            Value::Null if self.has(Defect::NullContext) && body.get("additionalContext").is_some() => return wrong(),
            Value::Null => return Ok(()),
            context => context,
        };
        if self.has(Defect::WantsReason) && context.get("accessReasonContext").is_none() {
            return wrong();
        }
        match &context["accessReasonContext"]["reason"] {
            Value::String(name) if self.has(Defect::KnownReasonsOnly) && !REASONS.contains(&name.as_str()) => wrong(),
            Value::Number(_) if self.has(Defect::ReasonsAreText) => wrong(),
            _ => Ok(()),
        }
    }

    fn wrap(&self, key: &str, body: &Value) -> Result<Value, Refused> {
        if body.get("plaintext").is_none() && self.has(Defect::WantsPlaintext) {
            return Err(refused(400, 3, "The plaintext is missing."));
        }
        let plaintext = self.bytes(body, "plaintext")?;
        let data = self.associated_data(body)?;
        let is_refused = match self.defect {
            Some(Defect::NoAssociatedData) => !data.is_empty(),
            Some(Defect::NoEmptyPlaintext) => plaintext.is_empty(),
            Some(Defect::LengthByte) => plaintext.len() == 255,
            Some(Defect::SmallPlaintexts) => plaintext.len() > 60_000,
            Some(Defect::LittleAssociatedData) => data.len() > 32_768,
            _ => false,
        };
        if is_refused {
            return Err(refused(400, 3, "The size is not supported."));
        }
        let blob = self.blobs.seal(key, &data, &plaintext, self.defect);
        Ok(json!({"wrappedBlob": self.encoded(&blob)}))
    }

    fn unwrap(&self, key: &str, body: &Value) -> Result<Value, Refused> {
        let check = &body["additionalContext"]["isKeyHealthCheck"];
        let blob = self.bytes(body, "wrappedBlob")?;
        if self.has(Defect::ChecksAreShort) && check == &json!(true) {
            // as if it had been opened
            return Ok(json!({"plaintext": self.encoded(self.blobs.sealed_last().as_slice())}));
        }
        let data = self.associated_data(body)?;
        match self.blobs.open(key, &data, &blob, self.defect) {
            Opened::Plaintext(plaintext) => Ok(json!({"plaintext": self.encoded(&plaintext)})),
            Opened::Broken => Err(refused(500, 13, "The key manager failed.")),
            Opened::Refused if self.has(Defect::BlobIs403) => Err(refused(403, 7, "The blob is not yours.")),
            Opened::Refused => Err(refused(400, 3, "The blob does not open with this key and this associated data.")),
        }
    }

    fn associated_data(&self, body: &Value) -> Result<Vec<u8>, Refused> {
        let name = "additionalAuthenticatedData";
        let proto = "additional_authenticated_data";
        match body.get(name) {
            Some(Value::Null) if self.has(Defect::NullAssociatedData) => Ok(b"null".to_vec()),
            None if !self.has(Defect::CamelCaseOnly) && body.get(proto).is_some() => self.bytes(body, proto),
            _ => self.bytes(body, name),
        }
    }

    fn bytes(&self, body: &Value, name: &str) -> Result<Vec<u8>, Refused> {
        let text = match &body[name] {
            Value::Null => return Ok(Vec::new()),
            Value::String(text) => text.as_str(),
            _ if self.has(Defect::AnyType) => return Ok(Vec::new()),
            _ => return Err(refused(400, 3, &format!("The field {name} is not base64."))),
        };
        let wrong = || match self.defect {
            Some(Defect::QuotesRequest) => refused(400, 3, &format!("The field {name} is not base64: {text}")),
            _ => refused(400, 3, &format!("The field {name} is not base64.")),
        };
        if self.has(Defect::StandardAlphabetOnly) && text.contains(['-', '_']) {
            return Err(wrong());
        }
        if self.has(Defect::PaddingOnly) && text.len() % 4 != 0 {
            return Err(wrong());
        }
        if self.has(Defect::LenientBase64) {
            let plain = text.replace('+', "-").replace('/', "_");
            let mut kept: String =
                plain.chars().filter(|one| one.is_ascii_alphanumeric() || "-_".contains(*one)).collect();
            if kept.len() % 4 == 1 {
                kept.pop();
            }
            return Ok(BASE64_URL_SAFE_NO_PAD.decode(kept).unwrap_or_default());
        }
        let plain = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
        BASE64_URL_SAFE_NO_PAD.decode(plain).map_err(|_| wrong())
    }

    fn encoded(&self, bytes: &[u8]) -> String {
        if self.has(Defect::UrlSafeOut) { BASE64_URL_SAFE_NO_PAD.encode(bytes) } else { BASE64_STANDARD.encode(bytes) }
    }

    fn error(&self, (status, code, message): &Refused) -> Reply {
        let mut headers = json_type();
        let (status, mut code, mut message) = (*status, *code, message.as_str());
        let is_404 = status == 404;
        if self.has(Defect::WrongCode) && is_404 {
            code = 3;
        }
        if self.has(Defect::NoMessage) && is_404 {
            message = "";
        }
        let mut body = json!({"code": code, "message": message});
        if status == 503 && !self.has(Defect::SaysNoTime) {
            let info = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"});
            body["details"] = json!([info]);
        }
        if self.has(Defect::TwoShapes) && is_404 {
            body = json!({"error": {"code": status, "status": "NOT_FOUND", "message": message}});
        }
        if self.has(Defect::ErrorsAreText) {
            headers = vec![("content-type", "text/plain".to_owned())];
        }
        if status == 501 {
            headers.push(("allow", "POST".to_owned()));
        }
        let body = match self.defect {
            Some(Defect::NoJson) if is_404 => b"not found".to_vec(),
            _ => body.to_string().into_bytes(),
        };
        Reply { status, headers, body }
    }
}

fn json_type() -> Vec<(&'static str, String)> {
    vec![("content-type", "application/json".to_owned())]
}

/// A token's claims, or another object: `None` if a name stands there twice.
pub fn unique_members(text: &[u8]) -> Option<HashMap<String, Value>> {
    struct Unique;
    impl<'de> serde::de::Visitor<'de> for Unique {
        type Value = Option<HashMap<String, Value>>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let (mut members, mut is_unique) = (HashMap::new(), true);
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                is_unique &= members.insert(name, value).is_none();
            }
            Ok(is_unique.then_some(members))
        }
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    serde::Deserializer::deserialize_map(&mut reader, Unique).ok().flatten()
}
