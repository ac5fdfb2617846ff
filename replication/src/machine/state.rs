//! The applied state of one group: typed tables over persistent maps, and the one way to change them.
//!
//! A clone is a view: later changes do not touch it. Every change goes through a `Draft`, which keeps the digest and
//! the list of changed rows in step with the tables.

mod sharing;

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::{Serialize, de::DeserializeOwned};

use crate::clock::ClusterTime;
use crate::codec::{self, Undecodable};
use crate::ids::{
    AliasId, CryptoSpaceName, DenyId, IdempotencyId, ImportKeyId, KeyName, KeyVersionId, LogIndex, ReplicaId, ShardId,
    SignerId, TenantId,
};

use super::digest::Digest;
use super::outcome::Outcome;
use super::row_keys::RowKey;
use super::rows::{
    AdoptedPlan, Alias, ClusterClock, CryptoSpace, Destruction, ImportKey, Key, KeyVersion, Lift, Meta, Placement,
    Remembered, Replica, Reservation, RowKind, Shard, Signer, Tenant, Trust,
};

/// Largest encoded row value, in bytes: sled keeps smaller ones inline.
pub const ROW_BYTES_MAX: usize = 16 * 1024;

/// One table: its rows by key.
pub type Table<R> = OrdMap<<R as Row>::Key, Arc<R>>;

/// A row's value type, its key type and its table.
pub trait Row: Serialize + DeserializeOwned + Clone + PartialEq + Sized {
    /// What a row of it is found by.
    type Key: RowKey;
    /// Its kind number on disk.
    const KIND: RowKind;
    /// Its table in a state.
    fn table(state: &State) -> &Table<Self>;
    /// Its table in a state, to change.
    fn table_mut(state: &mut State) -> &mut Table<Self>;
    /// Has its names lie in memory once, where another row holds the same.
    fn share(_key: &mut Self::Key, _row: &mut Self, _state: &State) {}
}

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $row:ident by $key:ty $(=> $share:path)?),+ $(,)?) => {
        /// The applied state of one group. Cheap to clone.
        #[derive(Clone, Default, PartialEq)]
        pub struct State {
            digest: Digest,
            /// Remembered requests by age; follows the idempotency table.
            pub(super) remembered_order: OrdMap<LogIndex, IdempotencyId>,
            $($field: Table<$row>,)+
        }

        impl State {
            $($(#[$doc])* pub const fn $field(&self) -> &Table<$row> { &self.$field })+

            /// Every row, encoded, in the order of the row kinds and keys.
            pub fn rows(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
                std::iter::empty()$(.chain(self.$field.iter().map(|(key, row)| encoded(key, row.as_ref()))))+
            }

            /// The rows of these kinds that differ from those of an older state, as they are now, in the order of kinds and keys. What
            /// two states share is not looked at: it costs as much as there are differences.
            pub fn changes_since<'a>(
                &'a self,
                older: &'a Self,
                kinds: &'a [RowKind],
            ) -> impl Iterator<Item = RowChange> + 'a {
                std::iter::empty()$(.chain(
                    kinds.contains(&RowKind::$row).then(|| changed::<$row>(&older.$field, &self.$field)).into_iter().flatten()
                ))+
            }

            /// Takes over changed rows of another state; the digest stays what it was.
            ///
            /// # Errors
            /// When a key or value does not decode: then some of the rows were taken over.
            pub fn take_changes(&mut self, changes: impl IntoIterator<Item = RowChange>) -> Result<(), Undecodable> {
                for RowChange { key, value } in changes {
                    match value {
                        Some(value) => self.insert_encoded(&key, &value)?,
                        None => self.remove_encoded(&key)?,
                    }
                }
                Ok(())
            }

            fn remove_encoded(&mut self, key: &[u8]) -> Result<(), Undecodable> {
                match key.first().copied() {
                    $(Some(kind) if kind == RowKind::$row as u8 => self.remove_decoded::<$row>(key),)+
                    kind => Err(Undecodable::RowKey { kind: kind.unwrap_or(0) }),
                }
            }

            fn insert_encoded(&mut self, key: &[u8], value: &[u8]) -> Result<(), Undecodable> {
                match key.first().copied() {
                    $(Some(kind) if kind == RowKind::$row as u8 => self.insert_decoded::<$row>(key, value),)+
                    kind => Err(Undecodable::RowKey { kind: kind.unwrap_or(0) }),
                }
            }
        }

        $(impl Row for $row {
            type Key = $key;
            const KIND: RowKind = RowKind::$row;
            fn table(state: &State) -> &Table<Self> { &state.$field }
            fn table_mut(state: &mut State) -> &mut Table<Self> { &mut state.$field }
            $(fn share(key: &mut Self::Key, row: &mut Self, state: &State) { $share(key, row, state); })?
        })+
    };
}

