//! A state with many versions, put together row by row: sealed material and canaries are real, so that every version can be used.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;

use replication::clock::Timestamp;
use replication::ids::{Generation, GroupId, KeyName, KeyVersionId, LineageId, Revision, ShardId, TenantId, key_path};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::{Operation, Policy, Principal, Rule};
use replication::machine::rows::{
    Algorithm, Key, KeyVersion, Meta, Origin, Placement, Purpose, Staleness, Tenant, Trust,
};
use replication::machine::state::{Row, State};
use server::crypto::{Arena, Binding, LockPolicy, Material, SystemEntropy, TenantKey, UsableMaterial, make_canary};

pub const LINEAGE: LineageId = LineageId::from_bytes([0x5e; 16]);
pub const ISSUER: &str = "https://issuer.invalid";
pub const AUDIENCE: &str = "https://localhost";
pub const CALLER: &str = "service-0@gcp-sa-ekms.iam.gserviceaccount.com";

/// Group 0, a shard, and the keys of its tenants.
pub struct Made {
    pub system: State,
    pub shard: State,
    pub tenant_keys: BTreeMap<TenantId, TenantKey>,
    versions: Vec<KeyVersionId>,
}

impl Made {
    /// A tenant with so many keys of one version each, and the reserved one with its canary.
    pub fn of(versions: u32) -> Result<Self, Box<dyn Error>> {
        let arena = Arena::new(NonZeroU32::new(16).ok_or("16 is zero")?, LockPolicy::Warn)?;
        let mut made = Self {
            system: State::empty(),
            shard: State::empty(),
            tenant_keys: BTreeMap::new(),
            versions: Vec::with_capacity(versions as usize),
        };
        let meta = |group| Meta { lineage: LINEAGE, generation: Generation::FIRST, group, dev: false };
        put(&mut made.system, (), meta(GroupId::SYSTEM));
        put(&mut made.system, (), Trust { issuers: vec![ISSUER.into()], audiences: vec![AUDIENCE.into()] });
        put(&mut made.shard, (), meta(ShardId::FIRST.group()));
        let acme: TenantId = "acme".parse()?;
        put(&mut made.system, acme.clone(), Placement { shard: ShardId::FIRST });
        made.tenant(&arena, &"system".parse()?, Principal::Probe)?;
        made.key(&arena, &"system".parse()?, &"canary".parse()?, KeyVersionId::from_bytes([0xff; 16]))?;
        made.tenant(&arena, &acme, Principal::ServiceAccount(CALLER.parse()?))?;
        for number in 0..versions {
            // spread like random ids, and the same in every run
            let spread = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let id = KeyVersionId::from_bytes(spread.to_be_bytes());
            made.key(&arena, &acme, &format!("key-{number}").parse()?, id)?;
            made.versions.push(id);
        }
        Ok(made)
    }

    /// The paths of so many versions, spread evenly.
    pub fn some(&self, count: usize) -> Vec<String> {
        let step = (self.versions.len() / count).max(1);
        self.versions.iter().step_by(step).take(count).map(|id| key_path(*id)).collect()
    }

    fn tenant(&mut self, arena: &Arc<Arena>, tenant: &TenantId, caller: Principal) -> Result<(), Box<dyn Error>> {
        let rule = Rule {
            name: "all".parse()?,
            callers: [caller].into(),
            resources: Vec::new(),
            operations: Operation::ALL.into(),
            justifications: None,
        };
        let row = Tenant {
            revision: Revision::default(),
            staleness: Staleness::Available,
            policy: Some(Policy { denies: Vec::new(), grants: vec![rule] }),
            quota: None,
            envelopes: Vec::new(),
            created_at: Timestamp(0),
        };
        put(&mut self.shard, tenant.clone(), row);
        self.tenant_keys.insert(tenant.clone(), TenantKey::generate(arena, &SystemEntropy)?);
        Ok(())
    }

    fn key(
        &mut self,
        arena: &Arc<Arena>,
        tenant: &TenantId,
        name: &KeyName,
        version: KeyVersionId,
    ) -> Result<(), Box<dyn Error>> {
        let algorithm = Algorithm::Aes256GcmSiv;
        let material = Material::generate(arena, &SystemEntropy)?;
        let binding = Binding { lineage: LINEAGE, tenant, key: name, version, algorithm };
        let sealed = self.tenant_keys.get(tenant).ok_or("no such tenant")?.seal(&material, &binding, &SystemEntropy)?;
        let canary = make_canary(&UsableMaterial::new(material, version), &SystemEntropy)?;
        let key = Key {
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
            policy: None,
            quota: None,
            versions: BTreeMap::from([(1, version)]),
            primary: 1,
            created_at: Timestamp(0),
        };
        put(&mut self.shard, (tenant.clone(), name.clone()), key);
        let row = KeyVersion {
            tenant: tenant.clone(),
            key: name.clone(),
            number: 1,
            state: VersionState::Enabled,
            algorithm,
            origin: Origin::Generated,
            destroy_at: None,
            aliases: std::collections::BTreeSet::new(),
            sealed,
            canary,
            created_at: Timestamp(0),
        };
        put(&mut self.shard, version, row);
        Ok(())
    }
}

fn put<R: Row>(state: &mut State, key: R::Key, row: R) {
    R::table_mut(state).insert(key, Arc::new(row));
}
