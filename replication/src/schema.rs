//! The shapes of names, ids and numbers in JSON, for an API that is described in them: what the parsers accept, once more as
//! patterns. Other types of this crate derive their shape; these have parsers of their own, which a derive cannot see.

use std::borrow::Cow;

use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::ids::{
    ADDRESS_LENGTH_MAX, AliasId, CheckValue, CryptoSpaceName, DenyId, EMAIL_LENGTH_MAX, Email, GroupId, IdempotencyId,
    ImportKeyId, KeyName, KeyVersionId, LineageId, LogIndex, NAME_LENGTH_MAX, PeerAddress, PublicKey, ReplicaId,
    Revision, RuleName, SHARDS_MAX, ShardId, SignerId, SiteName, TenantId,
};
use crate::machine::policy::Principal;
use crate::machine::request::{Base64Bytes, REQUEST_BYTES_MAX};

const NAME: &str = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
const HEX: &str = "^[0-9a-f]{32}$";
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
const ADDRESS: &str = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+):[0-9]{1,5}$";
const CALLER: &str = r"^[!#-'*+\-./0-9=?A-\[\]-~]+@[!#-'*+\-./0-9=?A-\[\]-~]+$";

fn text(pattern: &str, length_max: usize, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .pattern(Some(pattern))
        .max_length(Some(length_max))
        .description(Some(description))
        .into()
}

fn number(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .description(Some(description))
        .into()
}

macro_rules! shapes {
    ($($type:ident: $shape:expr),+ $(,)?) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $shape
                }
            }
            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    stringify!($type).into()
                }
            }
        )+
    };
}

shapes! {
    TenantId: text(NAME, NAME_LENGTH_MAX, "A tenant's name, unique in the cluster."),
    KeyName: text(NAME, NAME_LENGTH_MAX, "A key's name, unique within its tenant."),
    CryptoSpaceName: text(NAME, NAME_LENGTH_MAX, "A crypto space's name, unique within its tenant."),
    RuleName: text(NAME, NAME_LENGTH_MAX, "A rule's name, unique within its policy."),
    SignerId: text(NAME, NAME_LENGTH_MAX, "The name of somebody whose signatures count."),
    SiteName: text(NAME, NAME_LENGTH_MAX, "A site: where machines stand that fail together."),
    PeerAddress: text(ADDRESS, ADDRESS_LENGTH_MAX, "A host and a port."),
    LineageId: text(HEX, 32, "The identity of a body of key material. The status shows it."),
    KeyVersionId: text(HEX, 32, "The random part of a key version's path."),
    AliasId: text(HEX, 32, "The random part of a further path of a key version."),
    ImportKeyId: text(HEX, 32, "A key under which material can be brought in."),
    DenyId: text(HEX, 32, "A deny entry."),
    PublicKey: text("^[0-9a-f]{64}$", 64, "An Ed25519 public key."),
    CheckValue: text("^[0-9a-f]{6}$", 6, "Tells two AES keys apart: the first 3 bytes of a zero block encrypted (CKA_CHECK_VALUE)."),
    Base64Bytes: text(BASE64, REQUEST_BYTES_MAX, "Bytes in standard base64 with its padding."),
    IdempotencyId: text(HEX, 32, "Names one request: repeating it under this id changes nothing more."),
    Email: text(CALLER, EMAIL_LENGTH_MAX, "The e-mail address of a service account."),
    Principal: text(CALLER, EMAIL_LENGTH_MAX, "A caller: the e-mail address of a service account."),
    Revision: number("Grows by one with every change to the tenant or anything in it."),
    LogIndex: number("The number of an entry in a group's log."),
    ShardId: ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(1))
        .maximum(Some(SHARDS_MAX))
        .description(Some("A shard's number: the Raft group of that number holds its tenants."))
        .into(),
    ReplicaId: number("A key-store replica, numbered from 1."),
    GroupId: number("One Raft group: 0 is the system group, every other is the shard of that number."),
    Timestamp: number("Milliseconds since 1970."),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pattern and the length of a text's shape.
    fn shape(schema: RefOr<Schema>) -> (String, usize) {
        let RefOr::T(Schema::Object(object)) = schema else { panic!("a text is no reference") };
        (object.pattern.expect("a text has a pattern"), object.max_length.expect("a text has a bound"))
    }

    #[test]
    fn the_shapes_say_what_the_parsers_say_of_their_lengths() {
        assert_eq!(shape(TenantId::schema()), (NAME.to_owned(), NAME_LENGTH_MAX));
        let longest = "a".repeat(NAME_LENGTH_MAX);
        assert!(longest.parse::<TenantId>().is_ok() && format!("{longest}a").parse::<TenantId>().is_err());
        assert_eq!(shape(LineageId::schema()), (HEX.to_owned(), LineageId::from_bytes([0xab; 16]).to_string().len()));
        assert_eq!(shape(Principal::schema()).1, EMAIL_LENGTH_MAX);
    }
}
