//! What operators look at, read from the state as applied here. A tenant out of an operator's reach, and the reserved one,
//! is not shown and not counted: it looks as if it were not there.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use replication::clock::Timestamp;
use replication::ids::{
    AliasId, CryptoSpaceName, ImportKeyId, KeyName, KeyVersionId, ShardId, TenantId, alias_path, crypto_space_path,
    key_path,
};
use replication::machine::outcome::Refusal;
use replication::machine::rows::{Alias, CryptoSpace, IMPORT_KEY_LIFE, ImportKey, Key, KeyVersion, Tenant};
use replication::machine::state::State;

use super::across::Across;
use super::failure::{not_done, refused};
use super::pages::{PageAsked, cut};
use super::person::Person;
use super::wire::{
    CryptoSpaceBody, FailureBody, FailureCode, ImportKeyBody, KeyBody, OwnedVersionBody, Page, TenantBody, VersionBody,
};

pub(super) fn tenants(across: &Across, asked: &PageAsked, person: &Person) -> Result<Page<TenantBody>, FailureBody> {
    let list = "tenants";
    let from = asked.after::<TenantId>(list)?.map_or(Bound::Unbounded, Bound::Excluded);
    let shown = across.tenants(&from).filter(|lives| person.reaches(lives.tenant));
    let page = cut(list, asked.size(), shown.map(|one| (one.tenant, tenant_body(one.tenant, one.shard, one.row))));
    Ok(Page { missing_shards: across.missing.clone(), ..page })
}

pub(super) fn tenant(state: &State, name: &TenantId, person: &Person) -> Result<TenantBody, FailureBody> {
    let row = shown(state, name, person)?;
    let shard = state.meta().and_then(|meta| ShardId::of(meta.group));
    let shard = shard.ok_or_else(|| not_there(Refusal::UnknownTenant { tenant: name.clone() }))?;
    Ok(tenant_body(name, shard, row))
}

fn tenant_body(tenant: &TenantId, shard: ShardId, row: &Tenant) -> TenantBody {
    TenantBody {
        tenant: tenant.clone(),
        shard,
        revision: row.revision,
        staleness: row.staleness,
        policy: row.policy.clone(),
        quota: row.quota,
        created_at: row.created_at,
    }
}

/// The crypto spaces of a tenant.
pub(super) fn crypto_spaces(
    state: &State,
    tenant: &TenantId,
    asked: &PageAsked,
    person: &Person,
) -> Result<Page<CryptoSpaceBody>, FailureBody> {
    shown(state, tenant, person)?;
    let list = format!("cryptospaces {tenant}");
    let after: Option<CryptoSpaceName> = asked.after(&list)?;
    let from = first_of(tenant, after, CryptoSpaceName::first());
    let spaces = state.crypto_spaces().range((from, Bound::Unbounded)).take_while(|((owner, _), _)| owner == tenant);
    Ok(cut(&list, asked.size(), spaces.map(|((_, name), space)| (name, crypto_space_body(name, space)))))
}

pub(super) fn crypto_space(
    state: &State,
    (tenant, name): (TenantId, CryptoSpaceName),
    person: &Person,
) -> Result<CryptoSpaceBody, FailureBody> {
    shown(state, &tenant, person)?;
    let row = state.row::<CryptoSpace>(&(tenant.clone(), name.clone()));
    row.map(|space| crypto_space_body(&name, space))
        .ok_or_else(|| not_there(Refusal::UnknownCryptoSpace { tenant, name: name.to_string() }))
}

fn crypto_space_body(name: &CryptoSpaceName, space: &CryptoSpace) -> CryptoSpaceBody {
    CryptoSpaceBody {
        name: name.to_string(),
        path: crypto_space_path(space.id),
        policy: space.policy.clone(),
        quota: space.quota,
        created_at: space.created_at,
    }
}

/// The keys of a tenant.
pub(super) fn keys(
    state: &State,
    tenant: &TenantId,
    asked: &PageAsked,
    person: &Person,
) -> Result<Page<KeyBody>, FailureBody> {
    shown(state, tenant, person)?;
    let list = format!("keys {tenant}");
    let after: Option<KeyName> = asked.after(&list)?;
    let from = first_of(tenant, after, KeyName::first());
    let keys = state.keys().range((from, Bound::Unbounded)).take_while(|((owner, _), _)| owner == tenant);
    Ok(cut(&list, asked.size(), keys.map(|((_, name), key)| (name, key_body(state, name, key)))))
}

pub(super) fn key(state: &State, (tenant, name): (TenantId, KeyName), person: &Person) -> Result<KeyBody, FailureBody> {
    shown(state, &tenant, person)?;
    let row = state.row::<Key>(&(tenant.clone(), name.clone()));
    row.map(|key| key_body(state, &name, key)).ok_or_else(|| not_there(Refusal::UnknownKey { tenant, name }))
}

