//! The reason that Google states for an access. What this release does not know is kept as it came, bounded.

use std::fmt;

/// Longest text kept of a reason that this release does not know, in bytes.
pub const REASON_TEXT_MAX: usize = 64;

/// Google's key access justifications by number (google-ekm-api, section 5).
const NAMES: [&str; 12] = [
    "REASON_UNSPECIFIED",
    "CUSTOMER_INITIATED_SUPPORT",
    "GOOGLE_INITIATED_SERVICE",
    "THIRD_PARTY_DATA_REQUEST",
    "GOOGLE_INITIATED_REVIEW",
    "CUSTOMER_INITIATED_ACCESS",
    "GOOGLE_INITIATED_SYSTEM_OPERATION",
    "REASON_NOT_EXPECTED",
    "MODIFIED_CUSTOMER_INITIATED_ACCESS",
    "MODIFIED_GOOGLE_INITIATED_SYSTEM_OPERATION",
    "GOOGLE_RESPONSE_TO_PRODUCTION_ALERT",
    "CUSTOMER_AUTHORIZED_WORKFLOW_SERVICING",
];

/// A code of Google's list other than "unspecified": 1 to 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonCode(u8);

impl ReasonCode {
    /// The code, or `None` if it is 0 or not on the list.
    pub fn new(code: u32) -> Option<Self> {
        let code = u8::try_from(code).ok()?;
        (code != 0 && usize::from(code) < NAMES.len()).then_some(Self(code))
    }

    /// The number, 1 to 11.
    pub fn number(self) -> u32 {
        u32::from(self.0)
    }

    /// Google's name for it.
    pub fn as_str(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

/// A reason that is not on this release's list: a name or a number, at most [`REASON_TEXT_MAX`] bytes of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownReason(Box<str>);

impl UnknownReason {
    fn new(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(REASON_TEXT_MAX)].into())
    }

    /// The text as it came, cut to its bound.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why Google says that it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum AccessReason {
    /// No access reason context at all: the customer has no justifications.
    #[default]
    Missing,
    /// A context without a reason, or with code 0.
    Unspecified,
    /// A reason on Google's list.
    Known(ReasonCode),
    /// A reason that this release does not know.
    Unknown(UnknownReason),
}

impl AccessReason {
    /// From an enum value sent as text. Digits in quotes are a text like any other, so they stay unknown.
    pub fn from_text(text: &str) -> Self {
        NAMES.iter().position(|name| *name == text).map_or_else(
            || Self::Unknown(UnknownReason::new(text)),
            |index| {
                let code = u32::try_from(index).expect("twelve names have small numbers");
                Self::from_number(i64::from(code))
            },
        )
    }

    /// From an enum value sent as a number.
    pub fn from_number(number: i64) -> Self {
        if number == 0 {
            return Self::Unspecified;
        }
        u32::try_from(number)
            .ok()
            .and_then(ReasonCode::new)
            .map_or_else(|| Self::Unknown(UnknownReason::new(&number.to_string())), Self::Known)
    }

    /// The code on Google's list, 0 to 11; `None` if there is no context or the reason is unknown.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Missing | Self::Unknown(_) => None,
            Self::Unspecified => Some(0),
            Self::Known(code) => Some(code.number()),
        }
    }

    /// The reason as audit records and error details spell it; `None` if there is no context.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Missing => None,
            Self::Unspecified => Some(NAMES[0]),
            Self::Known(code) => Some(code.as_str()),
            Self::Unknown(text) => Some(text.as_str()),
        }
    }
}

impl fmt::Display for AccessReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or("none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_reason_reads_the_same_as_name_and_number() {
        for (number, name) in NAMES.iter().enumerate() {
            let number = i64::try_from(number).expect("twelve names");
            let reason = AccessReason::from_text(name);
            assert_eq!(reason, AccessReason::from_number(number));
            assert_eq!(reason.code().map(i64::from), Some(number));
            assert_eq!(reason.as_str(), Some(*name));
        }
    }

    #[test]
    fn what_is_not_listed_is_unknown_and_bounded() {
        for reason in [
            AccessReason::from_number(12),
            AccessReason::from_number(-1),
            AccessReason::from_number(i64::MAX),
            AccessReason::from_text("5"),
            AccessReason::from_text(""),
            AccessReason::from_text("customer_initiated_access"),
            AccessReason::from_text(&"ü".repeat(1000)),
        ] {
            assert!(matches!(&reason, AccessReason::Unknown(text) if text.as_str().len() <= REASON_TEXT_MAX));
            assert_eq!(reason.code(), None, "{reason}");
        }
    }
}
