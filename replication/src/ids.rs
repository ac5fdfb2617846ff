//! Names and ids, parsed once at the edge and carried as types from there on.
//!
//! An id that exists is valid: there is no second check behind the parser, and no way to make one around it.

mod address;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use address::{ADDRESS_LENGTH_MAX, PeerAddress};

/// Why a name or id was refused. The text is for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 1 to 63 characters of `a-z`, `0-9` and `-`, beginning with a letter and not ending with `-`.
    #[error("a {what} is 1 to 63 characters of a-z, 0-9 and '-', begins with a letter and does not end with '-'")]
    Name {
        /// Which kind of name was meant.
        what: &'static str,
    },
    /// Not exactly so many lower-case hexadecimal digits.
    #[error("the {what} is {digits} lower-case hexadecimal digits")]
    Hex {
        /// Which kind of id was meant.
        what: &'static str,
        /// How many digits it has.
        digits: usize,
    },
    /// Not a number from 1 to 65 535.
    #[error("a shard is a number from 1 on")]
    Shard,
    /// Not a host and a port.
    #[error("an address is a host name or IP address, a colon and a port from 1 to 65535, as in host.example:9001")]
    Address,
    /// Not an e-mail address of at most 254 characters.
    #[error("a caller is the e-mail address of a service account, at most 254 characters")]
    Email,
}

