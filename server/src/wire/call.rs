//! The bodies of wrap and unwrap: one reader, since they differ in the name of one field.
//!
//! Strings are decoded straight from the body; the resource name is borrowed from it. The nesting of values is bounded
//! by the JSON reader (128 levels), also in fields that are not known here.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::base64_bytes::{decode_base64, one_bytes_field};
use super::reason::AccessReason;

/// A field of a body, as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `plaintext` of wrap.
    Plaintext,
    /// `wrappedBlob` of unwrap.
    WrappedBlob,
    /// `additionalAuthenticatedData`.
    AssociatedData,
    /// `additionalContext`.
    Context,
    /// `additionalContext.relativeResourceName`.
    ResourceName,
    /// `additionalContext.accessReasonContext`.
    ReasonContext,
    /// `additionalContext.accessReasonContext.reason`.
    Reason,
    /// `additionalContext.isKeyHealthCheck`.
    HealthCheck,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "plaintext",
            Self::WrappedBlob => "wrappedBlob",
            Self::AssociatedData => "additionalAuthenticatedData",
            Self::Context => "additionalContext",
            Self::ResourceName => "additionalContext.relativeResourceName",
            Self::ReasonContext => "additionalContext.accessReasonContext",
            Self::Reason => "additionalContext.accessReasonContext.reason",
            Self::HealthCheck => "additionalContext.isKeyHealthCheck",
        })
    }
}

impl Field {
    const fn expects(self) -> &'static str {
        match self {
            Self::Plaintext | Self::WrappedBlob | Self::AssociatedData => "bytes in base64",
            Self::Context | Self::ReasonContext => "an object",
            Self::ResourceName => "a text",
            Self::Reason => "the name or the number of a reason",
            Self::HealthCheck => "true or false",
        }
    }
}

/// Why a body was refused. Display is for the caller; it quotes nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Nothing was sent.
    #[error("the body is empty; send a JSON object")]
    Empty,
    /// Not JSON, nested too deeply, or not an object.
    #[error("the body is not a JSON object that can be read (line {line}, column {column})")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A field has a value of another type.
    #[error("the field {field} is not {}", .field.expects())]
    Type {
        /// Which.
        field: Field,
    },
    /// A bytes field is not base64.
    #[error("the field {field} is not base64")]
    Base64 {
        /// Which.
        field: Field,
    },
    /// A field stands there twice, so that two readers could see two values.
    #[error("the field {field} stands there twice")]
    Twice {
        /// Which.
        field: Field,
    },
}

/// Which of the two operations' bodies is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadField {
    /// `plaintext`: the body of wrap.
    Plaintext,
    /// `wrappedBlob`: the body of unwrap.
    WrappedBlob,
}

