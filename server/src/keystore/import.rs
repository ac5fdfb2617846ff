//! Bringing key material in: making the key that it is wrapped to, opening what was wrapped, and sealing it as a version.
//!
//! Whatever must be refused is refused before the import key is opened, and again by the log. Material comes out of the
//! wrapping here and leaves sealed: never in a log line, an error or an answer.

use std::sync::Arc;

use replication::ids::{IdempotencyId, ImportKeyId, KeyName, KeyVersionId, LogIndex, TenantId};
use replication::machine::command::{Action, AddVersion, CreateImportKey, CreateKey, NewVersion};
use replication::machine::outcome::{Effect, Outcome, Refusal};
use replication::machine::request::{AdminOperation, SignedRequest, WrappedMaterial};
use replication::machine::rows::{ImportKey, KeyVersion, Origin, Remembered, Sealed};
use replication::raft::group::ProposeError;
use sha2::{Digest as _, Sha256};

use crate::crypto::ImportBinding;

use super::KeyStore;
use super::complete::NewVersionOf;
use super::execute::ExecuteError;
use super::propose::Done;
use super::shards::Shard;

impl KeyStore {
    /// Makes an import key, beside the runtime: an RSA key takes a good part of a second.
    pub(super) async fn make_import_key(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        tenant: &TenantId,
    ) -> Result<Done, ExecuteError> {
        if let Some(done) = done_before(shard, id, asked)? {
            return Ok(done);
        }
        // one processor at most: all of them, busy with the keys of a hundred requests, would answer nobody's wraps. Whoever has
        // waited is refused before the time is spent, if those before took what was left
        let _making = self.making.lock().await;
        let key = ImportKeyId::from_bytes(self.parts.draw_id()?);
        let create = |public_key, sealed| {
            Action::CreateImportKey(CreateImportKey { tenant: tenant.clone(), id: key, public_key, sealed })
        };
        // tried without its halves: what is refused is refused before the time is spent
        let trial = self.completed(shard.group_id(), id, asked, create(Vec::new(), Sealed(Vec::new())));
        let tried = shard.state().apply(LogIndex(u64::MAX), &trial).map_err(|_| ExecuteError::Unexpected)?;
        if let Outcome::Refused(refusal) = tried.outcome {
            return Err(refusal.into());
        }
        let (tenant_key, entropy) = (self.parts.tenant_key(shard.id(), tenant)?, Arc::clone(&self.parts.entropy));
        let (lineage, owner) = (self.lineage, tenant.clone());
        let making = move || tenant_key.make_import_key(lineage, &owner, key, entropy.as_ref());
        let made = match tokio::task::spawn_blocking(making).await {
            Ok(made) => made?,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(ProposeError::Stopped.into()),
            },
        };
        let done = self.order(shard, id, asked, create(made.public_key, made.sealed)).await?;
        tracing::info!(signer = %asked.signer, %tenant, import_key = %key, "an import key was made");
        Ok(done)
    }

    /// Imports material as the first version of a new key, or as a further version of a key.
    pub(super) async fn import(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        operation: &AdminOperation,
    ) -> Result<Done, ExecuteError> {
        let (tenant, key, material, new_key) = match operation {
            AdminOperation::ImportKey { tenant, name, crypto_space, purpose, material } => {
                (tenant, name, material, Some((crypto_space, *purpose)))
            }
            AdminOperation::ImportVersion { tenant, key, material } => (tenant, key, material, None),
            _ => return Err(ExecuteError::Unexpected),
        };
        // the import key may have run out since, and what was done is done
        if let Some(done) = done_before(shard, id, asked)? {
            return Ok(done);
        }
        let complete = |drawn| {
            let version = self.opened(shard, (tenant, key), KeyVersionId::from_bytes(drawn), material)?;
            let (tenant, name) = (tenant.clone(), key.clone());
            Ok(match new_key {
                Some((crypto_space, purpose)) => {
                    let crypto_space = crypto_space.clone();
                    Action::CreateKey(CreateKey { tenant, name, crypto_space, purpose, version })
                }
                None => Action::AddVersion(AddVersion { tenant, key: name, version }),
            })
        };
        let done = self.order_with_path(shard, id, asked, tenant, complete).await?;
        tell(shard, asked, (tenant, key), &done);
        Ok(done)
    }

    /// What was wrapped, sealed as a version.
    fn opened(
        &self,
        shard: &Shard,
        (tenant, key): (&TenantId, &KeyName),
        version: KeyVersionId,
        material: &WrappedMaterial,
    ) -> Result<NewVersion, ExecuteError> {
        let id = material.import_key;
        let state = shard.state();
        let row = state
            .row::<ImportKey>(&(tenant.clone(), id))
            .filter(|row| row.is_live(self.parts.clock.wall()))
            .ok_or_else(|| Refusal::UnknownImportKey { tenant: tenant.clone(), id })?;
        let tenant_key = self.parts.tenant_key(shard.id(), tenant)?;
        let binding = ImportBinding { lineage: self.lineage, tenant, id, public_key: &row.public_key };
        let (wrapped, stated) = (&material.wrapped.0, material.check_value);
        let (opened, check_value) =
            tenant_key.open_wrapped(&binding, &row.sealed, wrapped, stated, &self.parts.arena)?;
        let origin = Origin::Imported { import_key: id, check_value };
        let of = NewVersionOf { lineage: self.lineage, tenant, key, version };
        Ok(self.parts.seal_version(&tenant_key, of, opened, origin)?)
    }
}

/// What a request did that was carried out before.
fn done_before(shard: &Shard, id: IdempotencyId, asked: &SignedRequest) -> Result<Option<Done>, ExecuteError> {
    let state = shard.state();
    let Some(before) = state.row::<Remembered>(&id) else { return Ok(None) };
    if before.request != <[u8; 32]>::from(Sha256::digest(&asked.bytes)) {
        return Err(Refusal::IdempotencyReused.into());
    }
    Ok(Some(Done { index: before.index, effect: before.effect.clone(), repeated: true }))
}

/// Who brought what in: the log of the group holds it too, signed.
fn tell(shard: &Shard, asked: &SignedRequest, (tenant, key): (&TenantId, &KeyName), done: &Done) {
    let (Effect::KeyMade { version, .. } | Effect::VersionAdded { version, .. }) = &done.effect else { return };
    let state = shard.state();
    if let Some(Origin::Imported { import_key, check_value }) = state.row::<KeyVersion>(version).map(|row| row.origin) {
        let signer = &asked.signer;
        tracing::info!(%signer, %tenant, %key, %version, %import_key, %check_value, "key material was imported");
    }
}
