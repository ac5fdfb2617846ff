//! Policies and quotas.

use std::path::Path;

use replication::ids::TenantId;
use replication::machine::policy::Policy;
use replication::machine::request::{AdminOperation, Level};
use replication::machine::rows::Quota;

use crate::admin::wire::{Answer, CryptoSpaceBody, KeyBody, TENANTS_PATH, TenantBody};
use crate::ctl::args::{OwnedLevelArgs, PolicyCommand, QuotaCommand};
use crate::ctl::confirm::Harm;
use crate::ctl::error::CtlError;
use crate::ctl::files;
use crate::ctl::levels::{LevelRow, Levels};
use crate::ctl::print::{self, Printed, answer};
use crate::ctl::session::{Seen, Session};

/// Largest policy file that is read, in bytes; what a policy may hold is less.
const POLICY_FILE_BYTES_MAX: u64 = 64 * 1024;

impl Session {
    pub(super) async fn policy(&self, command: &PolicyCommand) -> Result<Printed, CtlError> {
        let made = match command {
            PolicyCommand::Show { of } => {
                let policy = self.levels(&of.tenant, &of.level.level()).await?.policy();
                return Ok(Printed::of(&policy, print::policy(&policy)));
            }
            PolicyCommand::Set { file, of } => {
                let policy = read(file)?;
                let level = of.level.level();
                self.confirm(&Harm::SetPolicy { tenant: of.tenant.to_string(), level })?;
                self.set_policy(of, Some(policy)).await?
            }
            PolicyCommand::Clear { of } => {
                let level = of.level.level();
                self.confirm(&Harm::ClearPolicy { tenant: of.tenant.to_string(), level })?;
                self.set_policy(of, None).await?
            }
            PolicyCommand::RemoveRule { rule, of } => {
                let level = of.level.level();
                let (tenant, named) = (of.tenant.to_string(), rule.to_string());
                self.confirm(&Harm::RemoveRule { tenant, level: level.clone(), rule: named })?;
                let operation = |tenant, parent| AdminOperation::RemoveRule {
                    tenant,
                    level: level.clone(),
                    rule: rule.clone(),
                    parent,
                };
                self.plan(async || self.seen_policy(of).await, operation).await?
            }
        };
        Ok(answer(&made))
    }

    pub(super) async fn quota(&self, command: &QuotaCommand) -> Result<Printed, CtlError> {
        let made = match command {
            QuotaCommand::Show { of } => {
                let quotas = self.levels(&of.tenant, &of.level.level()).await?.quota();
                return Ok(Printed::of(&quotas, print::quotas(&quotas)));
            }
            QuotaCommand::Set { of, per_second, burst } => {
                let (tenant, level) = (of.tenant.to_string(), of.level.level());
                self.confirm(&Harm::SetQuota { tenant, level, per_second: *per_second })?;
                self.set_quota(of, Some(Quota { per_second: *per_second, burst: *burst })).await?
            }
            QuotaCommand::Clear { of } => self.set_quota(of, None).await?,
        };
        Ok(answer(&made))
    }

    async fn set_policy(&self, of: &OwnedLevelArgs, policy: Option<Policy>) -> Result<Answer, CtlError> {
        let level = of.level.level();
        let operation =
            |tenant, parent| AdminOperation::SetPolicy { tenant, level: level.clone(), policy: policy.clone(), parent };
        self.plan(async || self.seen_policy(of).await, operation).await
    }

    async fn set_quota(&self, of: &OwnedLevelArgs, quota: Option<Quota>) -> Result<Answer, CtlError> {
        let level = of.level.level();
        let look = async || {
            let (tenant, levels) = self.tenant_and_levels(&of.tenant, &level).await?;
            Ok(Seen { tenant: tenant.tenant, revision: tenant.revision, subject: levels.quota().own })
        };
        let operation = |tenant, parent| AdminOperation::SetQuota { tenant, level: level.clone(), quota, parent };
        self.plan(look, operation).await
    }

    /// What a plan about a policy looks at: the level's own.
    async fn seen_policy(&self, of: &OwnedLevelArgs) -> Result<Seen<Option<Policy>>, CtlError> {
        let (tenant, levels) = self.tenant_and_levels(&of.tenant, &of.level.level()).await?;
        Ok(Seen { tenant: tenant.tenant, revision: tenant.revision, subject: levels.policy().own })
    }

    /// A level and those above it.
    pub(super) async fn levels(&self, tenant: &TenantId, level: &Level) -> Result<Levels, CtlError> {
        Ok(self.tenant_and_levels(tenant, level).await?.1)
    }

    /// The tenant is asked for first: a change between the calls makes its revision the older one, and the plan is refused.
    async fn tenant_and_levels(&self, tenant: &TenantId, level: &Level) -> Result<(TenantBody, Levels), CtlError> {
        let of_tenant: TenantBody = self.client.get(&format!("{TENANTS_PATH}/{tenant}")).await?;
        let mut rows = Vec::new();
        let mut space = None;
        match level {
            Level::Tenant => {}
            Level::CryptoSpace(name) => space = Some(name.to_string()),
            Level::Key(name) => {
                let key: KeyBody = self.client.get(&format!("{TENANTS_PATH}/{tenant}/keys/{name}")).await?;
                space = key.crypto_space;
                rows.push(LevelRow { level: level.clone(), policy: key.policy, quota: key.quota });
            }
        }
        if let Some(name) = space {
            let space: CryptoSpaceBody =
                self.client.get(&format!("{TENANTS_PATH}/{tenant}/cryptospaces/{name}")).await?;
            let name = name.parse().expect("the admin API gives the names that it takes");
            rows.push(LevelRow { level: Level::CryptoSpace(name), policy: space.policy, quota: space.quota });
        }
        let (policy, quota) = (of_tenant.policy.clone(), of_tenant.quota);
        rows.push(LevelRow { level: Level::Tenant, policy, quota });
        Ok((of_tenant, Levels(rows)))
    }
}

fn read(file: &Path) -> Result<Policy, CtlError> {
    let text = files::read(file, POLICY_FILE_BYTES_MAX)?;
    serde_json::from_slice(&text).map_err(|source| CtlError::PolicyFile { path: file.to_owned(), source })
}
