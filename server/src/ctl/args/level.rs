//! Whose policy or quota a command is about: a tenant's, a crypto space's, a key's.

use clap::Args;
use replication::ids::{CryptoSpaceName, KeyName, TenantId};
use replication::machine::request::Level;

/// Whose policy.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct LevelArgs {
    /// That of this key. The tenant's own is meant if neither a key nor a crypto space is named.
    #[arg(long)]
    pub key: Option<KeyName>,
    /// That of this crypto space: its grants count for its keys without a policy of their own, its denies and its quota for all its keys.
    #[arg(long, value_name = "NAME")]
    pub crypto_space: Option<CryptoSpaceName>,
}

impl LevelArgs {
    /// The level; the tenant's own if neither is given.
    pub fn level(&self) -> Level {
        match (&self.key, &self.crypto_space) {
            (Some(key), _) => Level::Key(key.clone()),
            (None, Some(space)) => Level::CryptoSpace(space.clone()),
            (None, None) => Level::Tenant,
        }
    }
}

/// A tenant, and whose policy in it.
#[derive(Debug, Args)]
pub struct OwnedLevelArgs {
    /// The tenant.
    #[arg(long)]
    pub tenant: TenantId,
    /// The tenant's own if neither is given.
    #[command(flatten)]
    pub level: LevelArgs,
}
