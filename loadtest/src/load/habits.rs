//! How Google writes its calls: protobuf JSON with its liberties, as a table. Each call takes one row. Pure; it writes bodies, and
//! every row must be understood by any right server.

use std::fmt;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::weighted::Choice;

/// Codes of key access justifications with the number of each, for rows that send one.
const REASONS: [(&str, u32); 3] = [
    ("CUSTOMER_INITIATED_ACCESS", 5),
    ("GOOGLE_INITIATED_SYSTEM_OPERATION", 6),
    ("GOOGLE_RESPONSE_TO_PRODUCTION_ALERT", 10),
];
/// Resource names differ in so many keys and versions.
const NAMES_MAX: u64 = 1000;

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base64 {
    Standard,
    Unpadded,
    UrlSafe,
    UrlSafeUnpadded,
}

/// How a value is written that is the default of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    Omitted,
    Null,
    Written,
}

/// The stated reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No `accessReasonContext`.
    NoContext,
    /// It is null.
    NullContext,
    /// It is there and empty: code 0.
    Empty,
    /// The code 0 by its name.
    Unspecified,
    /// A code by its name.
    Name,
    /// A code by its number.
    Number,
    /// A name that no list has yet.
    UnknownName,
    /// A number that no list has yet.
    UnknownNumber,
}

/// What `additionalContext` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    Absent,
    Null,
    Present { reason: Reason, health_check: Check },
}

/// `isKeyHealthCheck` as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Omitted,
    Null,
    Yes,
    No,
}

/// Fields beside the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extras {
    None,
    /// Fields that no reader knows yet, in every object, with values of every type.
    Unknown,
    /// `keyPath` and `keyUriPrefix`, which the URL outranks.
    KeyPath,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Habit {
    pub name: &'static str,
    /// How often it is chosen among all.
    pub weight: u32,
    bytes: Base64,
    /// An empty plaintext, and absent associated data.
    empty: Empty,
    context: Around,
    extras: Extras,
}

const fn with(reason: Reason) -> Around {
    Around::Present { reason, health_check: Check::Omitted }
}

const fn checking(health_check: Check, reason: Reason) -> Around {
    Around::Present { reason, health_check }
}

const fn row(name: &'static str, weight: u32, bytes: Base64, empty: Empty, context: Around, extras: Extras) -> Habit {
    Habit { name, weight, bytes, empty, context, extras }
}

/// The table. The first row is what Cloud KMS sends day by day.
#[rustfmt::skip]
pub const HABITS: &[Habit] = &[
    row("plain",              40, Base64::Standard,        Empty::Omitted, with(Reason::Name),          Extras::None),
    row("no-context",          8, Base64::Standard,        Empty::Omitted, Around::Absent,             Extras::None),
    row("null-context",        2, Base64::Standard,        Empty::Null,    Around::Null,               Extras::None),
    row("no-justification",    8, Base64::Standard,        Empty::Omitted, with(Reason::NoContext),     Extras::None),
    row("null-justification",  2, Base64::Standard,        Empty::Null,    with(Reason::NullContext),   Extras::None),
    row("empty-reason",        2, Base64::Standard,        Empty::Written, with(Reason::Empty),         Extras::None),
    row("unspecified-reason",  2, Base64::Standard,        Empty::Omitted, with(Reason::Unspecified),   Extras::None),
    row("reason-number",       6, Base64::Standard,        Empty::Omitted, with(Reason::Number),        Extras::None),
    row("unknown-reason",      2, Base64::Standard,        Empty::Omitted, with(Reason::UnknownName),   Extras::None),
    row("unknown-reason-number", 2, Base64::Standard,      Empty::Omitted, with(Reason::UnknownNumber), Extras::None),
    row("health-check",        6, Base64::Standard,        Empty::Omitted, checking(Check::Yes, Reason::Name), Extras::None),
    row("no-health-check",     2, Base64::Standard,        Empty::Written, checking(Check::No, Reason::Name),  Extras::None),
    row("null-health-check",   2, Base64::Standard,        Empty::Null,    checking(Check::Null, Reason::Name), Extras::None),
    row("unpadded",            4, Base64::Unpadded,        Empty::Omitted, with(Reason::Name),          Extras::None),
    row("url-safe",            4, Base64::UrlSafe,         Empty::Omitted, with(Reason::Name),          Extras::None),
    row("url-safe-unpadded",   4, Base64::UrlSafeUnpadded, Empty::Written, with(Reason::Name),          Extras::None),
    row("unknown-fields",      4, Base64::Standard,        Empty::Omitted, with(Reason::Name),          Extras::Unknown),
    row("key-path-in-body",    2, Base64::Standard,        Empty::Omitted, with(Reason::Name),          Extras::KeyPath),
];

