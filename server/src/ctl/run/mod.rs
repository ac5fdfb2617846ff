//! One command, a few calls of the admin API. Each noun has its file; here stands what leads to them.

mod connect;
mod import;
mod key;
mod look;
mod operator;
mod policy;
mod tenant;
mod version;

use super::args::{Args, Command};
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
        Command::Completions(asked) => return Ok(tools::completions(asked.shell)),
        Command::Man(asked) => return tools::write_manual(&asked.folder),
        Command::Schema(asked) => return schema::print(&asked.command),
        Command::Doctor(asked) => return look::doctor(&args.connection, asked).await,
        _ => {}
    }
    let session = Session {
        client: connect::client(&args.connection)?,
        id: args.idempotency_id,
        consent: if args.yes { Consent::Given } else { Consent::Asked },
        output: args.output,
    };
    match &args.command {
        Command::Status => {
            let body = session.client.status().await?;
            Ok(Printed::of(&body, status(&body)))
        }
        Command::Whoami => session.whoami().await,
        Command::Tenant(command) => session.tenant(command).await,
        Command::CryptoSpace(command) => session.crypto_space(command).await,
        Command::Key(command) => session.key(command).await,
        Command::ImportKey(command) => session.import_key(command).await,
        Command::Version(command) => session.version(command).await,
        Command::Alias(command) => session.alias(command).await,
        Command::Grant(grant) => Ok(answer(&session.change(grant.request()).await?)),
        Command::Policy(command) => session.policy(command).await,
        Command::Quota(command) => session.quota(command).await,
        Command::Explain(asked) => session.explain(asked).await,
        Command::Operator(command) => session.operator(command).await,
        Command::Completions(_) | Command::Man(_) | Command::Schema(_) | Command::Doctor(_) => {
            unreachable!("what needs no connection was carried out above")
        }
    }
}
