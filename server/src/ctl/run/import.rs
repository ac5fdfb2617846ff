//! Key material from elsewhere: wrapped here or there, sent wrapped, and known by its check value. Only `crypto` touches it.

use std::io::IsTerminal as _;

use replication::clock::Clock as _;
use replication::ids::{CheckValue, TenantId, parse_key_path};
use replication::machine::request::{AdminOperation, Base64Bytes, WrappedMaterial};
use replication::machine::rows::{Origin, Purpose};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use crate::admin::client::new_idempotency_id;
use crate::admin::wire::{ImportKeyBody, OwnedVersionBody, TENANTS_PATH, VERSIONS_PATH};
use crate::clock::SystemClock;
use crate::crypto::import::{ClearMaterial, ReadError, WrapForTransportError, standard_input, wrap_for_transport};
use crate::ctl::args::{ImportArgs, ImportKeyCommand, MaterialArgs};
use crate::ctl::error::CtlError;
use crate::ctl::files;
use crate::ctl::print::{self, Imported, Printed, answer};
use crate::ctl::session::Session;

/// Longest file of wrapped material that is read, in bytes; RSA-3072 makes 384.
const WRAPPED_BYTES_MAX: u64 = 4096;
/// An import key is taken only if it is usable this much longer, in milliseconds.
const MARGIN_MILLIS: u64 = 10 * 60 * 1000;

impl Session {
    pub(super) async fn import(&self, asked: &ImportArgs) -> Result<Printed, CtlError> {
        let material = self.material(&asked.tenant, &asked.material).await?;
        let (tenant, name) = (asked.tenant.clone(), asked.name.clone());
        let operation = if asked.version_of {
            AdminOperation::ImportVersion { tenant, key: name, material }
        } else {
            let (crypto_space, purpose) = (asked.crypto_space.clone(), Purpose::EncryptDecrypt);
            AdminOperation::ImportKey { tenant, name, crypto_space, purpose, material }
        };
        let answer = self.change(operation).await?;
        // asked of the cluster: what counts is what arrived there
        let path =
            answer.path.as_deref().and_then(parse_key_path).expect("an answer to an import names the version's path");
        let owned: OwnedVersionBody = self.client.get(&format!("{VERSIONS_PATH}/{path}")).await?;
        let Origin::Imported { check_value, .. } = owned.version.origin else {
            unreachable!("the version that an import made is an imported one")
        };
        let imported = Imported { answer, check_value };
        Ok(Printed::of(&imported, print::imported(&imported)))
    }

    /// Material, wrapped to an import key.
    async fn material(&self, tenant: &TenantId, asked: &MaterialArgs) -> Result<WrappedMaterial, CtlError> {
        if let (Some(file), Some(import_key)) = (&asked.wrapped_file, asked.import_key) {
            let wrapped = Base64Bytes(files::read(file, WRAPPED_BYTES_MAX)?);
            return Ok(WrappedMaterial { import_key, wrapped, check_value: asked.check_value });
        }
        if std::io::stdin().is_terminal() {
            return Err(CtlError::MaterialFromTerminal);
        }
        let mut input = standard_input().map_err(ReadError::Read)?;
        let clear = if asked.hex { ClearMaterial::read_hex(&mut input)? } else { ClearMaterial::read_raw(&mut input)? };
        let key = self.usable(tenant, asked).await?;
        let public_key = SubjectPublicKeyInfoDer::from_pem_slice(key.public_key_pem.as_bytes());
        let public_key = public_key.map_err(|_| WrapForTransportError::NoPublicKey)?;
        let wrapped = wrap_for_transport(&public_key, &clear)?;
        drop(clear);
        let check_value = CheckValue::from_bytes(*wrapped.check_value.as_bytes());
        match asked.check_value {
            Some(given) if given != check_value => {
                Err(CtlError::OtherCheckValue { found: check_value.to_string(), given: given.to_string() })
            }
            _ => Ok(WrappedMaterial {
                import_key: key.import_key,
                wrapped: Base64Bytes(wrapped.bytes),
                check_value: Some(check_value),
            }),
        }
    }

    /// The import key that was named, the newest one that is usable long enough, or a new one.
    async fn usable(&self, tenant: &TenantId, asked: &MaterialArgs) -> Result<ImportKeyBody, CtlError> {
        let keys = format!("{TENANTS_PATH}/{tenant}/import-keys");
        if let Some(id) = asked.import_key {
            return Ok(self.client.get(&format!("{keys}/{id}")).await?);
        }
        let known: Vec<ImportKeyBody> = self.client.list(&keys).await?;
        let newest = known.into_iter().max_by_key(|key| key.created_at);
        let is_usable = |key: &ImportKeyBody| SystemClock.wall().0 + MARGIN_MILLIS < key.expires_at.0;
        if let Some(key) = newest.filter(is_usable) {
            return Ok(key);
        }
        // the id that the person gave is for the import, not for what it needs
        let operation = AdminOperation::CreateImportKey { tenant: tenant.clone() };
        let made = self.change_under(new_idempotency_id()?, operation).await?;
        let id = made.import_key.expect("an answer to making an import key names it");
        Ok(self.client.get(&format!("{keys}/{id}")).await?)
    }

    pub(super) async fn import_key(&self, command: &ImportKeyCommand) -> Result<Printed, CtlError> {
        match command {
            ImportKeyCommand::Create { tenant } => {
                Ok(answer(&self.change(AdminOperation::CreateImportKey { tenant: tenant.clone() }).await?))
            }
            ImportKeyCommand::List { tenant } => {
                let path = format!("{TENANTS_PATH}/{tenant}/import-keys");
                let keys: Vec<ImportKeyBody> = self.client.list(&path).await?;
                Ok(Printed::of(&keys, print::lines(&keys, print::import_key)))
            }
            ImportKeyCommand::Show { id, tenant } => {
                let key: ImportKeyBody = self.client.get(&format!("{TENANTS_PATH}/{tenant}/import-keys/{id}")).await?;
                Ok(Printed::of(&key, print::import_key_in_full(&key)))
            }
        }
    }
}