tables! {
    /// What group this is: no row before genesis, one after.
    meta_rows: Meta by (),
    /// Whose signatures count.
    signers: Signer by SignerId,
    /// Which tokens prove a caller: at most one row.
    trust_rows: Trust by (),
    /// Which shard each tenant lives in.
    placements: Placement by TenantId,
    /// Who owns each path.
    reservations: Reservation by [u8; 16],
    /// The tenants of this shard.
    tenants: Tenant by TenantId => sharing::tenant,
    /// Their crypto spaces.
    crypto_spaces: CryptoSpace by (TenantId, CryptoSpaceName),
    /// Their keys.
    keys: Key by (TenantId, KeyName) => sharing::key,
    /// Their key versions.
    key_versions: KeyVersion by KeyVersionId => sharing::version,
    /// Plans that have not settled.
    plans: AdoptedPlan by [u8; 32],
    /// Answers that repeated requests get again.
    remembered: Remembered by IdempotencyId,
    /// Further paths of versions.
    aliases: Alias by AliasId,
    /// Keys for material to be brought in under.
    import_keys: ImportKey by (TenantId, ImportKeyId),
    /// The group's own time: at most one row.
    cluster_clock_rows: ClusterClock by (),
    /// Destructions that are scheduled, the first due first.
    destructions: Destruction by (ClusterTime, KeyVersionId),
    /// The shards of the cluster, the first perhaps not among them: see [`State::shards`].
    shard_rows: Shard by ShardId,
    /// The replicas of the cluster.
    replicas: Replica by ReplicaId,
    /// The deny entries that hold no more.
    lifts: Lift by (TenantId, DenyId),
}

fn encoded<R: Row>(key: &R::Key, row: &R) -> (Vec<u8>, Vec<u8>) {
    (encoded_key::<R>(key), codec::encode_row(row))
}

fn encoded_key<R: Row>(key: &R::Key) -> Vec<u8> {
    let mut bytes = vec![R::KIND as u8];
    key.write(&mut bytes);
    bytes
}

/// The rows of a table that differ from those of an older one.
fn changed<'a, R: Row + 'a>(older: &'a Table<R>, newer: &'a Table<R>) -> impl Iterator<Item = RowChange> + 'a
where
    R::Key: 'a,
{
    older.diff(newer).map(|item| match item {
        DiffItem::Add(key, row) | DiffItem::Update { new: (key, row), .. } => {
            RowChange { key: encoded_key::<R>(key), value: Some(codec::encode_row(row.as_ref())) }
        }
        DiffItem::Remove(key, _) => RowChange { key: encoded_key::<R>(key), value: None },
    })
}

impl State {
    /// The state before the first entry.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The digest over all rows.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What group this is, once its genesis entry is applied.
    pub fn meta(&self) -> Option<&Arc<Meta>> {
        self.meta_rows.get(&())
    }

    /// Which tokens prove a caller, in group 0.
    pub fn trust(&self) -> Option<&Arc<Trust>> {
        self.trust_rows.get(&())
    }

