//! The command line of `ekmctl`: the tree of commands, and what holds for all of them. Each noun has its file.
//!
//! Parses and explains; carries nothing out. Every command has an example in its help, and the tests run each of them.

mod cluster;
mod connection;
mod deny;
mod grant;
mod import;
mod key;
mod level;
mod look;
mod operator;
mod policy;
mod shard;
mod tenant;
mod tools;
mod version;

use clap::{Parser, Subcommand, ValueEnum};
use replication::ids::IdempotencyId;

pub(super) use cluster::{ClusterCommand, ClusterInitArgs, ClusterJoinArgs};
pub(super) use connection::Connection;
pub(super) use deny::{DenyArgs, DenyCommand, LiftArgs};
pub(super) use grant::GrantArgs;
pub(super) use import::{ImportArgs, ImportKeyCommand, MaterialArgs};
pub(super) use key::{KeyCommand, KeyShowArgs};
pub(super) use level::OwnedLevelArgs;
pub(super) use look::{DoctorArgs, ExplainArgs, Subject};
pub(super) use operator::{EnrolArgs, IdentityArgs, OperatorCommand, RoleArg};
pub(super) use policy::{PolicyCommand, QuotaCommand};
pub(super) use shard::ShardCommand;
pub(super) use tenant::{CryptoSpaceCommand, TenantCommand};
pub(super) use tools::{CompletionsArgs, ManArgs, SchemaArgs, ShellArg};
pub(super) use version::{AliasCommand, VersionCommand};

/// Operates an external key manager for Google Cloud KMS.
///
/// It owns the keys that Cloud KMS uses from outside Google: tenants own keys, a key has versions, and each version has one
/// path for ever, which is what Google is told. Grants say which Google service agent may wrap and unwrap with which key.
#[derive(Debug, Parser)]
#[command(name = "ekmctl", version, max_term_width = 120, after_help = EXAMPLES)]
pub struct Args {
    /// Which cluster, and as whom.
    #[command(flatten)]
    pub connection: Connection,
    /// How to print answers; `ekmctl schema` prints the JSON schema of each.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    pub output: Output,
    /// Repeat an earlier change under its idempotency id instead of asking for a new one (32 hex digits).
    #[arg(long, value_name = "ID", global = true)]
    pub idempotency_id: Option<IdempotencyId>,
    /// Do what takes something away without asking; needed where no terminal can be asked.
    #[arg(long, global = true)]
    pub yes: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  ekmctl --dev ./ekm-dev status
  ekmctl --dev ./ekm-dev key list --tenant demo

The examples in the help of each command take the cluster from the environment (export EKM_DEV=./ekm-dev) and stand on each other:
KEY_PATH, ALIAS_PATH, IMPORT_KEY, REQUEST_ID and DENY_ENTRY are variables of the shell that hold what an earlier command printed.

Exit status:
  0   done
  1   refused: the text says what to do instead
  2   it is not known whether the change was made: repeat it with the --idempotency-id that the text names
  64  wrong usage: nothing was asked of the cluster
  69  the admin API does not answer, or does not accept the connection: ask `ekmctl doctor`
  71  the operating system gave no room to work
  74  a local file cannot be read or written
  75  not now: nothing was changed, try again later";

/// How to print answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What the cluster is and how it is.
    ///
    /// Shows release, groups, how fresh the view of each is, tenants, and key versions by state. For what is wrong and what to
    /// do about it, ask `doctor`.
    #[command(after_help = "Examples:\n  ekmctl status\n  ekmctl status --output json")]
    Status,
    /// As whom you act, and what you may do.
    ///
    /// Your name is the common name of your certificate; your roles and tenants are data of the cluster, set by security officers
    /// with `operator enrol`.
    #[command(after_help = "Examples:\n  ekmctl whoami\n  ekmctl --dev ./ekm-dev --as dev-officer-1 whoami")]
    Whoami,
    Doctor(DoctorArgs),
    /// The cluster as a whole: how it begins, who belongs to it, how it stands.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Shards: parts of the cluster that fail apart from each other.
    #[command(subcommand)]
    Shard(ShardCommand),
    /// Tenants: the units of isolation.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Crypto spaces: containers for keys made through Cloud KMS.
    #[command(subcommand, name = "cryptospace")]
    CryptoSpace(CryptoSpaceCommand),
    /// Keys and their versions.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Import keys: what key material from elsewhere is wrapped to on its way here.
    #[command(subcommand)]
    ImportKey(ImportKeyCommand),
    /// Take key versions out of use, put them back, destroy them.
    #[command(subcommand)]
    Version(VersionCommand),
    /// Aliases: further paths of a key version.
    #[command(subcommand)]
    Alias(AliasCommand),
    Grant(GrantArgs),
    /// Policies: who may do what with which key, and who may not.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Quotas: how many calls a tenant, crypto space or key may get answered.
    #[command(subcommand)]
    Quota(QuotaCommand),
    Explain(ExplainArgs),
    /// Deny entries: shut a caller or a key out at once, with or without a quorum.
    #[command(subcommand)]
    Deny(DenyCommand),
    /// Operators and officers: who may operate this cluster, in which roles.
    #[command(subcommand)]
    Operator(OperatorCommand),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Schema(SchemaArgs),
}
