//! One call, as raw as it must be, and the ways in which cases vary it. Nothing is corrected on the way to the wire.

use http::Method;
use serde_json::{Map, Value};

use super::case::Step;
use super::expect::{Expect, Refusal};

/// One call, as raw as it must be.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    /// With the leading slash and, if any, the query; sent as it stands.
    pub path: String,
    pub host: HostForm,
    pub protocol: Protocol,
    /// One header for each.
    pub authorization: Vec<String>,
    pub cookie: Option<String>,
    pub content_type: Option<&'static str>,
    pub framing: Framing,
    pub body: Body,
}

/// How the `Host` header is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostForm {
    /// As the address says: with the port unless it is the scheme's own.
    Usual,
    WithoutPort,
    /// With the port of the address, also where it is the scheme's own.
    WithPort,
    /// With 443, whatever the port.
    WithPort443,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// How the end of the body is told, over HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
}

#[derive(Clone)]
pub enum Body {
    Bytes(Vec<u8>),
    /// `wrappedBlob` is the blob that an earlier step of the same case was answered with.
    Unwrap {
        of: usize,
        damage: Damage,
        spelling: Spelling,
        members: Map<String, Value>,
    },
}

/// What is done to a blob before it is sent back. Places are thousandths of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Nothing,
    /// One bit is flipped in the byte at this place; 1000 is the last byte.
    Flipped(usize),
    /// So much of its beginning is left.
    Kept(usize),
    LastByteCut,
    FirstByteCut,
    ByteAdded,
}

/// How base64 is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Standard,
    UrlSafe,
    Unpadded,
    UrlSafeUnpadded,
}

impl Call {
    /// The same call elsewhere.
    pub fn to(mut self, path: String) -> Self {
        self.path = path;
        self
    }

    /// The same call with this body.
    pub fn with(mut self, body: &Value) -> Self {
        self.body = Body::Bytes(body.to_string().into_bytes());
        self
    }

    /// The same call with a body that need not be JSON.
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// The same call from somebody else: one header for each value.
    pub fn by(mut self, authorization: impl IntoIterator<Item = String>) -> Self {
        self.authorization = authorization.into_iter().collect();
        self
    }

    /// The same unwrap of a damaged blob.
    pub fn damaged(mut self, how: Damage) -> Self {
        if let Body::Unwrap { damage, .. } = &mut self.body {
            *damage = how;
        }
        self
    }

    /// The same unwrap with the blob spelled otherwise.
    pub fn spelled(mut self, how: Spelling) -> Self {
        if let Body::Unwrap { spelling, .. } = &mut self.body {
            *spelling = how;
        }
        self
    }

    /// The same unwrap with one more member in its body.
    pub fn and(mut self, name: &str, value: Value) -> Self {
        if let Body::Unwrap { members, .. } = &mut self.body {
            members.insert(name.to_owned(), value);
        }
        self
    }

    /// The call as a step.
    pub fn expect(self, expect: Expect) -> Step {
        Step { call: self, expect }
    }

    /// A step whose call must be refused so.
    pub fn refused(self, refusal: Refusal) -> Step {
        self.expect(Expect::Refused(refusal))
    }

    /// A step that must give these bytes.
    pub fn gives(self, plaintext: &[u8]) -> Step {
        self.expect(Expect::Plaintext(plaintext.to_vec()))
    }
}
