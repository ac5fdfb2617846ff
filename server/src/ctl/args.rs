//! The command line of `ekmctl`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use replication::ids::{CryptoSpaceName, IdempotencyId, KeyName, KeyVersionId, RuleName, TenantId, parse_key_path};
use replication::machine::policy::{Operation, Principal};
use replication::machine::rows::Staleness;

/// Operates an external key manager: tenants, crypto spaces, keys, grants and key versions.
#[derive(Debug, Parser)]
#[command(name = "ekmctl", version, after_help = EXAMPLES)]
pub struct Args {
    /// Which cluster, and as whom.
    #[command(flatten)]
    pub connection: Connection,
    /// How to print answers.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    pub output: Output,
    /// Repeat an earlier change under its idempotency id instead of asking for a new one (32 hex digits).
    #[arg(long, value_name = "ID", global = true)]
    pub idempotency_id: Option<IdempotencyId>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  ekmctl --dev ./ekm-dev status
  ekmctl --dev ./ekm-dev tenant create acme
  ekmctl --dev ./ekm-dev key create payroll --tenant acme
  ekmctl --dev ./ekm-dev grant cloud-kms --tenant acme --key payroll \\
      --caller service-123@gcp-sa-ekms.iam.gserviceaccount.com
  ekmctl --dev ./ekm-dev version disable v0/keys/0001…

Exit status: 0 done, 1 refused, 64 wrong usage, 69 the admin API does not answer.";

/// Which cluster, and as whom: a data directory of `ekm dev`, or the four parts by themselves.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The data directory of a running `ekm dev`; it says the rest.
    #[arg(long, value_name = "DIR", env = "EKM_DEV", global = true, conflicts_with_all = ["url", "ca", "cert", "key_file"])]
    pub dev: Option<PathBuf>,
    /// The admin API, for example `https://ekm.example.com:8444`.
    #[arg(long, env = "EKM_ADMIN_URL", global = true)]
    pub url: Option<String>,
    /// Certificates that the admin API's own must descend from, PEM.
    #[arg(long, value_name = "FILE", env = "EKM_ADMIN_CA", global = true)]
    pub ca: Option<PathBuf>,
    /// The operator's certificate, PEM; its common name is the operator's.
    #[arg(long, value_name = "FILE", env = "EKM_OPERATOR_CERT", global = true)]
    pub cert: Option<PathBuf>,
    /// The operator's Ed25519 key, PKCS#8 PEM; it also signs requests.
    #[arg(long = "cert-key", value_name = "FILE", env = "EKM_OPERATOR_KEY", global = true)]
    pub key_file: Option<PathBuf>,
}

/// How to print answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: the admin API's bodies as they are.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What the cluster is and how it is.
    Status,
    /// Tenants: the units of isolation.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Crypto spaces: containers for keys made through Cloud KMS.
    #[command(subcommand, name = "cryptospace")]
    CryptoSpace(CryptoSpaceCommand),
    /// Keys and their versions.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Let callers use a key, or those keys of a crypto space or tenant that have no nearer policy. Acts at once.
    Grant(GrantArgs),
    /// Take key versions out of use and put them back.
    #[command(subcommand)]
    Version(VersionCommand),
}

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant with a key of its own.
    Create {
        /// Its name: 1 to 63 of a-z, 0-9 and '-'.
        name: TenantId,
        /// How long keys are served from a view that cannot be refreshed: strict 5 minutes, balanced a day, available a week and more.
        #[arg(long, value_enum, default_value_t = StalenessArg::Balanced)]
        staleness: StalenessArg,
    },
    /// List all tenants.
    List,
}

/// What to do with crypto spaces.
#[derive(Debug, Subcommand)]
pub enum CryptoSpaceCommand {
    /// Make a crypto space.
    Create {
        /// Its name, unique within the tenant.
        name: CryptoSpaceName,
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
    /// List a tenant's crypto spaces.
    List {
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key with a first version, and print its path for Google.
    Create {
        /// Its name, unique within the tenant.
        name: KeyName,
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
        /// The crypto space whose policy it inherits.
        #[arg(long, value_name = "NAME")]
        crypto_space: Option<CryptoSpaceName>,
    },
    /// List a tenant's keys and their versions.
    List {
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
}

/// What to do with key versions.
#[derive(Debug, Subcommand)]
pub enum VersionCommand {
    /// Put a disabled version back into use.
    Enable {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
    /// Take a version out of use: wrap and unwrap with it stop. The path is in `key list`.
    Disable {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
}

fn version_path(text: &str) -> Result<KeyVersionId, String> {
    parse_key_path(text).ok_or_else(|| "a key version's path is v0/keys/ and 32 hexadecimal digits".to_owned())
}

/// A grant.
#[derive(Debug, ClapArgs)]
pub struct GrantArgs {
    /// The grant's name, unique within its policy; audit records and refusals quote it.
    pub name: RuleName,
    /// The tenant whose keys these are.
    #[arg(long)]
    pub tenant: TenantId,
    /// Whose policy it joins; the tenant's own if neither is given.
    #[command(flatten)]
    pub level: LevelArgs,
    /// Who may: the e-mail of a service account. Give it several times for several callers.
    #[arg(long, required = true, value_name = "EMAIL")]
    pub caller: Vec<Principal>,
    /// What they may do.
    #[arg(long, value_delimiter = ',', default_values = ["wrap", "unwrap"], value_parser = operation)]
    pub operations: Vec<Operation>,
    /// For which stated reasons: codes 0 to 11 of Google's key access justifications. Without this flag every reason, and none, will do.
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    pub justifications: Vec<u32>,
    /// Together with --justifications: also requests that state no reason at all.
    #[arg(long, requires = "justifications")]
    pub allow_missing: bool,
    /// Only for Cloud KMS keys of this project.
    #[arg(long)]
    pub project: Option<String>,
    /// Only for Cloud KMS keys in this location.
    #[arg(long)]
    pub location: Option<String>,
    /// Only for Cloud KMS keys in this key ring.
    #[arg(long, value_name = "NAME")]
    pub key_ring: Option<String>,
    /// Only for the Cloud KMS key of this name.
    #[arg(long, value_name = "NAME")]
    pub crypto_key: Option<String>,
}

fn operation(text: &str) -> Result<Operation, String> {
    Operation::ALL
        .into_iter()
        .find(|operation| operation.as_str() == text)
        .ok_or_else(|| "an operation is wrap or unwrap".to_owned())
}

/// Whose policy.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub struct LevelArgs {
    /// Joins the policy of this key.
    #[arg(long)]
    pub key: Option<KeyName>,
    /// Joins the policy of this crypto space: covers its keys that have no policy of their own.
    #[arg(long, value_name = "NAME")]
    pub crypto_space: Option<CryptoSpaceName>,
}

/// How long a stale view may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StalenessArg {
    /// Five minutes.
    Strict,
    /// A day.
    Balanced,
    /// A week and, with an alarm, more.
    Available,
}

impl From<StalenessArg> for Staleness {
    fn from(class: StalenessArg) -> Self {
        match class {
            StalenessArg::Strict => Self::Strict,
            StalenessArg::Balanced => Self::Balanced,
            StalenessArg::Available => Self::Available,
        }
    }
}
