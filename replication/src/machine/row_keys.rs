//! Row keys to bytes and back: the bytes after the kind byte, ordered as the keys are.

use crate::clock::ClusterTime;
use crate::ids::{
    AliasId, CryptoSpaceName, DenyId, GroupId, IdempotencyId, ImportKeyId, KeyName, KeyVersionId, ReplicaId, ShardId,
    SignerId, TenantId,
};

/// A key of rows. `read(write(key)) == key`, and no other bytes read to it.
pub trait RowKey: Ord + Clone {
    /// Appends the key's bytes.
    fn write(&self, bytes: &mut Vec<u8>);
    /// The key of these bytes, all of them, or `None`.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl RowKey for () {
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

impl<const N: usize> RowKey for [u8; N] {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

macro_rules! id_key {
    ($($id:ident),+) => {$(
        impl RowKey for $id {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(self.as_bytes());
            }
            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_bytes)
            }
        }
    )+};
}

id_key!(KeyVersionId, AliasId, ImportKeyId, IdempotencyId, DenyId);

/// Eight bytes of time, the highest first, so that rows lie in the order in which they are due.
impl RowKey for (ClusterTime, KeyVersionId) {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.0.to_be_bytes());
        self.1.write(bytes);
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (due, version) = bytes.split_first_chunk::<8>()?;
        Some((ClusterTime(u64::from_be_bytes(*due)), KeyVersionId::read(version)?))
    }
}

/// Two bytes, the higher first, so that rows lie in the order of the numbers.
impl RowKey for ShardId {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.get().to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::of(GroupId(u16::from_be_bytes(bytes.try_into().ok()?)))
    }
}

/// Eight bytes, the highest first.
impl RowKey for ReplicaId {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

macro_rules! name_key {
    ($($name:ident),+) => {$(
        impl RowKey for $name {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(self.as_str().as_bytes());
            }
            fn read(bytes: &[u8]) -> Option<Self> {
                std::str::from_utf8(bytes).ok()?.parse().ok()
            }
        }
    )+};
}

name_key!(TenantId, KeyName, CryptoSpaceName, SignerId);

/// A tenant's name, a zero byte (which no name holds), and a name within the tenant.
impl<K: RowKey> RowKey for (TenantId, K) {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        bytes.push(0);
        self.1.write(bytes);
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let zero = bytes.iter().position(|byte| *byte == 0)?;
        Some((TenantId::read(&bytes[..zero])?, K::read(&bytes[zero + 1..])?))
    }
}
