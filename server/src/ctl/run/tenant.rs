//! Tenants and crypto spaces.

use replication::machine::request::AdminOperation;

use crate::admin::wire::{CryptoSpaceBody, TENANTS_PATH, TenantBody};
use crate::ctl::args::{CryptoSpaceCommand, TenantCommand};
use crate::ctl::error::CtlError;
use crate::ctl::print::{self, Printed, answer};
use crate::ctl::session::Session;

impl Session {
    pub(super) async fn tenant(&self, command: &TenantCommand) -> Result<Printed, CtlError> {
        match command {
            TenantCommand::Create { name, staleness, shard } => {
                let (tenant, staleness) = (name.clone(), (*staleness).into());
                let operation = AdminOperation::CreateTenant { tenant, staleness, shard: *shard };
                Ok(answer(&self.change(operation).await?))
            }
            TenantCommand::List => {
                let tenants: Vec<TenantBody> = self.client.list(TENANTS_PATH).await?;
                Ok(Printed::of(&tenants, print::lines(&tenants, print::tenant)))
            }
            TenantCommand::Show { name } => {
                let tenant: TenantBody = self.client.get(&format!("{TENANTS_PATH}/{name}")).await?;
                Ok(Printed::of(&tenant, print::tenant_in_full(&tenant)))
            }
        }
    }

    pub(super) async fn crypto_space(&self, command: &CryptoSpaceCommand) -> Result<Printed, CtlError> {
        match command {
            CryptoSpaceCommand::Create { name, tenant } => {
                let operation = AdminOperation::CreateCryptoSpace { tenant: tenant.clone(), name: name.clone() };
                Ok(answer(&self.change(operation).await?))
            }
            CryptoSpaceCommand::List { tenant } => {
                let path = format!("{TENANTS_PATH}/{tenant}/cryptospaces");
                let spaces: Vec<CryptoSpaceBody> = self.client.list(&path).await?;
                Ok(Printed::of(&spaces, print::lines(&spaces, print::crypto_space)))
            }
            CryptoSpaceCommand::Show { name, tenant } => {
                let path = format!("{TENANTS_PATH}/{tenant}/cryptospaces/{name}");
                let space: CryptoSpaceBody = self.client.get(&path).await?;
                Ok(Printed::of(&space, print::crypto_space_in_full(&space)))
            }
        }
    }
}
