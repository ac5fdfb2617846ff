//! The key store of a data directory, with the root key and the replica's key that it is opened with.
//!
//! Never replaces a key that is there.

use std::sync::Arc;

use replication::directory::Directory;
use replication::machine::rows::Trust;
use replication::machine::signing::{self, SigningKey};
use replication::raft::host::Host;
use zeroize::Zeroizing;

use crate::authn::mint::DEV_ISSUER;
use crate::keystore::{
    DENY_ENTRIES_FOLDER, FedTo, FoundError, Founding, KeyStore, Needed, Parts, Root, UnsoundError, open_deny_entries,
};
use crate::lookup::TenantKeys;

use super::error::DevError;
use super::folder::Folder;
use super::prepared::Prepared;
use crate::process::files::{self, Readers};

pub(super) const ROOT_KEY_FILE: &str = "root.key";
pub(super) const REPLICA_KEY_FILE: &str = "replica-key.der";

/// Opens the key store, founding what is not there yet.
pub(super) async fn start_key_store(
    prepared: &Prepared,
    host: &Arc<Host>,
    directory: &Arc<Directory>,
    tenant_keys: &Arc<TenantKeys>,
) -> Result<Arc<KeyStore>, DevError> {
    let folder = &prepared.folder;
    let needed = Needed::by(host).await.map_err(|error| told(error, folder))?;
    let deny_entries = open_deny_entries(host, folder.root(), Arc::clone(&prepared.clock))
        .map_err(|source| DevError::DenyEntries { folder: folder.at(DENY_ENTRIES_FOLDER), source })?;
    let parts = Parts {
        host: Arc::clone(host),
        signer: Arc::new(replica_key(folder, needed)?),
        root: Root::open(&folder.at(ROOT_KEY_FILE), needed, &prepared.arena, prepared.entropy.as_ref())?,
        arena: Arc::clone(&prepared.arena),
        entropy: Arc::clone(&prepared.entropy),
        clock: Arc::clone(&prepared.clock),
        directory: Arc::clone(directory),
        tenant_keys: Arc::clone(tenant_keys),
        fed_to: FedTo::Own(super::MACHINE.parse().expect("the machine of dev has a legal name")),
        deny_entries,
    };
    let founding = Founding {
        dev: true,
        people: prepared.people(),
        trust: Trust { issuers: vec![DEV_ISSUER.to_owned()], audiences: vec![super::AUDIENCE.to_owned()] },
    };
    let store = KeyStore::start(parts, &founding).await.map_err(|error| told(error, folder))?;
    let mut people = founding.people.iter().zip(prepared.pki.people());
    match people.find(|(person, _)| !store.knows(&person.signer, &person.public_key)) {
        None => Ok(Arc::new(store)),
        Some((person, files)) => Err(DevError::PersonKey { key: files.key.clone(), person: person.signer.clone() }),
    }
}

/// Names the file, where one is not of this data.
fn told(error: FoundError, folder: &Folder) -> DevError {
    let path = match error {
        FoundError::Unsound(UnsoundError::ReplicaKey(_)) => folder.at(REPLICA_KEY_FILE),
        FoundError::Unsound(ref unsound) if unsound.is_of_the_root() => folder.at(ROOT_KEY_FILE),
        error => return error.into(),
    };
    DevError::Foreign { path, source: error }
}

/// The replica's signing key, made if it is not there and no group knows a replica yet.
fn replica_key(folder: &Folder, needed: Needed) -> Result<SigningKey, DevError> {
    let path = folder.at(REPLICA_KEY_FILE);
    let der = if let Some(der) = files::read(&path)? {
        Zeroizing::new(der)
    } else if needed.replica_key() {
        return Err(DevError::ReplicaKeyGone(path));
    } else {
        let der = Zeroizing::new(signing::generate_pkcs8().map_err(|_| DevError::NoSigningKey)?);
        files::write(&path, &der, Readers::Owner)?;
        der
    };
    let name = "replica-1".parse().expect("the replica has a legal name");
    SigningKey::from_pkcs8(name, &der).map_err(|source| DevError::SigningKey { path, source })
}
