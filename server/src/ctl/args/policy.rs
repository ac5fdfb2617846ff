//! Commands on policies and quotas.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Subcommand;
use replication::ids::RuleName;
use replication::machine::rows::QUOTA_MAX;

use super::level::OwnedLevelArgs;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show a policy, and what is inherited from where.
    ///
    /// A deny at any level refuses; then the nearest level that has a policy decides by its grants: the key, else its crypto space,
    /// else the tenant. Shows each level that counts and which one decides.
    #[command(after_help = "Examples:
  ekmctl policy show --tenant acme --key payroll
  ekmctl policy show --tenant acme --key payroll --output json | jq .own > policy.json")]
    Show {
        /// Whose.
        #[command(flatten)]
        of: OwnedLevelArgs,
    },
    /// Replace the whole policy of a level by that of a file.
    ///
    /// The file is JSON as `policy show --output json` prints it under `own`: {"denies": [...], "grants": [...]}. Whoever had a grant
    /// there and has none any more is refused with a final answer, and Cloud KMS disables its key version at the first one: compare
    /// with `explain` first. To add one grant, use `grant`.
    #[command(after_help = "Examples:\n  ekmctl policy set policy.json --tenant acme --key payroll --yes")]
    Set {
        /// JSON.
        file: PathBuf,
        /// Whose.
        #[command(flatten)]
        of: OwnedLevelArgs,
    },
    /// Take one rule, a grant or a deny, out of a policy.
    ///
    /// Without a grant its callers are refused with a final answer, and Cloud KMS disables its key version at the first one.
    #[command(after_help = "Examples:\n  ekmctl policy remove-rule backup --tenant acme --yes")]
    RemoveRule {
        /// The rule's name.
        rule: RuleName,
        /// Whose policy.
        #[command(flatten)]
        of: OwnedLevelArgs,
    },
    /// Take the policy of a level away: it inherits again.
    ///
    /// From then on the next level decides: for a key its crypto space, else the tenant. A tenant without a policy refuses everybody.
    #[command(after_help = "Examples:\n  ekmctl policy clear --tenant acme --key payroll --yes")]
    Clear {
        /// Whose.
        #[command(flatten)]
        of: OwnedLevelArgs,
    },
}

/// What to do with quotas.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Limit the calls of a tenant, crypto space or key.
    ///
    /// The quota of every level holds; each frontend counts for itself. Calls beyond it are answered `RESOURCE_EXHAUSTED` (429) with a time to
    /// try again: Cloud KMS repeats them, and disables nothing.
    #[command(
        after_help = "Examples:\n  ekmctl quota set --tenant acme --key payroll --per-second 50 --burst 100 --yes"
    )]
    Set {
        /// Whose.
        #[command(flatten)]
        of: OwnedLevelArgs,
        /// Calls a second, for each frontend.
        #[arg(long, value_name = "N", value_parser = calls)]
        per_second: NonZeroU32,
        /// Calls at once after a quiet time.
        #[arg(long, value_name = "N", value_parser = calls)]
        burst: NonZeroU32,
    },
    /// Show a quota.
    ///
    /// Shows the level's own, and those of the levels above it, which hold too: the smallest of them is what callers meet.
    #[command(after_help = "Examples:\n  ekmctl quota show --tenant acme --key payroll")]
    Show {
        /// Whose.
        #[command(flatten)]
        of: OwnedLevelArgs,
    },
    /// Take a quota away.
    ///
    /// Acts within seconds. Quotas of the levels above it still hold; nothing at Google has to be told.
    #[command(after_help = "Examples:\n  ekmctl quota clear --tenant acme --key payroll")]
    Clear {
        /// Whose.
        #[command(flatten)]
        of: OwnedLevelArgs,
    },
}

fn calls(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().ok().filter(|number: &NonZeroU32| number.get() <= QUOTA_MAX);
    number.ok_or_else(|| format!("a number of calls is 1 to {QUOTA_MAX}; to lift a quota use `ekmctl quota clear`"))
}
