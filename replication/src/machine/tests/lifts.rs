//! Deny entries that are lifted: who may, what stays of it and for how long.

use crate::clock::Timestamp;
use crate::ids::{DenyId, GroupId};
use crate::machine::apply::LIFTS_MAX;
use crate::machine::command::{Action, Command, EnrolSigner, LiftDeny};
use crate::machine::deny::{DenyEntry, is_lifted};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::policy::Subject;
use crate::machine::request::{AdminOperation, SignedRequest};
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Lift, Role};
use crate::testkit::{asks, consent_to, signing_key};

use super::{Machine, SHARD, name, tenant};

const SYSTEM: GroupId = GroupId::SYSTEM;
const DAY: u64 = 86_400_000;

fn machine() -> Machine {
    let mut machine = Machine::of(SYSTEM);
    let entry = machine.author.place_tenant(&tenant("acme"));
    machine.done(&entry);
    machine
}

fn entry(number: u128) -> DenyId {
    DenyId::from_bytes(number.to_be_bytes())
}

fn lift(number: u128) -> LiftDeny {
    LiftDeny { tenant: tenant("acme"), entry: entry(number) }
}

impl Machine {
    fn lifts(&mut self, lift: LiftDeny, at: u64) -> Outcome {
        let action = Action::LiftDeny(lift);
        let (id, asked) = self.author.approved(asks(&action).expect("officers can ask for it"));
        let command = Command { at: Timestamp(at), idempotency_id: id, request: Some(asked), action };
        let entry = self.author.entry(SYSTEM, &command);
        self.feed(&entry)
    }
}

#[test]
fn a_lift_is_kept_until_no_entry_from_before_can_hold() {
    let mut machine = machine();
    assert_eq!(machine.lifts(lift(1), 5), Outcome::Done(Effect::DenyLifted));
    assert_eq!(machine.lifts(lift(1), 6), Outcome::Refused(Refusal::DenyLifted { entry: entry(1) }));
    let has = |machine: &Machine, number| machine.state.row::<Lift>(&(tenant("acme"), entry(number))).is_some();
    assert_eq!(machine.lifts(lift(2), 33 * DAY + 5), Outcome::Done(Effect::DenyLifted));
    assert!(has(&machine, 1) && has(&machine, 2));
    assert_eq!(machine.lifts(lift(3), 33 * DAY + 6), Outcome::Done(Effect::DenyLifted));
    assert!(!has(&machine, 1) && has(&machine, 2) && has(&machine, 3));
}

#[test]
fn a_lift_takes_two_officers_with_the_tenant_in_reach_and_group_0() {
    let mut machine = machine();
    let operation = asks(&Action::LiftDeny(lift(1))).expect("officers can ask for it");
    let (far, near) = (signing_key("far", 61), signing_key("near", 62));
    for (key, reach) in [(&far, "rival"), (&near, "acme")] {
        let role = Role::Person { roles: [PersonRole::SecurityOfficer].into(), tenants: Some([tenant(reach)].into()) };
        let enrol = EnrolSigner { signer: key.signer().clone(), public_key: key.public_key(), role };
        let entry = machine.author.does(SYSTEM, Action::EnrolSigner(enrol));
        machine.done(&entry);
    }
    let author = &machine.author;
    let [first, second] = author.officers();
    let (_, by_first) = author.request_by(first, operation.clone());
    let (_, by_far) = author.request_by(&far, operation.clone());
    let not_for = |who: &str| Refusal::NotForTenant { signer: name(who), tenant: tenant("acme") };
    let approve = |by, of: &SignedRequest| author.request_by(by, AdminOperation::Approve(consent_to(of.clone())));
    let cases = [
        (author.request_by(first, operation.clone()), Refusal::NeedsTwoOfficers),
        (author.request_by(&far, operation.clone()), not_for("far")),
        (author.request_by(author.operator(), operation.clone()), Refusal::NotOfficer { signer: name("operator-1") }),
        (approve(first, &by_first), Refusal::SameOfficer { signer: name("officer-1") }),
        (approve(&far, &by_first), not_for("far")),
        (approve(second, &by_far), not_for("far")),
    ];
    let refused: Vec<_> = cases
        .into_iter()
        .map(|(asked, refusal)| (author.carries_out(SYSTEM, asked, Action::LiftDeny(lift(1))), refusal))
        .collect();
    let by_near = approve(&near, &by_first);
    let allowed = author.carries_out(SYSTEM, by_near, Action::LiftDeny(lift(1)));
    for (entry, refusal) in refused {
        assert_eq!(machine.refusal(&entry), refusal);
    }
    let mut shard = Machine::shard();
    let in_a_shard = shard.author.does(SHARD, Action::LiftDeny(lift(1)));
    assert_eq!(shard.refusal(&in_a_shard), Refusal::WrongGroup);
    machine.done(&allowed);
    assert_eq!(machine.state.lifts().len(), 1);
    let nobodys = LiftDeny { tenant: tenant("rival"), ..lift(2) };
    assert_eq!(machine.lifts(nobodys, 5), Outcome::Refused(Refusal::UnknownTenant { tenant: tenant("rival") }));
}

#[test]
fn a_deny_entry_itself_never_stands_in_the_log() {
    let mut machine = machine();
    let deny =
        AdminOperation::Deny { tenant: tenant("acme"), subject: Subject::Key(name("k1")), expires_at: Timestamp(DAY) };
    let asked = machine.author.approved(deny);
    let entry = machine.author.carries_out(SYSTEM, asked, Action::LiftDeny(lift(1)));
    assert_eq!(machine.refusal(&entry), Refusal::NotWhatWasAsked);
}

#[test]
fn so_many_lifts_of_a_tenant_are_kept_and_no_more_and_another_has_room_still() {
    let mut machine = machine();
    let place = machine.author.place_tenant(&tenant("rival"));
    machine.done(&place);
    for number in 0..LIFTS_MAX as u128 {
        assert_eq!(machine.lifts(lift(number), 5), Outcome::Done(Effect::DenyLifted));
    }
    let one_more = machine.lifts(lift(9_999), 5);
    assert!(matches!(one_more, Outcome::Refused(Refusal::TooMany { count: LIFTS_MAX, .. })), "{one_more:?}");
    let rivals = LiftDeny { tenant: tenant("rival"), ..lift(9_998) };
    assert_eq!(machine.lifts(rivals, 5), Outcome::Done(Effect::DenyLifted));
    assert_eq!(machine.lifts(lift(9_999), 33 * DAY + 6), Outcome::Done(Effect::DenyLifted));
    assert_eq!(machine.state.lifts().len(), 1);
}

#[test]
fn nobody_lifts_what_is_another_tenants() {
    let mut machine = machine();
    let place = machine.author.place_tenant(&tenant("rival"));
    machine.done(&place);
    let of = |owner: &str| DenyEntry {
        id: entry(1),
        tenant: tenant(owner),
        subject: Subject::Key(name("k1")),
        expires_at: Timestamp(DAY),
    };
    assert_eq!(machine.lifts(LiftDeny { tenant: tenant("rival"), ..lift(1) }, 5), Outcome::Done(Effect::DenyLifted));
    assert!(is_lifted(&machine.state, &of("rival")) && !is_lifted(&machine.state, &of("acme")));
    assert_eq!(machine.lifts(lift(1), 5), Outcome::Done(Effect::DenyLifted), "nor stands in the way of their own");
    assert!(is_lifted(&machine.state, &of("acme")));
}
