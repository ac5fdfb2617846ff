//! Bytes to commands and rows, and back. Every encoding opens with `format | kind | version`.
//!
//! Total: any bytes either decode to exactly what encodes to them, or are refused. An unknown format, kind or version
//! and trailing bytes are refused. The kind numbers stand in logs on customers' disks: never reuse one.

use serde::{Serialize, de::DeserializeOwned};

use crate::clock::Timestamp;
use crate::ids::{IdempotencyId, SignerId};
use crate::machine::command::{Action, Command, SignedCommand};
use crate::machine::request::SignedRequest;

/// The format byte of everything this release writes.
pub const FORMAT: u8 = 1;
/// The version of every kind this release writes.
const VERSION: u8 = 1;
/// The kind of a log entry: a signed command.
const KIND_ENTRY: u8 = 0x80;
/// The kind of a row's value.
const KIND_ROW: u8 = 0x81;
/// The kind of what proves a deny entry: a second officer's signed request.
const KIND_DENY: u8 = 0x82;

/// Bytes that this release cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Fewer than the three leading bytes.
    #[error("too short to hold format, kind and version")]
    Short,
    /// A format, kind or version that this release does not know: written by a newer one, or not written by us.
    #[error("format {format}, kind {kind}, version {version} is not known to this release")]
    Unknown {
        /// The first byte.
        format: u8,
        /// The second byte.
        kind: u8,
        /// The third byte.
        version: u8,
    },
    /// The content is not what its kind says.
    #[error("the content does not decode")]
    Content(#[source] postcard::Error),
    /// There is more after the content.
    #[error("{count} bytes follow the content")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// It decodes, but is not how it encodes: a number in more bytes than it needs, or a set out of order.
    #[error("the content is spelled in a way that this release does not write")]
    Spelling,
    /// A row's key is of no known shape.
    #[error("a row key of kind {kind} does not decode")]
    RowKey {
        /// Its first byte, 0 if it has none.
        kind: u8,
    },
}

fn encode<T: Serialize>(kind: u8, content: &T) -> Vec<u8> {
    postcard::to_extend(content, vec![FORMAT, kind, VERSION])
        .expect("every encoded type holds only what postcard can write, and a vector grows")
}

fn open(bytes: &[u8]) -> Result<(u8, &[u8]), Undecodable> {
    match bytes {
        [FORMAT, kind, VERSION, content @ ..] => Ok((*kind, content)),
        [format, kind, version, ..] => Err(Undecodable::Unknown { format: *format, kind: *kind, version: *version }),
        _ => Err(Undecodable::Short),
    }
}

fn decode<T: Serialize + DeserializeOwned>(content: &[u8]) -> Result<T, Undecodable> {
    let (value, rest) = postcard::take_from_bytes::<T>(content).map_err(Undecodable::Content)?;
    if !rest.is_empty() {
        return Err(Undecodable::Trailing { count: rest.len() });
    }
    // postcard also reads numbers in too many bytes, and sets and maps in any order; a digest is over bytes, so two
    // spellings of one row would be two states
    let spelled = postcard::to_extend(&value, Vec::with_capacity(content.len()))
        .expect("every encoded type holds only what postcard can write, and a vector grows");
    if spelled == content { Ok(value) } else { Err(Undecodable::Spelling) }
}

fn expect_kind<T: Serialize + DeserializeOwned>(expected: u8, bytes: &[u8]) -> Result<T, Undecodable> {
    match open(bytes)? {
        (kind, content) if kind == expected => decode(content),
        (kind, _) => Err(Undecodable::Unknown { format: FORMAT, kind, version: VERSION }),
    }
}

/// A log entry's bytes.
pub fn encode_entry(entry: &SignedCommand) -> Vec<u8> {
    encode(KIND_ENTRY, &(&entry.command, &entry.signer, &entry.signature))
}

/// A log entry from its bytes.
///
/// # Errors
/// [`Undecodable`], saying why.
pub fn decode_entry(bytes: &[u8]) -> Result<SignedCommand, Undecodable> {
    let (command, signer, signature): (Vec<u8>, SignerId, Vec<u8>) = expect_kind(KIND_ENTRY, bytes)?;
    Ok(SignedCommand { command, signer, signature })
}

