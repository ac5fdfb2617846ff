//! One command, one or two calls of the admin API.

use std::time::Duration;

use replication::ids::KeyVersionId;
use replication::machine::policy::{Justifications, ResourcePattern, Rule};
use replication::machine::request::{AdminOperation, Level};
use replication::machine::rows::Purpose;

use crate::admin::client::{AdminClient, ClientError, Operator, new_idempotency_id};
use crate::admin::wire::{
    Answer, CryptoSpaceBody, FailureCode, KeyBody, OwnedVersionBody, TENANTS_PATH, TenantBody, VERSIONS_PATH,
};
use crate::dev::{DevFile, DevFileError};
use crate::exit;

use super::args::{
    Args, Command, Connection, CryptoSpaceCommand, GrantArgs, KeyCommand, TenantCommand, VersionCommand,
};
use super::print::Printed;

/// How often a change whose outcome is unknown is asked for again, under the same id.
const REPEATS_MAX: u32 = 3;
/// How often a plan is made anew because the tenant moved on meanwhile.
const PLANS_MAX: u32 = 5;
/// The pause before a repetition.
const REPEAT_AFTER: Duration = Duration::from_millis(300);

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// A call came to nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The data directory of `ekm dev` cannot be read.
    #[error(transparent)]
    Dev(#[from] DevFileError),
    /// It is not said which cluster.
    #[error("say which cluster: --dev DIR for a running ekm dev, or --url, --ca, --cert and --cert-key together")]
    NoConnection,
    /// It is said twice which cluster, perhaps not the same one.
    #[error("--dev says which cluster, so --url, --ca, --cert and --cert-key must not say it too, nor their variables")]
    TwoConnections,
    /// The outcome of a change is not known.
    #[error("it is not known whether the change was made ({message}); repeat the command with --idempotency-id {id}")]
    Unknown {
        /// What the server said.
        message: String,
        /// Under which id to repeat it.
        id: replication::ids::IdempotencyId,
    },
}

impl CtlError {
    /// The exit status: 1 refused or unknown, 64 wrong usage, 69 no answer.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Unreachable { .. } | ClientError::NotOurs { .. }) => exit::UNAVAILABLE,
            Self::Client(ClientError::Refused(_) | ClientError::Entropy(_)) | Self::Unknown { .. } => exit::REFUSED,
            Self::Client(_) | Self::Dev(_) | Self::NoConnection | Self::TwoConnections => exit::USAGE,
        }
    }
}

/// Carries a command out and gives what to print.
///
/// # Errors
/// See [`CtlError`].
pub async fn run(args: &Args) -> Result<String, CtlError> {
    let ctl = Ctl { client: connect(&args.connection)?, id: args.idempotency_id };
    let printed = match &args.command {
        Command::Status => Printed::Status(Box::new(ctl.client.status().await?)),
        Command::Tenant(command) => ctl.tenant(command).await?,
        Command::CryptoSpace(command) => ctl.crypto_space(command).await?,
        Command::Key(command) => ctl.key(command).await?,
        Command::Grant(grant) => Printed::Answer(ctl.change(granted(grant)).await?),
        Command::Version(command) => ctl.version(command).await?,
    };
    Ok(printed.render(args.output))
}

fn connect(connection: &Connection) -> Result<AdminClient, CtlError> {
    match connection {
        Connection { dev: Some(folder), url: None, ca: None, cert: None, key_file: None } => {
            let dev = DevFile::load(folder)?;
            let operator = Operator::load(&dev.operator_cert_file, &dev.operator_key_file)?;
            Ok(AdminClient::new(&dev.admin_url, &dev.ca_file, operator)?)
        }
        Connection { dev: None, url: Some(url), ca: Some(ca), cert: Some(cert), key_file: Some(key) } => {
            Ok(AdminClient::new(url, ca, Operator::load(cert, key)?)?)
        }
        // the parser sees the conflict only between flags on the same side of the subcommand
        Connection { dev: Some(_), .. } => Err(CtlError::TwoConnections),
        Connection { dev: None, .. } => Err(CtlError::NoConnection),
    }
}

struct Ctl {
    client: AdminClient,
    id: Option<replication::ids::IdempotencyId>,
}

impl Ctl {
    async fn tenant(&self, command: &TenantCommand) -> Result<Printed, CtlError> {
        Ok(match command {
            TenantCommand::Create { name, staleness } => {
                let operation = AdminOperation::CreateTenant { tenant: name.clone(), staleness: (*staleness).into() };
                Printed::Answer(self.change(operation).await?)
            }
            TenantCommand::List => Printed::Tenants(self.client.list::<TenantBody>(TENANTS_PATH).await?),
        })
    }