fn key_body(state: &State, name: &KeyName, key: &Key) -> KeyBody {
    let version = |id: &KeyVersionId| state.row::<KeyVersion>(id).map(|row| version_body(state, *id, row));
    KeyBody {
        name: name.to_string(),
        crypto_space: key.crypto_space.as_ref().map(ToString::to_string),
        purpose: key.purpose,
        policy: key.policy.clone(),
        quota: key.quota,
        primary: key.primary,
        versions: key.versions.values().filter_map(version).collect(),
        created_at: key.created_at,
    }
}

fn version_body(state: &State, id: KeyVersionId, row: &KeyVersion) -> VersionBody {
    VersionBody {
        number: row.number,
        path: key_path(id),
        state: row.state,
        algorithm: row.algorithm,
        origin: row.origin,
        destroy_after_seconds: row.destroy_at.map(|at| state.cluster_time().until(at).as_secs()),
        aliases: row.aliases.iter().map(|alias| alias_path(*alias)).collect(),
        created_at: row.created_at,
    }
}

/// One key version with its owner, by its own id or by that of an alias, in whichever shard it is.
pub(super) fn version(across: &Across, asked: KeyVersionId, person: &Person) -> Result<OwnedVersionBody, FailureBody> {
    let found = across.states.iter().find_map(|(_, state)| version_in(state, asked, person).ok());
    match (found, across.missing.first()) {
        (Some(found), _) => Ok(found),
        (None, Some(shard)) => Err(refused(
            FailureCode::Unavailable,
            format!(
                "it is not known whether there is such a key version: shard {shard} cannot be looked at; ask `ekmctl doctor`"
            ),
        )),
        (None, None) => Err(unknown_version(asked)),
    }
}

fn version_in(state: &State, asked: KeyVersionId, person: &Person) -> Result<OwnedVersionBody, FailureBody> {
    let alias = AliasId::from_bytes(*asked.as_bytes());
    let (id, by_alias) = match state.row::<Alias>(&alias) {
        Some(row) => (row.version, Some(alias_path(alias))),
        None => (asked, None),
    };
    let found = state.row::<KeyVersion>(&id).and_then(|row| {
        let revision = shown(state, &row.tenant, person).ok()?.revision;
        let version = version_body(state, id, row);
        Some(OwnedVersionBody { tenant: row.tenant.clone(), revision, key: row.key.to_string(), by_alias, version })
    });
    found.ok_or_else(|| unknown_version(asked))
}

fn unknown_version(asked: KeyVersionId) -> FailureBody {
    let path = key_path(asked);
    let message = format!("there is no key version {path}; list keys and their versions with: ekmctl key list");
    refused(FailureCode::NotFound, message)
}

/// The import keys of a tenant, those included that are of no use any more and not forgotten yet.
pub(super) fn import_keys(
    state: &State,
    tenant: &TenantId,
    asked: &PageAsked,
    person: &Person,
) -> Result<Page<ImportKeyBody>, FailureBody> {
    shown(state, tenant, person)?;
    let list = format!("import-keys {tenant}");
    let after: Option<ImportKeyId> = asked.after(&list)?;
    let rows = state.import_keys_of(tenant).filter(|(id, _)| after.is_none_or(|after| *id > after));
    Ok(cut(&list, asked.size(), rows.map(|(id, row)| (id, import_key_body(id, row)))))
}

pub(super) fn import_key(
    state: &State,
    (tenant, id): (TenantId, ImportKeyId),
    person: &Person,
) -> Result<ImportKeyBody, FailureBody> {
    shown(state, &tenant, person)?;
    let row = state.row::<ImportKey>(&(tenant.clone(), id));
    row.map(|row| import_key_body(id, row)).ok_or_else(|| not_there(Refusal::UnknownImportKey { tenant, id }))
}

fn import_key_body(import_key: ImportKeyId, row: &ImportKey) -> ImportKeyBody {
    let life = u64::try_from(IMPORT_KEY_LIFE.as_millis()).unwrap_or(u64::MAX);
    ImportKeyBody {
        import_key,
        public_key_pem: public_key_pem(&row.public_key),
        created_at: row.created_at,
        expires_at: Timestamp(row.created_at.0.saturating_add(life)),
    }
}

/// RFC 7468: 64 characters a line.
fn public_key_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN PUBLIC KEY-----\n{}-----END PUBLIC KEY-----\n", lines.collect::<String>())
}

/// The first key of a range over one tenant's rows, behind the last one shown.
fn first_of<N>(tenant: &TenantId, after: Option<N>, first: N) -> Bound<(TenantId, N)> {
    match after {
        Some(after) => Bound::Excluded((tenant.clone(), after)),
        None => Bound::Included((tenant.clone(), first)),
    }
}

/// A tenant's row, if it is this person's to see.
fn shown<'a>(state: &'a State, tenant: &TenantId, person: &Person) -> Result<&'a Tenant, FailureBody> {
    let row = state.row::<Tenant>(tenant).filter(|_| person.reaches(tenant));
    row.map(AsRef::as_ref).ok_or_else(|| not_there(Refusal::UnknownTenant { tenant: tenant.clone() }))
}

/// In the words in which a change to the same would be refused.
fn not_there(refusal: Refusal) -> FailureBody {
    not_done(&refusal.into())
}

#[cfg(test)]
#[path = "queries_tests.rs"]
mod tests;
