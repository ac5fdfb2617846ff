//! Material as its owner has it imported: an import key is made, the material is wrapped to it on this side, and sent.
//!
//! The public half is taken from the server's own files, where it lies among what must not: this side needs nothing that shows
//! it, and the search of those files looks at what was really written.

use std::path::Path;

use memchr::memmem;
use replication::ids::{ImportKeyId, KeyName, TenantId};
use replication::machine::request::{AdminOperation, Base64Bytes, WrappedMaterial};
use replication::machine::rows::Purpose;
use server::admin::client::{AdminClient, ClientError};
use server::admin::wire::Answer;
use server::crypto::import::{ClearMaterial, wrap_for_transport};

use super::worker::new_id;

/// What every `SubjectPublicKeyInfo` of an RSA key with 3072 bits begins with (RFC 3279), up to the modulus.
const BEGINNING: &[u8] =
    b"\x30\x82\x01\xa2\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x8f\x00";
/// How long it is, in bytes.
const LENGTH: usize = 422;

/// A tenant that imports.
pub(crate) struct Importer<'a> {
    pub(crate) admin: &'a AdminClient,
    pub(crate) tenant: TenantId,
    /// The server's data directory.
    pub(crate) folder: &'a Path,
}

impl Importer<'_> {
    /// Has a change carried out.
    pub(crate) async fn ask(&self, operation: AdminOperation) -> Result<Answer, ClientError> {
        let lineage = self.admin.status().await?.lineage;
        self.admin.execute(lineage, new_id(), operation).await
    }

    /// Material, wrapped to a new import key: the only one of this server.
    pub(crate) async fn wrapped(&self, material: &[u8; 32]) -> WrappedMaterial {
        let made = self.ask(AdminOperation::CreateImportKey { tenant: self.tenant.clone() }).await;
        let import_key: ImportKeyId = made.expect("an import key is made").import_key.expect("it has an id");
        let public_key = public_key_below(&self.folder.join("groups")).expect("the group has written it");
        let clear = ClearMaterial::read_raw(&mut &material[..]).expect("32 bytes are material");
        let sent = wrap_for_transport(&public_key, &clear).expect("it wraps");
        WrappedMaterial { import_key, wrapped: Base64Bytes(sent.bytes), check_value: Some(sent.check_value) }
    }

    /// A key of wrapped material.
    pub(crate) fn key(&self, name: &str, material: &WrappedMaterial) -> AdminOperation {
        AdminOperation::ImportKey {
            tenant: self.tenant.clone(),
            name: name.parse().expect("a legal key name"),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
            material: material.clone(),
        }
    }

    /// A further version of it.
    pub(crate) fn version(&self, key: &KeyName, material: &WrappedMaterial) -> AdminOperation {
        AdminOperation::ImportVersion { tenant: self.tenant.clone(), key: key.clone(), material: material.clone() }
    }
}

fn public_key_below(folder: &Path) -> Option<Vec<u8>> {
    for entry in std::fs::read_dir(folder).expect("the folder can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = public_key_below(&path) {
                return Some(found);
            }
            continue;
        }
        let bytes = std::fs::read(&path).expect("the file can be read");
        let found = memmem::find(&bytes, BEGINNING).and_then(|at| bytes.get(at..at + LENGTH));
        if let Some(found) = found {
            return Some(found.to_vec());
        }
    }
    None
}
