//! Who this replica is: its number and place, the key that it signs with, and the file by which it is joined to a cluster.
//!
//! Makes the key once, before there is anything in the groups, and never another in its place.

use std::path::Path;
use std::sync::Arc;

use replication::ids::{GroupId, PeerAddress, PublicKey, ReplicaId, SignerId, SiteName};
use replication::machine::command::AddReplica;
use replication::machine::rows::{ReplicaKind, Standing};
use replication::machine::signing::{self, SigningKey};
use replication::raft::host::group_folder;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keystore::Own;
use crate::process::files::{self, FileError, Readers};
use crate::settings::key_store::{KeyStoreSettings, Role};

use super::error::ReplicaError;

/// What `ekmctl cluster join` reads, in the data folder.
pub const REPLICA_FILE: &str = "replica.json";
const KEY_FILE: &str = "replica-key.der";

/// The file by which a replica is joined: public, and of no use to whoever is no security officer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaFile {
    /// Its number.
    pub replica: ReplicaId,
    /// Where its machine stands.
    pub site: SiteName,
    /// What it is there for.
    pub role: RoleWord,
    /// Where its peers reach it.
    pub address: PeerAddress,
    /// The name that its signatures go by; a witness signs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerId>,
    /// What they are verified by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
}

/// What a replica is there for, as its file spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleWord {
    /// It holds keys and serves.
    Data,
    /// It votes and stores alone.
    Witness,
}

impl ReplicaFile {
    fn of(row: &AddReplica) -> Self {
        let (role, signer, public_key) = match &row.kind {
            ReplicaKind::Data { signer, public_key } => (RoleWord::Data, Some(signer.clone()), Some(*public_key)),
            ReplicaKind::Witness => (RoleWord::Witness, None, None),
        };
        let (site, address) = (row.site.clone(), row.address.clone());
        Self { replica: row.replica, site, role, address, signer, public_key }
    }

    /// What the replica is there for, as the cluster keeps it; `None` if the file names a data replica without a key.
    pub fn kind(&self) -> Option<ReplicaKind> {
        match self.role {
            RoleWord::Data => Some(ReplicaKind::Data { signer: self.signer.clone()?, public_key: self.public_key? }),
            RoleWord::Witness => Some(ReplicaKind::Witness),
        }
    }
}

/// Who this replica is, with the key that it signs with if it signs anything.
pub(super) struct Identity {
    pub(super) own: Own,
    pub(super) signing: Option<Arc<SigningKey>>,
}

impl Identity {
    /// As the settings and the data folder have it. Makes the key where the folder holds no groups yet.
    pub(super) fn ensure(settings: &KeyStoreSettings) -> Result<Self, ReplicaError> {
        let signing = match settings.role {
            Role::Data { .. } => Some(Arc::new(signing_key(&settings.data_dir, settings.replica)?)),
            Role::Witness => None,
        };
        let kind = signing.as_ref().map_or(ReplicaKind::Witness, |key| ReplicaKind::Data {
            signer: key.signer().clone(),
            public_key: key.public_key(),
        });
        let row = AddReplica {
            replica: settings.replica,
            address: settings.peers.advertise.as_str().parse().map_err(ReplicaError::Advertise)?,
            site: settings.site.clone(),
            kind,
            standing: Standing::Voter,
        };
        Ok(Self { own: Own { lineage: settings.lineage, row }, signing })
    }

    /// Writes the file by which the replica is joined, unless it is there as it should be.
    pub(super) fn write_file(&self, folder: &Path) -> Result<(), FileError> {
        let file = ReplicaFile::of(&self.own.row);
        let mut text = serde_json::to_vec_pretty(&file).expect("the file holds only what JSON can write");
        text.push(b'\n');
        files::keep(&folder.join(REPLICA_FILE), &text, Readers::All)
    }
}

fn signing_key(folder: &Path, replica: ReplicaId) -> Result<SigningKey, ReplicaError> {
    let path = folder.join(KEY_FILE);
    let der = if let Some(der) = files::read(&path)? {
        Zeroizing::new(der)
    } else if group_folder(folder, GroupId::SYSTEM).exists() {
        return Err(ReplicaError::ReplicaKeyGone(path));
    } else {
        let der = Zeroizing::new(signing::generate_pkcs8().map_err(|_| ReplicaError::NoSigningKey)?);
        files::write(&path, &der, Readers::Owner)?;
        der
    };
    let name = format!("replica-{replica}").parse().expect("a number makes a legal name");
    SigningKey::from_pkcs8(name, &der).map_err(|source| ReplicaError::SigningKey { path, source })
}
