//! Commands on tenants and crypto spaces.

use clap::{Subcommand, ValueEnum};
use replication::ids::{CryptoSpaceName, ShardId, TenantId};
use replication::machine::rows::Staleness;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant with a key of its own.
    ///
    /// A tenant is the unit of isolation: its keys are sealed under its own key, its policy and quota hold for all of them, and no
    /// caller of another tenant reaches them. Make one for each organisation or line of business. Nothing happens at Google.
    #[command(
        after_help = "Examples:\n  ekmctl tenant create acme\n  ekmctl tenant create globex --staleness strict\n  ekmctl tenant create initech --shard 1"
    )]
    Create {
        /// Its name: 1 to 63 of a-z, 0-9 and '-'.
        name: TenantId,
        /// How long keys are served from a view that cannot be refreshed: strict 5 minutes, balanced a day, available a week and more.
        #[arg(long, value_enum, default_value_t = StalenessArg::Balanced)]
        staleness: StalenessArg,
        /// The shard it is to live in, for good; without it the one with the fewest tenants that takes changes.
        #[arg(long, value_name = "NUMBER")]
        shard: Option<ShardId>,
    },
    /// List all tenants.
    ///
    /// Shows those in your reach, with their shard, their revision, which grows with every change, and how stale a view may answer for
    /// them.
    #[command(after_help = "Examples:\n  ekmctl tenant list")]
    List,
    /// Show one tenant.
    ///
    /// Shows its shard, its revision, its policy and quota, which hold for all its keys, and how stale a view may answer for it.
    #[command(after_help = "Examples:\n  ekmctl tenant show acme\n  ekmctl tenant show acme --output json")]
    Show {
        /// Its name.
        name: TenantId,
    },
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

/// What to do with crypto spaces.
#[derive(Debug, Subcommand)]
pub enum CryptoSpaceCommand {
    /// Make a crypto space.
    ///
    /// A crypto space groups keys under a policy and a quota of their own. Its path is what an EKM connection at Google names when
    /// Cloud KMS is to make keys here by itself.
    #[command(after_help = "Examples:\n  ekmctl cryptospace create vault --tenant acme")]
    Create {
        /// Its name, unique within the tenant.
        name: CryptoSpaceName,
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
    /// List a tenant's crypto spaces.
    ///
    /// Shows their names, and the paths that an EKM connection at Google names. For policy and quota of one, use `cryptospace show`.
    #[command(after_help = "Examples:\n  ekmctl cryptospace list --tenant acme")]
    List {
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
    /// Show one crypto space.
    ///
    /// Shows its path, and the policy and quota that hold for its keys unless a key has its own policy.
    #[command(after_help = "Examples:\n  ekmctl cryptospace show vault --tenant acme")]
    Show {
        /// Its name.
        name: CryptoSpaceName,
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
}
