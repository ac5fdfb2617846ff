//! Which rules are found, by whom, and in how many pages.

use replication::ids::{KeyVersionId, ShardId};
use replication::machine::policy::Operation;
use replication::machine::roles::PersonRole;
use replication::testkit::{Author, played};

use super::*;
use crate::admin::pages::PageQuery;

const CALLER: &str = "a@x.example";

/// Two tenants, each with a grant for the caller at every level, and between them one for somebody else.
fn state() -> Across {
    let author = Author::default();
    let mut entries = vec![author.genesis(ShardId::FIRST.group())];
    for (number, tenant) in (1_u8..).zip(["one", "two"]) {
        let tenant: TenantId = tenant.parse().expect("a tenant");
        let (space, key) = ("s".parse().expect("a name"), "k".parse().expect("a name"));
        let other: KeyName = "l".parse().expect("a name");
        let id = |last| KeyVersionId::from_bytes([number, last, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        entries.push(author.create_tenant(&tenant));
        entries.push(author.create_crypto_space(&tenant, &space));
        entries.push(author.create_key(&tenant, &key, None, id(1)));
        entries.push(author.create_key(&tenant, &other, None, id(2)));
        // the nearest first: a policy below one that decides would hide it, and is refused
        entries.push(author.grant(&tenant, Level::Key(other), rule("b@x.example")));
        let levels = [Level::Key(key), Level::CryptoSpace(space), Level::Tenant];
        entries.extend(levels.into_iter().map(|level| author.grant(&tenant, level, rule(CALLER))));
    }
    Across { states: vec![(ShardId::FIRST, played(&entries))], missing: Vec::new() }
}

fn rule(caller: &str) -> Rule {
    Rule {
        name: "r".parse().expect("a rule name"),
        callers: [caller.parse().expect("a caller")].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    }
}

/// Everything that is found, and in how many pages of so many items and looks.
fn found(state: &Across, caller: &str, tenants: Option<&str>, size: usize, looks_max: usize) -> (Vec<String>, usize) {
    let tenants = tenants.map(|names| names.split(',').map(|name| name.parse().expect("a tenant")).collect());
    let person = Person { id: "p".parse().expect("a name"), roles: [PersonRole::Viewer].into(), tenants };
    let caller: Principal = caller.parse().expect("a caller");
    let (mut all, mut pages, mut token) = (Vec::new(), 0, None);
    loop {
        let query = match token {
            Some(token) => serde_json::json!({ "page_size": size.to_string(), "page_token": token }),
            None => serde_json::json!({ "page_size": size.to_string() }),
        };
        let query: PageQuery = serde_json::from_value(query).expect("a query");
        let asked = PageAsked::parse(query).expect("a legal query");
        let page = page(state, &caller, &asked, &person, looks_max).expect("its own token");
        assert!(page.items.len() <= size);
        all.extend(page.items.iter().map(|item| {
            assert_eq!((item.denies.len(), item.grants.len()), (0, 1));
            place(&item.tenant, item.level.clone()).to_string()
        }));
        pages += 1;
        token = page.next_page_token;
        if token.is_none() {
            return (all, pages);
        }
    }
}

#[test]
fn every_level_that_names_the_caller_is_found_whatever_the_size_of_the_pages() {
    let state = state();
    let all = ["one", "one/c/s", "one/k/k", "two", "two/c/s", "two/k/k"].map(ToOwned::to_owned).to_vec();
    for (size, looks_max) in [(1, 100), (2, 100), (1000, 100), (1000, 1), (1000, 3), (2, 2)] {
        assert_eq!(found(&state, CALLER, None, size, looks_max).0, all, "{size} {looks_max}");
    }
    assert_eq!(found(&state, CALLER, None, 1000, 100).1, 1);
    assert_eq!(found(&state, "c@x.example", None, 1000, 100), (Vec::new(), 1));
    assert_eq!(found(&state, "c@x.example", None, 1000, 3), (Vec::new(), 3), "four levels a tenant are looked at");
}

#[test]
fn rules_out_of_reach_are_neither_found_nor_looked_at() {
    let state = state();
    let one = ["one", "one/c/s", "one/k/k"].map(ToOwned::to_owned).to_vec();
    assert_eq!(found(&state, CALLER, Some("one"), 1000, 4), (one, 1), "no page tells of what is not shown");
    assert_eq!(found(&state, CALLER, Some("system"), 1000, 1), (Vec::new(), 1));
}
