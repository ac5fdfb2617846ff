//! Who sees what.

use replication::ids::ShardId;
use replication::machine::roles::PersonRole;
use replication::testkit::{Author, played};

use super::*;
use crate::admin::pages::PageQuery;
use crate::admin::standing::key_versions;

/// Two tenants, each with a crypto space, and a key whose version has the given id.
fn two_tenants(versions: &[(&str, KeyVersionId)]) -> State {
    let author = Author::default();
    let mut entries = vec![author.genesis(ShardId::FIRST.group())];
    for (tenant, id) in versions {
        let tenant: TenantId = tenant.parse().expect("a tenant");
        let (space, key) = ("s".parse().expect("a name"), "k".parse().expect("a name"));
        entries.push(author.create_tenant(&tenant));
        entries.push(author.create_crypto_space(&tenant, &space));
        entries.push(author.create_key(&tenant, &key, Some(&space), *id));
    }
    played(&entries)
}

#[test]
fn a_tenant_out_of_reach_looks_as_if_it_were_not_there() {
    let [one, two] = [1, 2].map(|byte| KeyVersionId::from_bytes([byte; 16]));
    let state = two_tenants(&[("one", one), ("two", two)]);
    let id: replication::ids::SignerId = "operator-1".parse().expect("a name");
    let name = |text: &str| -> TenantId { text.parse().expect("a tenant") };
    let seen_by = |tenants| {
        let operator = Person { id: id.clone(), roles: [PersonRole::Viewer].into(), tenants };
        let listed: Vec<_> = tenants_of(&state, &operator);
        let each = ["one", "two", "none"].map(|tenant| {
            let tenant = name(tenant);
            let spaces = crypto_spaces(&state, &tenant, &all(), &operator).ok().map(|list| list.items.len());
            let each = [
                crypto_space(&state, (tenant.clone(), "s".parse().expect("a name")), &operator).is_ok(),
                key(&state, (tenant.clone(), "k".parse().expect("a name")), &operator).is_ok(),
                super::tenant(&state, &tenant, &operator).is_ok(),
            ];
            assert!(each.iter().all(|found| *found == spaces.is_some()), "{each:?}");
            (keys(&state, &tenant, &all(), &operator).ok().map(|list| list.items.len()), spaces)
        });
        let versions = [one, two].map(|id| version_in(&state, id, &operator).is_ok());
        let counted: usize = key_versions(std::iter::once(&state), &operator).values().sum();
        (listed, each, versions, counted)
    };
    let (all, none) = ((Some(1), Some(1)), (None, None));
    assert_eq!(seen_by(None), (vec!["one".to_owned(), "two".to_owned()], [all, all, none], [true, true], 2));
    assert_eq!(seen_by(Some([name("one")].into())), (vec!["one".to_owned()], [all, none, none], [true, false], 1));
    assert_eq!(seen_by(Some([].into())), (Vec::new(), [none; 3], [false, false], 0));
    let reserved =
        Person { id: id.clone(), roles: [PersonRole::Viewer].into(), tenants: Some([name("system")].into()) };
    assert!(!reserved.reaches(&name("system")));
}

fn tenants_of(state: &State, operator: &Person) -> Vec<String> {
    let across = Across { states: vec![(ShardId::FIRST, state.clone())], missing: Vec::new() };
    tenants(&across, &all(), operator)
        .expect("the first page")
        .items
        .into_iter()
        .map(|body| body.tenant.to_string())
        .collect()
}

fn all() -> PageAsked {
    PageAsked::parse(PageQuery::default()).expect("nothing is asked")
}

#[test]
fn a_public_key_is_shown_in_lines_of_64() {
    let pem = public_key_pem(&[0xab; 100]);
    let lines: Vec<&str> = pem.lines().collect();
    assert_eq!((lines[0], lines[4]), ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"));
    assert_eq!(lines[1..4].iter().map(|line| line.len()).collect::<Vec<_>>(), [64, 64, 8]);
    assert_eq!(STANDARD.decode(lines[1..4].concat()), Ok(vec![0xab; 100]));
}
