//! One command, a few calls of the admin API. Each noun has its file; here stands what leads to them.

mod cluster;
mod connect;
mod deny;
mod import;
mod key;
mod look;
mod operator;
mod policy;
mod shard;
mod tenant;
mod version;

use super::args::{Args, ClusterCommand, Command};
use super::confirm::Consent;
use super::error::CtlError;
use super::print::{Printed, answer, status};
use super::session::Session;
use super::{schema, tools};

/// Carries a command out and gives what to print.
///
/// # Errors
/// See [`CtlError`].
pub async fn run(args: &Args) -> Result<Printed, CtlError> {
    match &args.command {
        Command::Completions(asked) => Ok(tools::completions(asked.shell)),
        Command::Man(asked) => tools::write_manual(&asked.folder),
        Command::Schema(asked) => schema::print(&asked.command),
        Command::Doctor(asked) => look::doctor(&args.connection, asked).await,
        Command::Status => {
            let body = session(args)?.client.status().await?;
            Ok(Printed::of(&body, status(&body)))
        }
        Command::Whoami => session(args)?.whoami().await,
        Command::Cluster(command) => match command {
            ClusterCommand::Lineage => cluster::lineage(),
            ClusterCommand::Init(asked) => session(args)?.cluster_init(asked).await,
            ClusterCommand::Join(asked) => session(args)?.cluster_join(asked).await,
            ClusterCommand::Status => session(args)?.cluster_status().await,
        },
        Command::Shard(command) => session(args)?.shard(command).await,
        Command::Tenant(command) => session(args)?.tenant(command).await,
        Command::CryptoSpace(command) => session(args)?.crypto_space(command).await,
        Command::Key(command) => session(args)?.key(command).await,
        Command::ImportKey(command) => session(args)?.import_key(command).await,
        Command::Version(command) => session(args)?.version(command).await,
        Command::Alias(command) => session(args)?.alias(command).await,
        Command::Grant(grant) => Ok(answer(&session(args)?.change(grant.request()).await?)),
        Command::Policy(command) => session(args)?.policy(command).await,
        Command::Quota(command) => session(args)?.quota(command).await,
        Command::Explain(asked) => session(args)?.explain(asked).await,
        Command::Deny(command) => session(args)?.deny(command).await,
        Command::Operator(command) => session(args)?.operator(command).await,
    }
}

/// The connection of whoever the arguments name.
fn session(args: &Args) -> Result<Session, CtlError> {
    Ok(Session {
        client: connect::client(&args.connection)?,
        id: args.idempotency_id,
        consent: if args.yes { Consent::Given } else { Consent::Asked },
        output: args.output,
    })
}
