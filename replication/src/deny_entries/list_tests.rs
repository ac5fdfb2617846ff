//! Whom a list shuts out, and what it keeps.

use super::*;
use crate::machine::deny::DENY_MAX;

const END: u64 = 600_000;

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

fn entry(id: u128, tenant: &str, subject: Subject, expires_at: u64) -> DenyEntry {
    let id = DenyId::from_bytes(id.to_be_bytes());
    DenyEntry { id, tenant: name(tenant), subject, expires_at: Timestamp(expires_at) }
}

const ANN: &str = "ann@example.com";

fn ann() -> Subject {
    Subject::Caller(name(ANN))
}

fn list_of(entries: &[DenyEntry]) -> DenyList {
    let (list, left_out) = DenyList::default().with(entries, None, Timestamp(0));
    assert_eq!(left_out, 0);
    list
}

#[test]
fn a_caller_is_shut_out_of_its_tenant_alone_and_a_key_for_everybody() {
    let [caller, bob] = ["ann@example.com", "bob@example.com"].map(name::<Principal>);
    let [k1, k2] = ["k1", "k2"].map(name::<KeyName>);
    let [acme, rival] = ["acme", "rival"].map(name::<TenantId>);
    let entries = [entry(1, "acme", ann(), END), entry(2, "acme", Subject::Key(k2.clone()), END)];
    let list = list_of(&entries);
    let find = |tenant, key, who| list.find((tenant, key), who, None, Timestamp(0)).map(|named| named.entry);
    let (first, second) = (Some(entries[0].id), Some(entries[1].id));
    assert_eq!([find(&acme, &k1, &caller), find(&acme, &k2, &caller)], [first, first]);
    assert_eq!([find(&acme, &k1, &bob), find(&acme, &k2, &bob)], [None, second]);
    assert_eq!([find(&rival, &k1, &caller), find(&rival, &k2, &bob)], [None, None]);
}

#[test]
fn one_that_certainly_holds_is_named_before_one_that_is_about_to_end() {
    let shut_out = |id, end| entry(id, "acme", ann(), end);
    let list = list_of(&[shut_out(1, 10_000), shut_out(2, END)]);
    let at = |list: &DenyList, now| {
        let found = list.find((&name("acme"), &name("k")), &name(ANN), None, Timestamp(now));
        found.map(|named| (named.entry.as_bytes()[15], named.certainty))
    };
    assert_eq!(at(&list, 10_000), Some((2, Certainty::Certain)));
    assert_eq!(at(&list, END), Some((2, Certainty::Perhaps)));
    assert_eq!(at(&list, END + 30_001), None);
    assert_eq!([0, 50_000, END + 30_001].map(|now| list.count(None, Timestamp(now))), [2, 1, 0]);
}

#[test]
fn a_clock_that_jumps_ahead_and_back_forgets_nobody() {
    let list = list_of(&[entry(1, "acme", ann(), END)]);
    let more = [entry(2, "acme", Subject::Key(name("k2")), 9 * END)];
    let (list, _) = list.with(&more, None, Timestamp(END + 30_001));
    assert_eq!(list.count(None, Timestamp(0)), 2);
}

#[test]
fn what_no_key_store_can_have_taken_is_left_out() {
    let max = u64::try_from(DENY_MAX.as_millis()).expect("it fits");
    let odd = [
        entry(1, "system", Subject::Key(name("canary")), END),
        entry(2, "acme", ann(), max + 120_001),
        entry(3, "acme", ann(), u64::MAX),
    ];
    let (list, left_out) = DenyList::default().with(&odd, None, Timestamp(0));
    assert!(list.is_empty() && left_out == 3);
    assert_eq!(list_of(&[entry(4, "acme", ann(), max)]).len(), 1);
}

#[test]
fn a_full_list_forgets_what_has_ended_and_takes_no_more_than_it_has_room_for() {
    let many = |from: u128, end| {
        let key = |at: u128| Subject::Key(name(&format!("k{at}")));
        (from..from + KEPT_MAX as u128).map(|at| entry(at, "acme", key(at), end)).collect::<Vec<_>>()
    };
    let list = list_of(&many(0, END));
    let one = many(100_000, 9 * END);
    let (same, left_out) = list.with(&one[..1], None, Timestamp(0));
    assert_eq!((same.len(), left_out), (KEPT_MAX, 1), "nothing has ended");
    let (fresh, left_out) = list.with(&one, None, Timestamp(END + 30_001));
    assert_eq!((fresh.len(), fresh.count(None, Timestamp(END)), left_out), (KEPT_MAX, KEPT_MAX, 0));
}