/// A row value's bytes.
pub fn encode_row<T: Serialize>(value: &T) -> Vec<u8> {
    encode(KIND_ROW, value)
}

/// A row value from its bytes.
///
/// # Errors
/// [`Undecodable`], saying why.
pub fn decode_row<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Undecodable> {
    expect_kind(KIND_ROW, bytes)
}

/// The bytes of what proves a deny entry.
pub fn encode_deny(proof: &SignedRequest) -> Vec<u8> {
    encode(KIND_DENY, proof)
}

/// What proves a deny entry, from its bytes.
///
/// # Errors
/// [`Undecodable`], saying why.
pub fn decode_deny(bytes: &[u8]) -> Result<SignedRequest, Undecodable> {
    expect_kind(KIND_DENY, bytes)
}

macro_rules! actions {
    ($($number:literal => $action:ident),+ $(,)?) => {
        /// A command's bytes, as the replica signs them. The kind byte is the number of its action.
        pub fn encode_command(command: &Command) -> Vec<u8> {
            let Command { at, idempotency_id, request, action } = command;
            match action {
                $(Action::$action(content) => encode($number, &(at, idempotency_id, request, content)),)+
            }
        }

        /// A command from its bytes.
        ///
        /// # Errors
        /// [`Undecodable`], saying why.
        pub fn decode_command(bytes: &[u8]) -> Result<Command, Undecodable> {
            let (kind, content) = open(bytes)?;
            match kind {
                $($number => {
                    let (at, idempotency_id, request, content): Framed<_> = decode(content)?;
                    Ok(Command { at, idempotency_id, request, action: Action::$action(content) })
                })+
                kind => Err(Undecodable::Unknown { format: FORMAT, kind, version: VERSION }),
            }
        }
    };
}

type Framed<T> = (Timestamp, IdempotencyId, Option<SignedRequest>, T);

actions! {
    1 => Genesis,
    2 => PlaceTenant,
    3 => ReservePath,
    4 => CreateTenant,
    5 => CreateCryptoSpace,
    6 => CreateKey,
    7 => AddGrant,
    8 => StepVersion,
    9 => AdoptPlan,
    10 => AdvanceStage,
    11 => AddVersion,
    12 => CreateAlias,
    13 => CreateImportKey,
    14 => EnrolSigner,
    15 => RevokeSigner,
    16 => Tick,
    17 => DestroyVersion,
    18 => AddShard,
    19 => AddReplica,
    20 => LiftDeny,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_decodes_has_one_spelling() {
        let set = BTreeSet::from([1_u32, 300]);
        assert_eq!(encode_row(&set), [FORMAT, KIND_ROW, VERSION, 2, 1, 0xac, 2]);
        assert_eq!(decode_row(&encode_row(&set)), Ok(set));
        for (content, refusal) in [
            (&[2, 0xac, 2, 1][..], Undecodable::Spelling),
            (&[2, 1, 1], Undecodable::Spelling),
            (&[2, 0x81, 0, 0xac, 2], Undecodable::Spelling),
            (&[0x82, 0, 1, 0xac, 2], Undecodable::Spelling),
            (&[2, 1, 0xac, 2, 0], Undecodable::Trailing { count: 1 }),
        ] {
            let row = [&[FORMAT, KIND_ROW, VERSION], content].concat();
            assert_eq!(decode_row::<BTreeSet<u32>>(&row), Err(refusal), "{content:02x?}");
        }
        let entry = SignedCommand {
            command: Vec::new(),
            signer: "replica-1".parse().expect("a legal name"),
            signature: Vec::new(),
        };
        let mut bytes = encode_entry(&entry);
        assert_eq!(decode_entry(&bytes), Ok(entry));
        // the length of the command, zero, in two bytes instead of one
        bytes.splice(3..4, [0x80, 0]);
        assert_eq!(decode_entry(&bytes), Err(Undecodable::Spelling));
    }
}
