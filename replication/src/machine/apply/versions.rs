//! Keys, their versions, and the paths and import keys that belong to them: what makes more of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Timestamp;
use crate::ids::{AliasId, KeyVersionId, TenantId};
use crate::machine::command::{AddVersion, CreateAlias, CreateImportKey, CreateKey, NewVersion};
use crate::machine::lifecycle::{self, Event, VersionState};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{Alias, CryptoSpace, ImportKey, Key, KeyVersion, Origin};
use crate::machine::state::Draft;

use super::additive::{exists, fits};
use super::{bump, tenant_of};

/// Most versions of one key, so that its row stays under 16 KiB beside the largest policy.
pub const VERSIONS_MAX: usize = 200;
/// Most further paths of one version.
pub const ALIASES_MAX: usize = 16;
/// Most import keys of one tenant that are of use at the same time.
pub const IMPORT_KEYS_MAX: usize = 8;
/// Largest public or sealed private half of an import key, in bytes.
const IMPORT_KEY_BYTES_MAX: usize = 4096;

/// What a new version is a version of.
struct Place<'a> {
    tenant: &'a TenantId,
    key: &'a crate::ids::KeyName,
    number: u32,
}

pub(super) fn create_key(draft: &mut Draft, create: &CreateKey, at: Timestamp) -> Result<Effect, Refusal> {
    tenant_of(draft, &create.tenant)?;
    if let Some(space) = &create.crypto_space
        && draft.state().row::<CryptoSpace>(&(create.tenant.clone(), space.clone())).is_none()
    {
        return Err(Refusal::UnknownCryptoSpace { tenant: create.tenant.clone(), name: space.to_string() });
    }
    let key = (create.tenant.clone(), create.name.clone());
    if draft.state().row::<Key>(&key).is_some() {
        return Err(exists("key", &create.name));
    }
    let number = 1;
    put_version(draft, &Place { tenant: &create.tenant, key: &create.name, number }, &create.version, at)?;
    let row = Key {
        crypto_space: create.crypto_space.clone(),
        purpose: create.purpose,
        policy: None,
        quota: None,
        versions: BTreeMap::from([(number, create.version.id)]),
        primary: number,
        created_at: at,
    };
    draft.put(key, row);
    Ok(Effect::KeyMade { version: create.version.id, revision: bump(draft, &create.tenant)? })
}

pub(super) fn add_version(draft: &mut Draft, add: &AddVersion, at: Timestamp) -> Result<Effect, Refusal> {
    tenant_of(draft, &add.tenant)?;
    let key = (add.tenant.clone(), add.key.clone());
    let row = draft.state().row::<Key>(&key).map(|row| row.as_ref().clone());
    let mut row = row.ok_or_else(|| Refusal::UnknownKey { tenant: add.tenant.clone(), name: add.key.clone() })?;
    if row.versions.len() >= VERSIONS_MAX {
        let remedy = "make another key".to_owned();
        return Err(too_many(&format!("key {}", add.key), "versions", row.versions.len(), remedy));
    }
    let number = row.versions.last_key_value().map_or(1, |(last, _)| last + 1);
    put_version(draft, &Place { tenant: &add.tenant, key: &add.key, number }, &add.version, at)?;
    row.versions.insert(number, add.version.id);
    row.primary = number;
    draft.put(key, row);
    Ok(Effect::VersionAdded { version: add.version.id, revision: bump(draft, &add.tenant)? })
}

fn put_version(draft: &mut Draft, place: &Place<'_>, new: &NewVersion, at: Timestamp) -> Result<(), Refusal> {
    free(draft, new.id)?;
    fits("sealed key material", &new.sealed.0)?;
    fits("a canary blob", &new.canary)?;
    if let Origin::Imported { import_key, .. } = new.origin {
        let row = draft.state().row::<ImportKey>(&(place.tenant.clone(), import_key));
        if !row.is_some_and(|row| row.is_live(at)) {
            return Err(Refusal::UnknownImportKey { tenant: place.tenant.clone(), id: import_key });
        }
    }
    // The replica that completed the command opened the canary before it proposed: that is the whole of activation
    // while there are no cohorts to activate on first.
    let state =
        lifecycle::next(VersionState::Pending, Event::Activate).expect("the table lets a pending version activate");
    let version = KeyVersion {
        tenant: place.tenant.clone(),
        key: place.key.clone(),
        number: place.number,
        state,
        algorithm: new.algorithm,
        origin: new.origin,
        destroy_at: None,
        aliases: BTreeSet::new(),
        sealed: new.sealed.clone(),
        canary: new.canary.clone(),
        created_at: at,
    };
    draft.put(new.id, version);
    Ok(())
}