impl fmt::Display for Habit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

impl Choice for &'static Habit {
    const ALLOWED: &'static str = "plain, no-context, null-context, no-justification, null-justification, empty-reason, \
                                   unspecified-reason, reason-number, unknown-reason, unknown-reason-number, health-check, \
                                   no-health-check, null-health-check, unpadded, url-safe, url-safe-unpadded, unknown-fields, \
                                   key-path-in-body";

    fn read(text: &str) -> Option<Self> {
        HABITS.iter().find(|habit| habit.name == text)
    }
}

/// What a body carries.
pub struct Content<'a> {
    /// `plaintext` or `wrappedBlob`.
    pub field: &'static str,
    pub payload: &'a [u8],
    pub associated_data: &'a [u8],
    /// For the resource name and the reason.
    pub choice: u64,
}

impl Habit {
    /// The body of a call in this row's manner.
    pub fn body(&self, content: &Content<'_>) -> Vec<u8> {
        let mut body = Map::new();
        if self.extras == Extras::KeyPath {
            body.insert("keyPath".to_owned(), json!("v0/keys/of-somebody-else"));
            body.insert("keyUriPrefix".to_owned(), json!("https://elsewhere.example"));
        }
        self.put(&mut body, content.field, content.payload);
        self.put(&mut body, "additionalAuthenticatedData", content.associated_data);
        match self.context {
            Around::Absent => {}
            Around::Null => drop(body.insert("additionalContext".to_owned(), Value::Null)),
            Around::Present { reason, health_check } => {
                let context = self.context(reason, health_check, content.choice);
                body.insert("additionalContext".to_owned(), context);
            }
        }
        if self.extras == Extras::Unknown {
            body.extend(unknown_fields());
        }
        serde_json::to_vec(&body).expect("a map of plain values always becomes JSON")
    }

    fn put(&self, body: &mut Map<String, Value>, field: &str, bytes: &[u8]) {
        let value = match self.empty {
            Empty::Omitted if bytes.is_empty() => return,
            Empty::Null if bytes.is_empty() => Value::Null,
            _ => Value::String(self.bytes.encode(bytes)),
        };
        body.insert(field.to_owned(), value);
    }

    fn context(&self, reason: Reason, health_check: Check, choice: u64) -> Value {
        let name = format!(
            "projects/demo/locations/europe-west1/keyRings/ring/cryptoKeys/key-{}/cryptoKeyVersions/{}",
            choice % NAMES_MAX,
            1 + choice / NAMES_MAX % 9
        );
        let mut context = Map::new();
        context.insert("fullResourceName".to_owned(), json!(format!("//cloudkms.googleapis.com/{name}")));
        context.insert("relativeResourceName".to_owned(), Value::String(name));
        if let Some(reason) = reason.written(choice) {
            context.insert("accessReasonContext".to_owned(), reason);
        }
        let health_check = match health_check {
            Check::Omitted => None,
            Check::Null => Some(Value::Null),
            Check::Yes => Some(Value::Bool(true)),
            Check::No => Some(Value::Bool(false)),
        };
        context.extend(health_check.map(|check| ("isKeyHealthCheck".to_owned(), check)));
        if self.extras == Extras::Unknown {
            context.extend(unknown_fields());
        }
        Value::Object(context)
    }
}

impl Base64 {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Standard => BASE64_STANDARD.encode(bytes),
            Self::Unpadded => BASE64_STANDARD_NO_PAD.encode(bytes),
            Self::UrlSafe => BASE64_URL_SAFE.encode(bytes),
            Self::UrlSafeUnpadded => BASE64_URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

impl Reason {
    /// The value of `accessReasonContext`; `None` leaves it out.
    fn written(self, choice: u64) -> Option<Value> {
        let place = usize::try_from(choice % REASONS.len() as u64).expect("a remainder by a length is an index");
        let (name, number) = REASONS[place];
        Some(match self {
            Self::NoContext => return None,
            Self::NullContext => Value::Null,
            Self::Empty => json!({}),
            Self::Unspecified => json!({"reason": "REASON_UNSPECIFIED"}),
            Self::Name => json!({"reason": name}),
            Self::Number => json!({"reason": number}),
            Self::UnknownName => json!({"reason": "REASON_OF_NEXT_YEAR"}),
            Self::UnknownNumber => json!({"reason": 4711}),
        })
    }
}

fn unknown_fields() -> Map<String, Value> {
    let fields = [
        ("fieldOfNextYear", json!({"inner": [1, 2.5, "three", null, {"four": false}]})),
        ("another_field", json!("text")),
        ("andANumber", json!(-1)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
#[path = "habits_tests.rs"]
mod tests;