    async fn crypto_space(&self, command: &CryptoSpaceCommand) -> Result<Printed, CtlError> {
        Ok(match command {
            CryptoSpaceCommand::Create { name, tenant } => {
                let operation = AdminOperation::CreateCryptoSpace { tenant: tenant.clone(), name: name.clone() };
                Printed::Answer(self.change(operation).await?)
            }
            CryptoSpaceCommand::List { tenant } => {
                let path = format!("{TENANTS_PATH}/{tenant}/cryptospaces");
                Printed::CryptoSpaces(self.client.list::<CryptoSpaceBody>(&path).await?)
            }
        })
    }

    async fn key(&self, command: &KeyCommand) -> Result<Printed, CtlError> {
        Ok(match command {
            KeyCommand::Create { name, tenant, crypto_space } => {
                let operation = AdminOperation::CreateKey {
                    tenant: tenant.clone(),
                    name: name.clone(),
                    crypto_space: crypto_space.clone(),
                    purpose: Purpose::EncryptDecrypt,
                };
                Printed::Answer(self.change(operation).await?)
            }
            KeyCommand::List { tenant } => {
                Printed::Keys(self.client.list::<KeyBody>(&format!("{TENANTS_PATH}/{tenant}/keys")).await?)
            }
        })
    }

    async fn version(&self, command: &VersionCommand) -> Result<Printed, CtlError> {
        let answer = match command {
            VersionCommand::Enable { path } => {
                let tenant = self.owned(*path).await?.tenant;
                self.change(AdminOperation::EnableVersion { tenant, version: *path }).await?
            }
            VersionCommand::Disable { path } => self.disable(*path).await?,
        };
        Ok(Printed::Answer(answer))
    }

    /// Plans on the tenant's present revision; plans again if it moved on in between.
    async fn disable(&self, version: KeyVersionId) -> Result<Answer, CtlError> {
        let mut plans_left = PLANS_MAX;
        loop {
            let OwnedVersionBody { tenant, revision, version: found, .. } = self.owned(version).await?;
            let planned = self.change(AdminOperation::DisableVersion { tenant, version, parent: revision }).await;
            plans_left -= 1;
            match planned {
                Err(CtlError::Client(ClientError::Refused(body)))
                    if body.code == FailureCode::Conflict
                        && plans_left > 0
                        && self.id.is_none()
                        && self.moved_on(version, revision, found.state).await? => {}
                other => return other,
            }
        }
    }

    /// Whether a conflict came from the tenant's revision alone, so that planning again can help.
    async fn moved_on(
        &self,
        version: KeyVersionId,
        revision: replication::ids::Revision,
        state: replication::machine::lifecycle::VersionState,
    ) -> Result<bool, CtlError> {
        let now = self.owned(version).await?;
        Ok(now.revision != revision && now.version.state == state)
    }

    async fn owned(&self, version: KeyVersionId) -> Result<OwnedVersionBody, CtlError> {
        Ok(self.client.get(&format!("{VERSIONS_PATH}/{version}")).await?)
    }

    /// Has an operation carried out; repeats it under its id while its outcome is unknown.
    async fn change(&self, operation: AdminOperation) -> Result<Answer, CtlError> {
        let lineage = self.client.status().await?.lineage;
        let id = self.id.map_or_else(new_idempotency_id, Ok)?;
        for repeats_left in (0..REPEATS_MAX).rev() {
            match self.client.execute(lineage, id, operation.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !outcome_unknown(&error) => return Err(error.into()),
                Err(error) if repeats_left == 0 => return Err(CtlError::Unknown { message: error.to_string(), id }),
                Err(_) => tokio::time::sleep(REPEAT_AFTER).await,
            }
        }
        unreachable!("the last repetition returns")
    }
}

/// Whether the change may have been made although no answer says so.
fn outcome_unknown(error: &ClientError) -> bool {
    match error {
        ClientError::Refused(body) => matches!(body.code, FailureCode::Unknown | FailureCode::Unavailable),
        ClientError::Unreachable { .. } | ClientError::NotOurs { .. } => true,
        _ => false,
    }
}

fn granted(grant: &GrantArgs) -> AdminOperation {
    let level = match (&grant.level.key, &grant.level.crypto_space) {
        (Some(key), _) => Level::Key(key.clone()),
        (None, Some(space)) => Level::CryptoSpace(space.clone()),
        (None, None) => Level::Tenant,
    };
    let pattern = ResourcePattern {
        project: grant.project.clone(),
        location: grant.location.clone(),
        key_ring: grant.key_ring.clone(),
        crypto_key: grant.crypto_key.clone(),
    };
    let justifications = (!grant.justifications.is_empty()).then(|| Justifications {
        codes: grant.justifications.iter().copied().collect(),
        allow_missing: grant.allow_missing,
    });
    let rule = Rule {
        name: grant.name.clone(),
        callers: grant.caller.iter().cloned().collect(),
        resources: if pattern == ResourcePattern::default() { vec![] } else { vec![pattern] },
        operations: grant.operations.iter().copied().collect(),
        justifications,
    };
    AdminOperation::Grant { tenant: grant.tenant.clone(), level, rule }
}
