//! Shards: one more of them, and how those that are there stand.

use replication::machine::request::AdminOperation;

use crate::admin::wire::{SHARDS_PATH, ShardStatus};
use crate::ctl::args::ShardCommand;
use crate::ctl::error::CtlError;
use crate::ctl::print::{self, Printed, answer};
use crate::ctl::session::Session;

impl Session {
    pub(super) async fn shard(&self, command: &ShardCommand) -> Result<Printed, CtlError> {
        match command {
            ShardCommand::Add { number } => {
                Ok(answer(&self.change(AdminOperation::AddShard { shard: *number }).await?))
            }
            ShardCommand::List => {
                let shards: Vec<ShardStatus> = self.client.list(SHARDS_PATH).await?;
                Ok(Printed::of(&shards, print::lines(&shards, print::shard)))
            }
        }
    }
}
