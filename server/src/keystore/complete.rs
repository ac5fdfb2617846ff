//! Completing requests: drawing ids, making and sealing key material. Everything a command holds is decided here.
//!
//! Never proposes anything, and lets no material out unsealed.

use std::sync::Arc;

use replication::ids::{CryptoSpaceName, KeyName, KeyVersionId, LineageId, ShardId, TenantId};
use replication::machine::command::{CreateKey, CreateTenant, NewVersion};
use replication::machine::policy::Policy;
use replication::machine::rows::{Algorithm, Origin, Purpose, Staleness};

use crate::crypto::import::{ImportError, ImportKeyError};
use crate::crypto::{
    Binding, CanaryError, EntropyError, GenerateError, Material, TenantKey, UsableMaterial, WrapError, check_canary,
    make_canary,
};

use super::Parts;

/// A request could not be completed. Nothing was proposed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The tenant's key has not been opened on this replica.
    #[error("the key of tenant {0} is not open on this replica yet")]
    TenantKeyClosed(TenantId),
    /// No room or no randomness for new material.
    #[error("no key material can be made")]
    Generate(#[from] GenerateError),
    /// No randomness.
    #[error("there is no randomness")]
    Entropy(#[from] EntropyError),
    /// The canary could not be made.
    #[error("the canary cannot be made")]
    Wrap(#[from] WrapError),
    /// The canary does not open: the material must not be used.
    #[error("the canary of new material does not open")]
    Canary(#[from] CanaryError),
    /// No import key was made.
    #[error("no import key can be made")]
    ImportKey(#[from] ImportKeyError),
    /// Wrapped material cannot be opened here, and it is not its sender's mistake.
    #[error(transparent)]
    Import(ImportError),
}

impl Parts {
    /// A new tenant, its key sealed under the root.
    pub(super) fn complete_tenant(
        &self,
        lineage: LineageId,
        tenant: &TenantId,
        staleness: Staleness,
        policy: Option<Policy>,
    ) -> Result<CreateTenant, CompleteError> {
        let key = TenantKey::generate(&self.arena, self.entropy.as_ref())?;
        let envelope = self.root.0.seal(&key, lineage, tenant, self.entropy.as_ref())?;
        Ok(CreateTenant { tenant: tenant.clone(), staleness, envelopes: vec![envelope], policy })
    }

    /// A new key with a first version.
    pub(super) fn complete_key(
        &self,
        lineage: LineageId,
        shard: ShardId,
        asked: NewKey<'_>,
        version: KeyVersionId,
    ) -> Result<CreateKey, CompleteError> {
        let NewKey { tenant, name, crypto_space, purpose } = asked;
        let version = self.complete_version((lineage, shard), tenant, name, version)?;
        Ok(CreateKey {
            tenant: tenant.clone(),
            name: name.clone(),
            crypto_space: crypto_space.cloned(),
            purpose,
            version,
        })
    }

    /// A new version of a key: its material made, sealed under the tenant key, its canary made and opened.
    pub(super) fn complete_version(
        &self,
        (lineage, shard): (LineageId, ShardId),
        tenant: &TenantId,
        name: &KeyName,
        version: KeyVersionId,
    ) -> Result<NewVersion, CompleteError> {
        let tenant_key = self.tenant_key(shard, tenant)?;
        let material = Material::generate(&self.arena, self.entropy.as_ref())?;
        let of = NewVersionOf { lineage, tenant, key: name, version };
        self.seal_version(&tenant_key, of, material, Origin::Generated)
    }

    /// The key of a tenant.
    pub(super) fn tenant_key(&self, shard: ShardId, tenant: &TenantId) -> Result<Arc<TenantKey>, CompleteError> {
        self.tenant_keys.find(shard, tenant).ok_or_else(|| CompleteError::TenantKeyClosed(tenant.clone()))
    }

    /// Material as a version, wherever it came from: sealed under the tenant key, its canary made and opened.
    pub(super) fn seal_version(
        &self,
        tenant_key: &TenantKey,
        of: NewVersionOf<'_>,
        material: Material,
        origin: Origin,
    ) -> Result<NewVersion, CompleteError> {
        let NewVersionOf { lineage, tenant, key, version } = of;
        let algorithm = Algorithm::Aes256GcmSiv;
        let binding = Binding { lineage, tenant, key, version, algorithm };
        let sealed = tenant_key.seal(&material, &binding, self.entropy.as_ref())?;
        let usable = UsableMaterial::new(material, version);
        let canary = make_canary(&usable, self.entropy.as_ref())?;
        check_canary(&usable, &canary)?;
        Ok(NewVersion { id: version, algorithm, origin, sealed, canary })
    }
}

/// What a new version is a version of.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewVersionOf<'a> {
    pub(super) lineage: LineageId,
    pub(super) tenant: &'a TenantId,
    pub(super) key: &'a KeyName,
    pub(super) version: KeyVersionId,
}

/// What is asked of a new key.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewKey<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) name: &'a KeyName,
    pub(super) crypto_space: Option<&'a CryptoSpaceName>,
    pub(super) purpose: Purpose,
}
