//! Keys: made, listed, shown with the lines that register them, rotated.

use replication::machine::request::{AdminOperation, Level};
use replication::machine::rows::Purpose;

use crate::admin::wire::{KeyBody, TENANTS_PATH};
use crate::ctl::args::{KeyCommand, KeyShowArgs};
use crate::ctl::error::CtlError;
use crate::ctl::levels::PolicyInForce;
use crate::ctl::print::{self, KeyShown, Printed, answer};
use crate::ctl::registration::{caller, registrations};
use crate::ctl::session::Session;

impl Session {
    pub(super) async fn key(&self, command: &KeyCommand) -> Result<Printed, CtlError> {
        match command {
            KeyCommand::Create(asked) => {
                let operation = AdminOperation::CreateKey {
                    tenant: asked.tenant.clone(),
                    name: asked.name.clone(),
                    crypto_space: asked.crypto_space.clone(),
                    purpose: Purpose::EncryptDecrypt,
                };
                Ok(answer(&self.change(operation).await?))
            }
            KeyCommand::List { tenant } => {
                let keys: Vec<KeyBody> = self.client.list(&format!("{TENANTS_PATH}/{tenant}/keys")).await?;
                Ok(Printed::of(&keys, print::lines(&keys, print::key)))
            }
            KeyCommand::Show(asked) => self.key_show(asked).await,
            KeyCommand::Rotate { name, tenant } => {
                let operation = AdminOperation::AddVersion { tenant: tenant.clone(), key: name.clone() };
                Ok(answer(&self.change(operation).await?))
            }
            KeyCommand::Import(asked) => self.import(asked).await,
        }
    }

    async fn key_show(&self, asked: &KeyShowArgs) -> Result<Printed, CtlError> {
        let key: KeyBody = self.client.get(&format!("{TENANTS_PATH}/{}/keys/{}", asked.tenant, asked.name)).await?;
        let policy: PolicyInForce = self.levels(&asked.tenant, &Level::Key(asked.name.clone())).await?.policy();
        let primary = key.versions.iter().find(|version| version.number == key.primary);
        let registered = primary.map(|version| registrations(&version.path, &asked.place(), asked.protection_level));
        let shown =
            KeyShown { registrations: registered.transpose()?, caller: caller(asked.project_number), key, policy };
        Ok(Printed::of(&shown, print::key_in_full(&asked.tenant, &shown)))
    }
}