/// Longest tenant, crypto space, key, rule or signer name, in characters.
pub const NAME_LENGTH_MAX: usize = 63;
/// Longest caller e-mail, in bytes.
pub const EMAIL_LENGTH_MAX: usize = 254;

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=NAME_LENGTH_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first name in order: where a range over names begins.
            pub fn first() -> Self {
                Self("a".into())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(IdError::Name { what: $what }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

name! {
    /// A tenant: the unit of isolation, living in exactly one shard. Chosen by an operator, unique in the cluster.
    TenantId, "tenant"
}
name! {
    /// A key's name, unique within its tenant. Google never sees it.
    KeyName, "key name"
}
name! {
    /// A crypto space's name, unique within its tenant. Google never sees it.
    CryptoSpaceName, "crypto space name"
}
name! {
    /// The name of one policy rule, unique within its policy. Audit records and refusals quote it.
    RuleName, "rule name"
}
name! {
    /// Who signed: a person with a role, or a key-store replica. Unique within a group.
    SignerId, "signer"
}

name! {
    /// A place that fails as a whole: a building, or a part of one with power and network of its own.
    SiteName, "site"
}
name! {
    /// A frontend, as its certificate, its key stores and its audit records name it. Unique in the cluster.
    FrontendName, "frontend"
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From its bytes, as stored.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// Its bytes, as stored.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self).ok_or(IdError::Hex { what: $what, digits: 2 * $bytes })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; $bytes]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

hex_id! {
    /// The identity of a body of key material, kept by restore and recovery. Bound into every seal.
    LineageId, "lineage id", 16
}
hex_id! {
    /// One store of one group on one replica, from its first moment on: drawn at random when the store is made, so that one
    /// that comes back empty under the replica's old id is known for another.
    Incarnation, "store incarnation", 16
}
hex_id! {
    /// One key version: one immutable key material, one path for ever.
    KeyVersionId, "key version id", 16
}
hex_id! {
    /// A further path of a key version, of the same shape as its own: `v0/keys/<id>`.
    AliasId, "alias id", 16
}
hex_id! {
    /// A key that the cluster made so that key material can be brought in under it.
    ImportKeyId, "import key id", 16
}
hex_id! {
    /// An Ed25519 public key (RFC 8032).
    PublicKey, "public key", 32
}
hex_id! {
    /// What tells two AES keys apart without telling either: the first 3 bytes of a zero block encrypted under the key, as
    /// PKCS #11 defines `CKA_CHECK_VALUE`.
    CheckValue, "check value", 3
}
hex_id! {
    /// One crypto space; its path is `v0/cryptospaces/<id>`.
    CryptoSpaceId, "crypto space id", 16
}
hex_id! {
    /// A deny entry: a digest of the request that asks for it.
    DenyId, "deny entry id", 16
}
hex_id! {
    /// Names one request of an operator, or one automatic step, so that repeating it changes nothing more.
    IdempotencyId, "idempotency id", 16
}

/// Which incarnation of a cluster: grows by one at every recovery from quorum loss, never otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u16);

impl Generation {
    /// The generation of a cluster that never recovered.
    pub const FIRST: Self = Self(1);

    /// Lays the generation over the first two bytes of 16 random ones, so that two halves of a forked
    /// cluster can never make the same id. 112 bits of chance remain.
    pub const fn stamp(self, mut random: [u8; 16]) -> [u8; 16] {
        let generation = self.0.to_be_bytes();
        random[0] = generation[0];
        random[1] = generation[1];
        random
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One Raft group: 0 is the system group, every other number is the shard of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u16);

impl GroupId {
    /// Group 0: what belongs to the cluster rather than to a tenant.
    pub const SYSTEM: Self = Self(0);
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Most shards of a cluster, and the highest number of one: each is a Raft group with files and tasks of its own on every replica.
pub const SHARDS_MAX: u16 = 64;

/// One shard, numbered from 1. A tenant lives in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub std::num::NonZeroU16);

impl ShardId {
    /// The first shard: every cluster is founded with it.
    pub const FIRST: Self = Self(std::num::NonZeroU16::MIN);

    /// The shard whose log a group orders; `None` of the system group.
    pub fn of(group: GroupId) -> Option<Self> {
        std::num::NonZeroU16::new(group.0).map(Self)
    }

    /// The Raft group that orders this shard's log.
    pub const fn group(self) -> GroupId {
        GroupId(self.0.get())
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ShardId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self).map_err(|_| IdError::Shard)
    }
}

/// One key-store replica. Never reused: a replica that lost its disk comes back under a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry's position in its group's log, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogIndex(pub u64);

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the changes of one tenant; a plan names the revision that it was made on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The e-mail address of a service account: exactly one `@`, at most [`EMAIL_LENGTH_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(std::sync::Arc<str>);

impl Email {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut parts = text.split('@');
        let (local, domain, rest) = (parts.next(), parts.next(), parts.next());
        let legal = |part: Option<&str>| {
            part.is_some_and(|p| {
                !p.is_empty() && p.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\<>(),;:".contains(&b))
            })
        };
        if text.len() <= EMAIL_LENGTH_MAX && legal(local) && legal(domain) && rest.is_none() {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Email)
        }
    }
}

impl TryFrom<String> for Email {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0.as_ref().to_owned()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lower-case hexadecimal text to bytes; `None` unless exactly `2 * N` such digits.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The path Google is given for a key version: `v0/keys/<32 hex digits>`, without a leading slash.
pub fn key_path(version: KeyVersionId) -> String {
    format!("v0/keys/{version}")
}

/// The path Google is given for an alias: of the same shape as a version's own.
pub fn alias_path(alias: AliasId) -> String {
    format!("v0/keys/{alias}")
}

/// The path Google is given for a crypto space: `v0/cryptospaces/<32 hex digits>`, without a leading slash.
pub fn crypto_space_path(space: CryptoSpaceId) -> String {
    format!("v0/cryptospaces/{space}")
}

/// The key version that a path names, or `None` if the path is of no such shape. A leading slash is accepted.
pub fn parse_key_path(path: &str) -> Option<KeyVersionId> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_prefix("v0/keys/")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_a_shell_or_a_path_would_misread() {
        for good in ["a", "acme", "k1", "a-b-c", &"a".repeat(63)] {
            assert_eq!(good.parse::<TenantId>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "1a", "-a", "a-", "A", "a_b", "a/b", "a.b", "ä", "a b", &"a".repeat(64)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn emails_hold_exactly_one_at() {
        assert!("service-1@gcp-sa-ekms.iam.gserviceaccount.com".parse::<Email>().is_ok());
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a\n@b", &format!("{}@b", "a".repeat(253))] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_path_has_one_spelling() {
        let id = KeyVersionId::from_bytes([0xab; 16]);
        assert_eq!(parse_key_path(&key_path(id)), Some(id));
        assert_eq!(parse_key_path(&format!("/{}", key_path(id))), Some(id));
        let upper = key_path(id).to_uppercase();
        for bad in [upper.as_str(), "v0/keys/", "v0/keys/ab", "v0//keys/abababababababababababababababab"] {
            assert_eq!(parse_key_path(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_id_carries_its_generation() {
        assert_eq!(&Generation(0x0203).stamp([0xff; 16])[..3], &[2, 3, 0xff]);
    }
}
