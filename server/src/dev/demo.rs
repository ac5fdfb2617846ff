//! The demo tenant, crypto space, key and grant: made through the same signed requests that an operator sends.

use std::path::Path;
use std::sync::Arc;

use replication::ids::{
    CryptoSpaceName, IdempotencyId, KeyName, Revision, RuleName, TenantId, crypto_space_path, key_path,
};
use replication::machine::policy::{Operation, Principal, Rule};
use replication::machine::request::{AdminOperation, Level};
use replication::machine::rows::{CryptoSpace, Key, Purpose, Staleness, Tenant};
use replication::machine::state::State;

use crate::admin::client::{ClientError, Operator, new_idempotency_id};
use crate::keystore::{ExecuteError, KeyStore, ShardDown};

use super::file::DevFile;
use super::token::demo_caller;

/// The tenant's revision once it has its crypto space and its key, and no grant yet.
const WITHOUT_GRANT: Revision = Revision(3);

/// Why the demo is not there.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A request was not carried out.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// No id for a request.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was made is not there.
    #[error("the demo key was made and is not there")]
    Missing,
}

/// The paths of what was made, without a leading slash.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Of the key's first version.
    pub key_path: String,
    /// Of the crypto space.
    pub crypto_space_path: String,
    /// Why nobody can say whether they are there, if its shard does not serve.
    pub down: Option<ShardDown>,
}

impl Demo {
    /// As an earlier start left it; of nothing if there was none.
    pub fn before(folder: &Path, down: ShardDown) -> Self {
        let before = DevFile::load(folder).ok().map(|file| (file.key_path, file.cryptospace_path));
        let (key_path, crypto_space_path) = before.unwrap_or_default();
        Self { key_path, crypto_space_path, down: Some(down) }
    }
}

struct Names {
    tenant: TenantId,
    space: CryptoSpaceName,
    key: KeyName,
    rule: RuleName,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            tenant: "demo".parse().expect("a legal tenant name"),
            space: "demo-space".parse().expect("a legal crypto space name"),
            key: "demo-key".parse().expect("a legal key name"),
            rule: "demo-caller".parse().expect("a legal rule name"),
        }
    }
}

/// Makes what is not there yet. What an operator changed since is left as it is.
pub async fn ensure(store: &Arc<KeyStore>, operator: &Operator) -> Result<Demo, DemoError> {
    let names = Names::default();
    let named = (names.tenant.clone(), names.key.clone());
    let space = (names.tenant.clone(), names.space.clone());
    let state = || -> Result<State, DemoError> {
        // a tenant that is not placed yet has nothing
        let placed = store.placed(&names.tenant).map(|shard| store.shown_in(shard));
        Ok(placed.transpose().map_err(ExecuteError::from)?.unwrap_or_else(State::empty))
    };
    let before = state()?;
    let ask = async |operation| -> Result<(), DemoError> {
        let id: IdempotencyId = new_idempotency_id()?;
        store.execute(operator.request(store.lineage(), id, operation)).await?;
        Ok(())
    };
    if before.row::<Tenant>(&names.tenant).is_none() {
        ask(AdminOperation::CreateTenant {
            tenant: names.tenant.clone(),
            staleness: Staleness::default(),
            shard: None,
        })
        .await?;
    }
    if before.row::<CryptoSpace>(&space).is_none() {
        ask(AdminOperation::CreateCryptoSpace { tenant: names.tenant.clone(), name: names.space.clone() }).await?;
    }
    if before.row::<Key>(&named).is_none() {
        ask(AdminOperation::CreateKey {
            tenant: names.tenant.clone(),
            name: names.key.clone(),
            crypto_space: Some(names.space.clone()),
            purpose: Purpose::EncryptDecrypt,
        })
        .await?;
    }
    // a start that a crash cut short made the key and no grant; a policy that was taken away later stays away
    let is_untouched = before.row::<Tenant>(&names.tenant).is_none_or(|tenant| tenant.revision <= WITHOUT_GRANT);
    if is_untouched {
        let rule = Rule {
            name: names.rule,
            callers: [Principal::ServiceAccount(demo_caller())].into(),
            resources: Vec::new(),
            operations: Operation::ALL.into(),
            justifications: None,
        };
        ask(AdminOperation::Grant { tenant: names.tenant.clone(), level: Level::Key(names.key), rule }).await?;
    }
    let after = state()?;
    let key = after.row::<Key>(&named).ok_or(DemoError::Missing)?;
    let version = key.versions.get(&key.primary).ok_or(DemoError::Missing)?;
    let space = after.row::<CryptoSpace>(&space).ok_or(DemoError::Missing)?;
    Ok(Demo { key_path: key_path(*version), crypto_space_path: crypto_space_path(space.id), down: None })
}
