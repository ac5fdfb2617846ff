//! Whom a grant does not reach: keys whose rules stand nearer. The nearest level with a policy decides, so a grant above it
//! says nothing about them; an operator should be told. Decides nothing.

use replication::ids::{KeyName, TenantId};
use replication::machine::request::Level;
use replication::machine::rows::{CryptoSpace, Key};
use replication::machine::state::State;

/// Most keys that are named.
const NAMED_MAX: usize = 8;

/// The keys below `level` that a grant there does not reach, the first few by name; the others as a count.
pub(super) fn beyond(state: &State, tenant: &TenantId, level: &Level) -> Vec<String> {
    let is_beyond = |key: &Key| match level {
        Level::Tenant => key.policy.is_some() || space_decides(state, tenant, key),
        Level::CryptoSpace(name) => key.crypto_space.as_ref() == Some(name) && key.policy.is_some(),
        Level::Key(_) => false,
    };
    let names: Vec<&KeyName> = state.keys_of(tenant).filter(|(_, key)| is_beyond(key)).map(|(name, _)| name).collect();
    let mut named: Vec<String> = names.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if names.len() > NAMED_MAX {
        named.push(format!("and {} more", names.len() - NAMED_MAX));
    }
    named
}

fn space_decides(state: &State, tenant: &TenantId, key: &Key) -> bool {
    let space = key.crypto_space.as_ref().and_then(|name| state.row::<CryptoSpace>(&(tenant.clone(), name.clone())));
    space.is_some_and(|space| space.policy.is_some())
}

#[cfg(test)]
mod tests {
    use replication::ids::{CryptoSpaceName, KeyVersionId, ShardId};
    use replication::machine::policy::{Operation, Rule};
    use replication::testkit::{Author, played};

    use super::*;

    #[test]
    fn a_grant_above_does_not_reach_keys_with_rules_of_their_own() {
        let (author, tenant) = (Author::default(), "acme".parse::<TenantId>().expect("a legal name"));
        let space: CryptoSpaceName = "space".parse().expect("a legal name");
        let name = |text: &str| text.parse::<KeyName>().expect("a legal name");
        let rule = |text: &str| Rule {
            name: text.parse().expect("a legal name"),
            callers: ["a@example.com".parse().expect("an address")].into(),
            resources: Vec::new(),
            operations: Operation::ALL.into(),
            justifications: None,
        };
        let key =
            |text: &str, space, id| author.create_key(&tenant, &name(text), space, KeyVersionId::from_bytes([id; 16]));
        let entries = [
            author.genesis(ShardId::FIRST.group()),
            author.create_tenant(&tenant),
            author.create_crypto_space(&tenant, &space),
            key("plain", None, 1),
            key("own", None, 2),
            key("inside", Some(&space), 3),
            key("inside-own", Some(&space), 4),
            author.grant(&tenant, Level::Key(name("own")), rule("r1")),
            author.grant(&tenant, Level::Key(name("inside-own")), rule("r2")),
            author.grant(&tenant, Level::CryptoSpace(space.clone()), rule("r3")),
        ];
        let state = played(&entries);
        assert_eq!(beyond(&state, &tenant, &Level::Tenant), ["inside", "inside-own", "own"]);
        assert_eq!(beyond(&state, &tenant, &Level::CryptoSpace(space)), ["inside-own"]);
        assert!(beyond(&state, &tenant, &Level::Key(name("own"))).is_empty());
    }
}