/// A path leads to one version, as its own or as an alias.
fn free(draft: &Draft, id: KeyVersionId) -> Result<(), Refusal> {
    let alias = AliasId::from_bytes(*id.as_bytes());
    let is_taken = draft.state().row::<KeyVersion>(&id).is_some() || draft.state().row::<Alias>(&alias).is_some();
    if is_taken { Err(Refusal::PathTaken) } else { Ok(()) }
}

pub(super) fn create_alias(draft: &mut Draft, create: &CreateAlias, at: Timestamp) -> Result<Effect, Refusal> {
    tenant_of(draft, &create.tenant)?;
    let mut row = version_of(draft, &create.tenant, create.version)?;
    free(draft, KeyVersionId::from_bytes(*create.id.as_bytes()))?;
    if row.aliases.len() >= ALIASES_MAX {
        let remedy = "remove one with: ekmctl alias remove".to_owned();
        return Err(too_many(&format!("v0/keys/{}", create.version), "aliases", row.aliases.len(), remedy));
    }
    row.aliases.insert(create.id);
    draft.put(create.version, row);
    draft.put(create.id, Alias { tenant: create.tenant.clone(), version: create.version, created_at: at });
    Ok(Effect::AliasMade { alias: create.id, revision: bump(draft, &create.tenant)? })
}

pub(super) fn create_import_key(draft: &mut Draft, create: &CreateImportKey, at: Timestamp) -> Result<Effect, Refusal> {
    tenant_of(draft, &create.tenant)?;
    for bytes in [&create.public_key, &create.sealed.0] {
        if bytes.len() > IMPORT_KEY_BYTES_MAX {
            let (what, bytes) = ("half an import key".to_owned(), bytes.len());
            return Err(Refusal::TooLarge { what, bytes, bytes_max: IMPORT_KEY_BYTES_MAX });
        }
    }
    let rows: Vec<_> = draft.state().import_keys_of(&create.tenant).map(|(id, row)| (id, row.is_live(at))).collect();
    if rows.iter().any(|(id, _)| *id == create.id) {
        return Err(Refusal::PathTaken);
    }
    let live = rows.iter().filter(|(_, is_live)| *is_live).count();
    if live >= IMPORT_KEYS_MAX {
        let remedy = "use one of them, or wait: each is of use for a day".to_owned();
        return Err(too_many(&format!("tenant {}", create.tenant), "import keys", live, remedy));
    }
    for (id, _) in rows.iter().filter(|(_, is_live)| !is_live) {
        draft.remove::<ImportKey>(&(create.tenant.clone(), *id));
    }
    let row = ImportKey { public_key: create.public_key.clone(), sealed: create.sealed.clone(), created_at: at };
    draft.put((create.tenant.clone(), create.id), row);
    Ok(Effect::ImportKeyMade { id: create.id, revision: bump(draft, &create.tenant)? })
}

/// A version of the tenant's.
pub(super) fn version_of(draft: &Draft, tenant: &TenantId, version: KeyVersionId) -> Result<KeyVersion, Refusal> {
    match draft.state().row::<KeyVersion>(&version) {
        Some(row) if row.tenant == *tenant => Ok(row.as_ref().clone()),
        Some(_) | None => Err(Refusal::UnknownVersion { tenant: tenant.clone(), version }),
    }
}

/// The state after a legal step, or the refusal that names the state it was in.
pub(super) fn stepped(version: KeyVersionId, state: VersionState, event: Event) -> Result<VersionState, Refusal> {
    lifecycle::next(state, event).ok_or(Refusal::IllegalStep { version, state, event })
}

fn too_many(owner: &str, what: &str, count: usize, remedy: String) -> Refusal {
    Refusal::TooMany { owner: owner.to_owned(), what: what.to_owned(), count, remedy }
}
