//! Commands on shards.

use clap::Subcommand;
use replication::ids::ShardId;

/// What to do with shards.
#[derive(Debug, Subcommand)]
pub enum ShardCommand {
    /// Add a shard for tenants to come.
    ///
    /// A shard is a Raft group with a store, tasks and limits of its own: when one stands still, the others go on. New tenants go to the
    /// shard with the fewest tenants, unless `tenant create --shard` says otherwise; tenants that are there stay where they are. It takes
    /// the role operator with all tenants in reach. A shard cannot be removed.
    #[command(after_help = "Examples:\n  ekmctl shard add 2")]
    Add {
        /// Its number: from 1 to 64, and not taken.
        number: ShardId,
    },
    /// List the shards.
    ///
    /// Shows whether each serves and takes changes, why it does not, and how many tenants of your reach live in it.
    #[command(after_help = "Examples:\n  ekmctl shard list\n  ekmctl shard list --output json")]
    List,
}
