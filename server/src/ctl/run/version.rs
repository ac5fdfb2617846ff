//! Key versions and their aliases.

use replication::ids::{AliasId, KeyVersionId, key_path, parse_key_path};
use replication::machine::lifecycle::VersionState;
use replication::machine::request::AdminOperation;

use crate::admin::wire::{Answer, OwnedVersionBody, VERSIONS_PATH};
use crate::ctl::args::{AliasCommand, VersionCommand};
use crate::ctl::confirm::Harm;
use crate::ctl::error::CtlError;
use crate::ctl::print::{self, Printed, answer};
use crate::ctl::session::{Seen, Session};

impl Session {
    pub(super) async fn version(&self, command: &VersionCommand) -> Result<Printed, CtlError> {
        let made = match command {
            VersionCommand::Show { path } => {
                let owned = self.owned(*path).await?;
                return Ok(Printed::of(&owned, print::owned_version(&owned)));
            }
            VersionCommand::Enable { path } => {
                let (OwnedVersionBody { tenant, .. }, version) = self.reached(*path).await?;
                self.change(AdminOperation::EnableVersion { tenant, version }).await?
            }
            VersionCommand::Restore { path } => {
                let (OwnedVersionBody { tenant, .. }, version) = self.reached(*path).await?;
                self.change(AdminOperation::RestoreVersion { tenant, version }).await?
            }
            VersionCommand::Disable { path } => {
                let (found, version) = self.reached(*path).await?;
                self.confirm(&Harm::DisableVersion {
                    path: found.version.path,
                    key: found.key,
                    tenant: found.tenant.to_string(),
                })?;
                let operation = |tenant, parent| AdminOperation::DisableVersion { tenant, version, parent };
                self.plan(async || self.seen(*path).await, operation).await?
            }
            VersionCommand::ScheduleDestroy { path, window } => {
                let (found, version) = self.reached(*path).await?;
                self.confirm(&Harm::ScheduleDestroy {
                    path: found.version.path,
                    key: found.key,
                    tenant: found.tenant.to_string(),
                    window: *window,
                })?;
                let window_seconds = window.as_secs();
                let operation =
                    |tenant, parent| AdminOperation::ScheduleDestroy { tenant, version, window_seconds, parent };
                self.plan(async || self.seen(*path).await, operation).await?
            }
        };
        Ok(answer(&made))
    }

    pub(super) async fn alias(&self, command: &AliasCommand) -> Result<Printed, CtlError> {
        let made: Answer = match command {
            AliasCommand::Create { path } => {
                let (OwnedVersionBody { tenant, .. }, version) = self.reached(*path).await?;
                self.change(AdminOperation::CreateAlias { tenant, version }).await?
            }
            AliasCommand::Remove { path } => {
                let found = self.owned(*path).await?;
                if found.by_alias.is_none() {
                    return Err(CtlError::NoAlias { path: found.version.path, aliases: found.version.aliases });
                }
                let alias = AliasId::from_bytes(*path.as_bytes());
                let (key, tenant) = (found.key, found.tenant.to_string());
                self.confirm(&Harm::RemoveAlias { path: key_path(*path), key, tenant })?;
                let operation = |tenant, parent| AdminOperation::RemoveAlias { tenant, alias, parent };
                self.plan(async || self.seen(*path).await, operation).await?
            }
        };
        Ok(answer(&made))
    }

    /// What a plan about a version looks at: its state.
    async fn seen(&self, path: KeyVersionId) -> Result<Seen<VersionState>, CtlError> {
        let OwnedVersionBody { tenant, revision, version, .. } = self.owned(path).await?;
        Ok(Seen { tenant, revision, subject: version.state })
    }

    /// A version with its id: the path may be an alias, and what is asked for names the version itself.
    async fn reached(&self, path: KeyVersionId) -> Result<(OwnedVersionBody, KeyVersionId), CtlError> {
        let found = self.owned(path).await?;
        let version = parse_key_path(&found.version.path).expect("the admin API gives the paths that it takes");
        Ok((found, version))
    }

    async fn owned(&self, path: KeyVersionId) -> Result<OwnedVersionBody, CtlError> {
        Ok(self.client.get(&format!("{VERSIONS_PATH}/{path}")).await?)
    }
}