    /// The shards of the cluster, as group 0 knows them, in the order of their numbers. The first one needs no row.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        let others = self.shard_rows.keys().copied().filter(|shard| *shard != ShardId::FIRST);
        std::iter::once(ShardId::FIRST).chain(others)
    }

    /// Whether the cluster has that shard, as group 0 knows.
    pub fn has_shard(&self, shard: ShardId) -> bool {
        shard == ShardId::FIRST || self.shard_rows.contains_key(&shard)
    }

    /// The one replica that begins the group of a shard, as group 0 knows.
    pub fn founder(&self, shard: ShardId) -> Option<ReplicaId> {
        self.shard_rows.get(&shard).map(|row| row.founder)
    }

    /// Whether group 0 says that there is something in a shard.
    pub fn is_used(&self, shard: ShardId) -> bool {
        self.reservations.values().any(|row| row.shard == shard)
            || self.placements.values().any(|row| row.shard == shard)
    }

    /// The group's own time.
    pub fn cluster_time(&self) -> ClusterTime {
        self.cluster_clock().now
    }

    /// The group's own time, with what a tick must know of it.
    pub fn cluster_clock(&self) -> ClusterClock {
        self.cluster_clock_rows.get(&()).map_or_else(ClusterClock::default, |clock| **clock)
    }

    /// One row by its key.
    pub fn row<R: Row>(&self, key: &R::Key) -> Option<&Arc<R>> {
        R::table(self).get(key)
    }

    /// A state from every row of another, as [`State::rows`] gave them. The digest is computed anew from them.
    ///
    /// # Errors
    /// When a key or value does not decode; two rows of one key cannot be told from one and show in the digest.
    pub fn from_rows(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, Undecodable> {
        let mut state = Self::empty();
        for (key, value) in rows {
            state.insert_encoded(&key, &value)?;
            state.digest.add(&key, &value);
        }
        state.remembered_order = state.remembered.iter().map(|(id, row)| (row.index, *id)).collect();
        Ok(state)
    }

    fn insert_decoded<R: Row>(&mut self, key: &[u8], value: &[u8]) -> Result<(), Undecodable> {
        let kind = R::KIND as u8;
        let mut key = R::Key::read(&key[1..]).ok_or(Undecodable::RowKey { kind })?;
        let mut row = codec::decode_row(value)?;
        R::share(&mut key, &mut row, self);
        R::table_mut(self).insert(key, Arc::new(row));
        Ok(())
    }

    fn remove_decoded<R: Row>(&mut self, key: &[u8]) -> Result<(), Undecodable> {
        let key = R::Key::read(&key[1..]).ok_or(Undecodable::RowKey { kind: R::KIND as u8 })?;
        R::table_mut(self).remove(&key);
        Ok(())
    }

    /// The crypto spaces of one tenant, by name.
    pub fn crypto_spaces_of(&self, tenant: &TenantId) -> impl Iterator<Item = (&CryptoSpaceName, &Arc<CryptoSpace>)> {
        let tenant = tenant.clone();
        self.crypto_spaces
            .range((tenant.clone(), CryptoSpaceName::first())..)
            .take_while(move |((owner, _), _)| *owner == tenant)
            .map(|((_, name), space)| (name, space))
    }

    /// The import keys of one tenant, by id.
    pub fn import_keys_of(&self, tenant: &TenantId) -> impl Iterator<Item = (ImportKeyId, &Arc<ImportKey>)> {
        let tenant = tenant.clone();
        self.import_keys
            .range((tenant.clone(), ImportKeyId::from_bytes([0; 16]))..)
            .take_while(move |((owner, _), _)| *owner == tenant)
            .map(|((_, id), key)| (*id, key))
    }

    /// The keys of one tenant, by name.
    pub fn keys_of(&self, tenant: &TenantId) -> impl Iterator<Item = (&KeyName, &Arc<Key>)> {
        let tenant = tenant.clone();
        self.keys
            .range((tenant.clone(), KeyName::first())..)
            .take_while(move |((owner, _), _)| *owner == tenant)
            .map(|((_, name), key)| (name, key))
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({})", self.digest)
    }
}

/// One changed row, for a mirror of the state: `value` is `None` where the row is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The row's encoded key.
    pub key: Vec<u8>,
    /// Its encoded value.
    pub value: Option<Vec<u8>>,
}

/// What one entry came to: the state after it, its outcome, and the rows it changed, each once.
#[derive(Debug, Clone)]
pub struct Transition {
    /// The state after the entry.
    pub state: State,
    /// What the entry came to.
    pub outcome: Outcome,
    /// The rows that differ from the state before.
    pub rows: Vec<RowChange>,
}

/// A state being changed by one entry.
pub(super) struct Draft {
    state: State,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Draft {
    pub(super) fn of(state: &State) -> Self {
        Self { state: state.clone(), changes: BTreeMap::new() }
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Writes a row, new or instead of the one of that key.
    pub(super) fn put<R: Row>(&mut self, mut key: R::Key, mut row: R) {
        R::share(&mut key, &mut row, &self.state);
        let (key_bytes, value_bytes) = encoded(&key, &row);
        if let Some(old) = R::table_mut(&mut self.state).insert(key, Arc::new(row)) {
            self.state.digest.subtract(&key_bytes, &codec::encode_row(old.as_ref()));
        }
        self.state.digest.add(&key_bytes, &value_bytes);
        self.changes.insert(key_bytes, Some(value_bytes));
    }

    /// Removes a row, if it is there.
    pub(super) fn remove<R: Row>(&mut self, key: &R::Key) {
        if let Some(old) = R::table_mut(&mut self.state).remove(key) {
            let key_bytes = encoded_key::<R>(key);
            self.state.digest.subtract(&key_bytes, &codec::encode_row(old.as_ref()));
            self.changes.insert(key_bytes, None);
        }
    }

    /// Keeps an answer for repeated requests, and forgets the oldest beyond `bound`.
    pub(super) fn remember(&mut self, id: IdempotencyId, row: Remembered, bound: usize) {
        self.state.remembered_order.insert(row.index, id);
        self.put(id, row);
        while self.state.remembered_order.len() > bound {
            let Some((index, oldest)) = self.state.remembered_order.get_min().copied() else { return };
            self.state.remembered_order.remove(&index);
            self.remove::<Remembered>(&oldest);
        }
    }

    /// The largest value written, in bytes.
    pub(super) fn largest_row(&self) -> usize {
        self.changes.values().flatten().map(Vec::len).max().unwrap_or(0)
    }

    pub(super) fn finish(self, outcome: Outcome) -> Transition {
        let rows = self.changes.into_iter().map(|(key, value)| RowChange { key, value }).collect();
        Transition { state: self.state, outcome, rows }
    }
}