/// A call that wraps or unwraps, read from its body.
#[derive(Default, PartialEq, Eq)]
pub struct CryptoCall<'a> {
    /// The bytes to wrap or unwrap: opaque, of any length.
    pub payload: Vec<u8>,
    /// The associated data; absent is empty.
    pub associated_data: Vec<u8>,
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N`, as stated.
    pub resource_name: Option<Cow<'a, str>>,
    /// The stated reason.
    pub reason: AccessReason,
    /// Google's own check of the key; it takes the real path.
    pub is_health_check: bool,
}

impl fmt::Debug for CryptoCall<'_> {
    /// Shows how long the bytes are, never the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (payload, data) = (self.payload.len(), self.associated_data.len());
        write!(f, "CryptoCall({payload} + {data} bytes, {:?}, {:?})", self.resource_name, self.reason)
    }
}

impl<'a> CryptoCall<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// Every [`WireError`]; the first fault found.
    pub fn parse(body: &'a [u8], payload: PayloadField) -> Result<Self, WireError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(WireError::Empty);
        }
        let fault = Cell::new(None);
        let mut call = Self::default();
        let mut reader = serde_json::Deserializer::from_slice(body);
        let body_reader = BodyReader { call: &mut call, payload, at: Faults(&fault) };
        match body_reader.deserialize(&mut reader).and_then(|()| reader.end()) {
            Ok(()) => Ok(call),
            // a syntax error inside a value is a syntax error, whatever field it stands in
            Err(error) if error.is_data() && fault.get().is_some() => {
                Err(fault.take().expect("the guard has seen a fault").into())
            }
            Err(error) => Err(WireError::Json { line: error.line(), column: error.column() }),
        }
    }
}

/// `{"wrappedBlob": …}`.
pub fn wrap_answer(blob: &[u8]) -> Vec<u8> {
    one_bytes_field("wrappedBlob", blob)
}

/// `{"plaintext": …}`.
pub fn unwrap_answer(plaintext: &[u8]) -> Vec<u8> {
    one_bytes_field("plaintext", plaintext)
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Type(Field),
    Base64(Field),
    Twice(Field),
}

impl From<Fault> for WireError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Type(field) => Self::Type { field },
            Fault::Base64(field) => Self::Base64 { field },
            Fault::Twice(field) => Self::Twice { field },
        }
    }
}

/// Where a reader leaves what was wrong: the JSON library's own error could carry the caller's text.
#[derive(Clone, Copy)]
struct Faults<'f>(&'f Cell<Option<Fault>>);

impl Faults<'_> {
    /// Reads one value; if its type is wrong, it is this field's fault.
    fn read<'de, M: MapAccess<'de>, S: DeserializeSeed<'de>>(
        self,
        map: &mut M,
        field: Field,
        seed: S,
    ) -> Result<S::Value, M::Error> {
        self.0.set(Some(Fault::Type(field)));
        let value = map.next_value_seed(seed)?;
        self.0.set(None);
        Ok(value)
    }

    fn refuse<E: serde::de::Error>(self, fault: Fault) -> E {
        self.0.set(Some(fault));
        E::custom("refused")
    }

    fn once<E: serde::de::Error>(self, seen: &mut u8, field: Field) -> Result<(), E> {
        let bit = 1 << (field as u8);
        if *seen & bit != 0 {
            return Err(self.refuse(Fault::Twice(field)));
        }
        *seen |= bit;
        Ok(())
    }
}

struct BodyReader<'c, 'f, 'a> {
    call: &'c mut CryptoCall<'a>,
    payload: PayloadField,
    at: Faults<'f>,
}

impl<'de> DeserializeSeed<'de> for BodyReader<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BodyReader<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut seen = 0;
        while let Some(Key(name)) = map.next_key()? {
            let field = match (name.as_ref(), self.payload) {
                ("plaintext", PayloadField::Plaintext) => Field::Plaintext,
                ("wrappedBlob" | "wrapped_blob", PayloadField::WrappedBlob) => Field::WrappedBlob,
                ("additionalAuthenticatedData" | "additional_authenticated_data", _) => Field::AssociatedData,
                ("additionalContext" | "additional_context", _) => Field::Context,
                _ => {
                    map.next_value::<Skipped>()?;
                    continue;
                }
            };
            self.at.once(&mut seen, field)?;
            match field {
                Field::Plaintext | Field::WrappedBlob => {
                    self.call.payload = self.at.read(&mut map, field, Bytes { field, at: self.at })?;
                }
                Field::AssociatedData => {
                    self.call.associated_data = self.at.read(&mut map, field, Bytes { field, at: self.at })?;
                }
                _ => self.at.read(&mut map, field, ContextReader { call: self.call, at: self.at })?,
            }
        }
        Ok(())
    }
}

struct ContextReader<'c, 'f, 'a> {
    call: &'c mut CryptoCall<'a>,
    at: Faults<'f>,
}

impl<'de> DeserializeSeed<'de> for ContextReader<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContextReader<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut seen = 0;
        while let Some(Key(name)) = map.next_key()? {
            let field = match name.as_ref() {
                "relativeResourceName" | "relative_resource_name" => Field::ResourceName,
                "accessReasonContext" | "access_reason_context" => Field::ReasonContext,
                "isKeyHealthCheck" | "is_key_health_check" => Field::HealthCheck,
                _ => {
                    map.next_value::<Skipped>()?;
                    continue;
                }
            };
            self.at.once(&mut seen, field)?;
            match field {
                Field::ResourceName => {
                    self.call.resource_name = self.at.read(&mut map, field, Plain::<Text>::NEW)?.map(|Text(text)| text);
                }
                Field::HealthCheck => {
                    self.call.is_health_check = self.at.read(&mut map, field, Plain::<bool>::NEW)?.unwrap_or(false);
                }
                _ => self.call.reason = self.at.read(&mut map, field, ReasonContextReader { at: self.at })?,
            }
        }
        Ok(())
    }
}

struct ReasonContextReader<'f> {
    at: Faults<'f>,
}

impl<'de> DeserializeSeed<'de> for ReasonContextReader<'_> {
    type Value = AccessReason;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AccessReason, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReasonContextReader<'_> {
    type Value = AccessReason;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<AccessReason, E> {
        Ok(AccessReason::Missing)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<AccessReason, M::Error> {
        let mut seen = 0;
        let mut reason = AccessReason::Unspecified;
        while let Some(Key(name)) = map.next_key()? {
            if name != "reason" {
                map.next_value::<Skipped>()?;
                continue;
            }
            self.at.once(&mut seen, Field::Reason)?;
            reason = self.at.read(&mut map, Field::Reason, ReasonReader)?;
        }
        Ok(reason)
    }
}

struct ReasonReader;

impl<'de> DeserializeSeed<'de> for ReasonReader {
    type Value = AccessReason;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AccessReason, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ReasonReader {
    type Value = AccessReason;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the number of a reason")
    }

    fn visit_unit<E>(self) -> Result<AccessReason, E> {
        Ok(AccessReason::Unspecified)
    }

    fn visit_str<E>(self, text: &str) -> Result<AccessReason, E> {
        Ok(AccessReason::from_text(text))
    }

    fn visit_i64<E>(self, number: i64) -> Result<AccessReason, E> {
        Ok(AccessReason::from_number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<AccessReason, E> {
        // a number past the signed range is as unknown as the largest one within it
        Ok(AccessReason::from_number(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

/// A bytes field: decoded where it stands, whether the text could be borrowed or had escapes in it.
struct Bytes<'f> {
    field: Field,
    at: Faults<'f>,
}

impl<'de> DeserializeSeed<'de> for Bytes<'_> {
    type Value = Vec<u8>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Bytes<'_> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64 or null")
    }

    fn visit_unit<E>(self) -> Result<Vec<u8>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        decode_base64(text).map_err(|_| self.at.refuse(Fault::Base64(self.field)))
    }
}

/// A value of a plain type, or null.
struct Plain<T>(std::marker::PhantomData<T>);

impl<T> Plain<T> {
    const NEW: Self = Self(std::marker::PhantomData);
}

impl<'de, T: serde::Deserialize<'de>> DeserializeSeed<'de> for Plain<T> {
    type Value = Option<T>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value of a field that is not known here. Unlike `serde::de::IgnoredAny` it counts towards the nesting bound.
struct Skipped;

impl<'de> serde::Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Skipped {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self, S::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self, M::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
