//! The words of an access policy, as rows store them and operators write them. Deciding by them is not done here.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{CryptoSpaceName, Email, IdError, KeyName, RuleName};

/// Most rules in one policy, denies and grants together.
pub const POLICY_RULES_MAX: usize = 128;
/// Largest policy, in encoded bytes, so that its row stays well under 16 KiB.
pub const POLICY_BYTES_MAX: usize = 12 * 1024;

/// What may be done with a key through Google's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Encrypt opaque bytes.
    Wrap,
    /// Decrypt a wrapped blob.
    Unwrap,
}

impl Operation {
    /// Every operation, in the order of the enum.
    pub const ALL: [Self; 2] = [Self::Wrap, Self::Unwrap];

    /// The operation as metrics, audit records and `ekmctl` spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
        }
    }
}

/// Whom a rule can name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// A service account, proven by a token of a configured issuer.
    ServiceAccount(Email),
    /// The health probe of the answering process itself, spelled `probe`. Has no `@`, so no token from outside can claim
    /// to be it; named only by the canary keys of the reserved tenant.
    Probe,
}

impl FromStr for Principal {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "probe" { Ok(Self::Probe) } else { text.parse().map(Self::ServiceAccount) }
    }
}

impl TryFrom<String> for Principal {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount(email) => email.fmt(f),
            Self::Probe => f.write_str("probe"),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which Cloud KMS resources a rule covers; an absent part covers every value. Matched against
/// `projects/P/locations/L/keyRings/R/cryptoKeys/K…`. A request without a resource name matches only an empty pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResourcePattern {
    /// Project id or number, exactly.
    pub project: Option<String>,
    /// Location, exactly.
    pub location: Option<String>,
    /// Key ring, exactly.
    pub key_ring: Option<String>,
    /// Crypto key, exactly.
    pub crypto_key: Option<String>,
}

/// Which stated reasons a rule covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Justifications {
    /// Codes of Google's key access justifications, 0 to 11.
    pub codes: BTreeSet<u32>,
    /// Whether a request without any access reason context is covered too.
    pub allow_missing: bool,
}

/// Who or what a deny entry shuts out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A caller, from every key of the tenant.
    Caller(Email),
    /// A key, with all its versions, for every caller.
    Key(KeyName),
}

impl Subject {
    /// Its name alone.
    pub fn name(&self) -> String {
        match self {
            Self::Caller(caller) => caller.to_string(),
            Self::Key(key) => key.to_string(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(caller) => write!(f, "the caller {caller}"),
            Self::Key(key) => write!(f, "the key {key}"),
        }
    }
}

/// One line of a policy. A deny covers what it matches; so does a grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Quoted by audit records and refusals; unique within its policy.
    pub name: RuleName,
    /// Whom it covers. Never empty.
    pub callers: BTreeSet<Principal>,
    /// Which resources it covers; empty covers all.
    #[serde(default)]
    pub resources: Vec<ResourcePattern>,
    /// Which operations it covers. Never empty.
    pub operations: BTreeSet<Operation>,
    /// Which reasons it covers; `None` covers every reason and none.
    #[serde(default)]
    pub justifications: Option<Justifications>,
}

/// Where a policy or a quota stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Level {
    /// The tenant itself.
    Tenant,
    /// One crypto space of it.
    CryptoSpace(CryptoSpaceName),
    /// One key of it.
    Key(KeyName),
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("the tenant"),
            Self::CryptoSpace(name) => write!(f, "crypto space {name}"),
            Self::Key(name) => write!(f, "key {name}"),
        }
    }
}

/// Denies and grants, at a tenant, a crypto space or a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Any match refuses, at whatever level it stands.
    #[serde(default)]
    pub denies: Vec<Rule>,
    /// The nearest level that has a policy decides by these.
    #[serde(default)]
    pub grants: Vec<Rule>,
}

impl Policy {
    /// Denies first, then grants, in the order written.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.denies.iter().chain(&self.grants)
    }
}
