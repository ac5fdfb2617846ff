//! People: who may be enrolled and revoked, by whom, and what an old consent is worth.

use std::collections::BTreeSet;

use crate::ids::{GroupId, PublicKey, SignerId, TenantId};
use crate::machine::apply::authority::verify_request;
use crate::machine::apply::{OFFICERS_MIN, REACH_MAX};
use crate::machine::command::{Action, EnrolSigner, RevokeSigner};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::request::{AdminOperation, Base64Bytes, SignedRequest};
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Role, Signer, Staleness};
use crate::machine::signing::{SigningKey, verifies};
use crate::machine::state::ROW_BYTES_MAX;
use crate::testkit::{Author, consent_to, signing_key};

use super::{Machine, SHARD, name, tenant};

type Reach = Option<BTreeSet<TenantId>>;

fn person(text: &str, seed: u8, roles: &[PersonRole], tenants: Reach) -> EnrolSigner {
    let role = Role::Person { roles: roles.iter().copied().collect(), tenants };
    EnrolSigner { signer: name(text), public_key: signing_key(text, seed).public_key(), role }
}

fn operation(enrol: &EnrolSigner) -> AdminOperation {
    crate::testkit::asks(&Action::EnrolSigner(enrol.clone())).expect("people are enrolled on request")
}

impl Machine {
    fn enrol(&mut self, enrol: &EnrolSigner) -> Outcome {
        let entry = self.author.does(SHARD, Action::EnrolSigner(enrol.clone()));
        self.feed(&entry)
    }

    fn revoke_alone(&mut self, text: &str) -> Outcome {
        let entry = self.author.does(SHARD, Action::RevokeSigner(RevokeSigner { signer: name(text) }));
        self.feed(&entry)
    }

    fn revoke_by_two(&mut self, text: &str) -> Outcome {
        let asked = self.author.approved(AdminOperation::Revoke { signer: name(text) });
        let entry = self.author.carries_out(SHARD, asked, Action::RevokeSigner(RevokeSigner { signer: name(text) }));
        self.feed(&entry)
    }

    /// What a request comes to before anything is completed.
    fn verdict(&self, by: &SigningKey, operation: AdminOperation) -> Result<(), Refusal> {
        let (_, request) = self.author.request_by(by, operation);
        let meta = self.state.meta().expect("the group has its genesis");
        verify_request(&self.state, meta, &request).map(|_| ())
    }
}

fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        Outcome::Done(_) | Outcome::Repeated(_) => panic!("expected a refusal, got {outcome:?}"),
    }
}

#[test]
fn an_operator_is_enrolled_by_one_officer_acts_within_reach_and_is_revoked() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    let entry = machine.author.create_tenant(&tenant("rival"));
    machine.done(&entry);
    let enrol = person("ann", 20, &[PersonRole::Operator], Some([acme.clone(), tenant("later")].into()));
    let entry = machine.author.does(SHARD, Action::EnrolSigner(enrol));
    assert_eq!(machine.feed(&entry), Outcome::Done(Effect::SignerEnrolled));
    assert_eq!(machine.feed(&entry), Outcome::Repeated(Effect::SignerEnrolled));

    let ann = signing_key("ann", 20);
    let enable = |tenant: &TenantId| AdminOperation::EnableVersion { tenant: tenant.clone(), version };
    let create = |text: &str| AdminOperation::CreateTenant {
        tenant: tenant(text),
        staleness: Staleness::default(),
        shard: None,
    };
    let out_of_reach = |text: &str| Err(Refusal::NotAllowed { signer: name("ann"), tenant: tenant(text) });
    assert_eq!(machine.verdict(&ann, enable(&acme)), Ok(()));
    assert_eq!(machine.verdict(&ann, enable(&tenant("rival"))), out_of_reach("rival"));
    assert_eq!(
        machine.verdict(&ann, create("later")),
        Ok(()),
        "a tenant that an officer put in reach before it is there"
    );
    assert_eq!(machine.verdict(&ann, create("another")), out_of_reach("another"));
    assert_eq!(
        machine.verdict(
            &ann,
            AdminOperation::CreateTenant { tenant: name("system"), staleness: Staleness::default(), shard: None }
        ),
        Err(Refusal::ReservedTenant { tenant: name("system") })
    );

    let revoke = machine.author.does(SHARD, Action::RevokeSigner(RevokeSigner { signer: name("ann") }));
    assert_eq!(machine.feed(&revoke), Outcome::Done(Effect::SignerRevoked));
    assert_eq!(machine.feed(&revoke), Outcome::Repeated(Effect::SignerRevoked));
    assert_eq!(machine.verdict(&ann, enable(&acme)), Err(Refusal::RevokedSigner { signer: name("ann") }));
    assert_eq!(refused(machine.revoke_alone("ann")), Refusal::UnknownPerson { signer: name("ann") });
    assert_eq!(refused(machine.revoke_alone("nobody")), Refusal::UnknownPerson { signer: name("nobody") });
    assert_eq!(refused(machine.revoke_alone("replica-1")), Refusal::UnknownPerson { signer: name("replica-1") });
}

#[test]
fn each_role_may_ask_for_what_its_row_says() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    for (role, seed) in PersonRole::ALL.into_iter().zip(30..) {
        let text = format!("p-{seed}");
        machine.enrol(&person(&text, seed, &[role], None));
        let key = signing_key(&text, seed);
        let enable = AdminOperation::EnableVersion { tenant: acme.clone(), version };
        let enrol = operation(&person("new", 50, &[PersonRole::Viewer], None));
        let may = [machine.verdict(&key, enable), machine.verdict(&key, enrol)].map(|verdict| verdict.is_ok());
        let expected = match role {
            PersonRole::Operator => [true, false],
            PersonRole::SecurityOfficer => [false, true],
            PersonRole::Viewer | PersonRole::Approver | PersonRole::Auditor => [false, false],
        };
        assert_eq!(may, expected, "{role}");
    }
}

#[test]
fn an_officer_takes_two_and_neither_may_be_the_same() {
    let mut machine = Machine::shard();
    let author = Author::default();
    let new = person("officer-3", 21, &[PersonRole::SecurityOfficer], None);
    let asks = operation(&new);
    let needs = Refusal::NeedsSecondOfficer { signer: name("officer-3") };
    let action = || Action::EnrolSigner(new.clone());
    let [first, second] = author.officers();

    let (_, by_first) = author.request_by(first, asks.clone());
    let (_, by_operator) = author.request_by(author.operator(), asks.clone());
    let harmless = operation(&person("ann", 22, &[PersonRole::Viewer], None));
    let (_, harmless) = author.request_by(first, harmless);
    let other_bytes = SignedRequest { bytes: [by_first.bytes.clone(), b" ".to_vec()].concat(), ..by_first.clone() };
    let approve = |by: &SigningKey, first: &SignedRequest| {
        author.request_by(by, AdminOperation::Approve(consent_to(first.clone())))
    };
    let (_, approved) = approve(second, &by_first);
    let cases = [
        (author.request_by(first, asks), needs),
        (approve(first, &by_first), Refusal::SameOfficer { signer: name("officer-1") }),
        (approve(second, &by_operator), Refusal::NotOfficer { signer: name("operator-1") }),
        (approve(author.operator(), &by_first), Refusal::NotOfficer { signer: name("operator-1") }),
        (approve(second, &other_bytes), Refusal::BadSignature { signer: name("officer-1") }),
        (approve(second, &harmless), Refusal::NothingToApprove),
        // a consent to a consent is none
        (approve(first, &approved), Refusal::NothingToApprove),
    ];
    for ((id, request), refusal) in cases {
        let entry = author.carries_out(SHARD, (id, request), action());
        assert_eq!(machine.refusal(&entry), refusal);
    }
    let entry = machine.author.does(SHARD, action());
    machine.done(&entry);
    assert!(machine.state.signers().contains_key(&name::<SignerId>("officer-3")));
}

#[test]
fn a_forged_or_foreign_consent_is_none() {
    let mut machine = Machine::shard();
    let author = Author::default();
    let new = person("officer-3", 21, &[PersonRole::SecurityOfficer], None);
    let [first, second] = author.officers();
    let (_, by_first) = author.request_by(first, operation(&new));
    let text = String::from_utf8(by_first.bytes.clone()).expect("requests are JSON");
    let foreign = text.replace(&machine.author.lineage().to_string(), &"0".repeat(32)).into_bytes();
    let stranger = signing_key("officer-9", 99).sign_request(by_first.bytes.clone());
    let mut consents = vec![
        (consent_to(first.sign_request(foreign)), Refusal::WrongLineage),
        (consent_to(stranger), Refusal::UnknownSigner { signer: name("officer-9") }),
    ];
    for at in 0..64 {
        let mut forged = consent_to(by_first.clone());
        let Base64Bytes(signature) = &mut forged.signature;
        signature[at] ^= 1;
        consents.push((forged, Refusal::BadSignature { signer: name("officer-1") }));
    }
    for (consent, refusal) in consents {
        let asked = author.request_by(second, AdminOperation::Approve(consent));
        let entry = author.carries_out(SHARD, asked, Action::EnrolSigner(new.clone()));
        assert_eq!(machine.refusal(&entry), refusal);
    }
}

#[test]
fn a_consent_is_worth_nothing_once_its_subject_or_its_giver_is_gone() {
    let mut machine = Machine::shard();
    let new = person("officer-3", 21, &[PersonRole::SecurityOfficer], None);
    let fourth = person("officer-4", 23, &[PersonRole::SecurityOfficer], None);
    let (_, by_first) = machine.author.request_by(machine.author.officers()[0], operation(&new));
    machine.enrol(&new);
    machine.enrol(&fourth);
    assert_eq!(machine.revoke_by_two("officer-3"), Outcome::Done(Effect::SignerRevoked));
    let again = AdminOperation::Approve(consent_to(by_first.clone()));
    let asked = machine.author.request_by(machine.author.officers()[1], again.clone());
    let entry = machine.author.carries_out(SHARD, asked, Action::EnrolSigner(new.clone()));
    assert_eq!(machine.refusal(&entry), Refusal::PersonKnown { what: "officer-3".into() });

    // the giver goes: what they consented to before counts no more
    assert_eq!(
        machine.enrol(&person("officer-5", 24, &[PersonRole::SecurityOfficer], None)),
        Outcome::Done(Effect::SignerEnrolled)
    );
    let sixth = person("officer-6", 25, &[PersonRole::SecurityOfficer], None);
    let (_, by_first) = machine.author.request_by(machine.author.officers()[0], operation(&sixth));
    assert_eq!(machine.revoke_by_two("officer-1"), Outcome::Done(Effect::SignerRevoked));
    let approve = AdminOperation::Approve(consent_to(by_first));
    let asked = machine.author.request_by(machine.author.officers()[1], approve);
    let entry = machine.author.carries_out(SHARD, asked, Action::EnrolSigner(sixth));
    assert_eq!(machine.refusal(&entry), Refusal::RevokedSigner { signer: name("officer-1") });
}

#[test]
fn two_officers_stay_and_one_who_is_revoked_counts_as_one_still_when_the_request_comes_again() {
    let mut machine = Machine::shard();
    let refusal = refused(machine.revoke_by_two("officer-2"));
    assert_eq!(refusal, Refusal::TooFewOfficers { left: OFFICERS_MIN - 1 });
    machine.enrol(&person("officer-3", 21, &[PersonRole::SecurityOfficer, PersonRole::Operator], None));
    assert_eq!(refused(machine.revoke_alone("officer-3")), Refusal::NeedsSecondOfficer { signer: name("officer-3") });
    let asked = machine.author.approved(AdminOperation::Revoke { signer: name("officer-3") });
    let action = Action::RevokeSigner(RevokeSigner { signer: name("officer-3") });
    let entry = machine.author.carries_out(SHARD, asked, action);
    assert_eq!(machine.feed(&entry), Outcome::Done(Effect::SignerRevoked));
    assert_eq!(machine.feed(&entry), Outcome::Repeated(Effect::SignerRevoked));
    assert_eq!(refused(machine.revoke_by_two("officer-3")), Refusal::UnknownPerson { signer: name("officer-3") });
    let alone = Refusal::NeedsSecondOfficer { signer: name("officer-3") };
    assert_eq!(refused(machine.revoke_alone("officer-3")), alone, "one officer learns no more than before");
}

#[test]
fn names_and_keys_of_people_are_used_once() {
    let mut machine = Machine::shard();
    machine.enrol(&person("ann", 20, &[PersonRole::Viewer], None));
    machine.revoke_alone("ann");
    let known = |what: &str| Refusal::PersonKnown { what: what.into() };
    assert_eq!(refused(machine.enrol(&person("ann", 26, &[PersonRole::Viewer], None))), known("ann"));
    assert_eq!(refused(machine.enrol(&person("bea", 20, &[PersonRole::Viewer], None))), known("ann"));
    assert_eq!(refused(machine.enrol(&person("replica-1", 27, &[PersonRole::Viewer], None))), known("replica-1"));
    assert_eq!(
        refused(machine.enrol(&person("bea", 1, &[PersonRole::Viewer], None))),
        known("replica-1"),
        "a replica's key"
    );
    assert_eq!(refused(machine.enrol(&person("bea", 28, &[], None))), Refusal::NoRole { signer: name("bea") });
    let none: Reach = Some(BTreeSet::new());
    assert_eq!(
        refused(machine.enrol(&person("bea", 28, &[PersonRole::Viewer], none))),
        Refusal::NoReach { signer: name("bea") }
    );
}

#[test]
fn nobody_is_enrolled_with_a_key_that_anybody_can_sign_for() {
    let mut machine = Machine::shard();
    // S = 0, and R the neutral point: made without a private key, it passes under the neutral point whatever the message is
    let mut signature = [0; 64];
    signature[0] = 1;
    let neutral = PublicKey::from_bytes(*signature.first_chunk().expect("64 bytes"));
    assert!(verifies(&neutral, b"anything", &signature));
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for key in weak {
        let public_key = key.parse().expect("64 digits");
        let roles: [&[PersonRole]; 2] = [&[PersonRole::Viewer], &[PersonRole::SecurityOfficer]];
        for roles in roles {
            let new = EnrolSigner { public_key, ..person("bea", 28, roles, None) };
            assert_eq!(refused(machine.enrol(&new)), Refusal::AnybodysKey { signer: name("bea") }, "{key}");
        }
    }
    assert_eq!(
        machine.enrol(&person("bea", 28, &[PersonRole::Viewer], None)),
        Outcome::Done(Effect::SignerEnrolled),
        "with a key of her own"
    );
}

#[test]
fn nobody_can_be_enrolled_who_cannot_be_revoked() {
    let mut machine = Machine::shard();
    let long = |number: usize| -> TenantId { name(&format!("{}{number:03}", "t".repeat(60))) };
    let reach = |count: usize| Some((0..count).map(long).collect::<BTreeSet<_>>());
    let text = "p".repeat(63);
    let too_far = person(&text, 60, &PersonRole::ALL, reach(REACH_MAX + 1));
    assert!(matches!(refused(machine.enrol(&too_far)), Refusal::TooMany { .. }));
    let most = person(&text, 60, &PersonRole::ALL, reach(REACH_MAX));
    assert_eq!(machine.enrol(&most), Outcome::Done(Effect::SignerEnrolled));

    // a request may be padded; what is kept of it must leave room for the one that revokes
    let padded = |machine: &Machine, operation: AdminOperation, to: usize| {
        let (id, asked) = machine.author.request_by(machine.author.officers()[0], operation);
        let bytes = [asked.bytes.clone(), vec![b' '; to - asked.bytes.len()]].concat();
        (id, machine.author.officers()[0].sign_request(bytes))
    };
    let viewer = person("bea", 61, &[PersonRole::Viewer], reach(REACH_MAX));
    let asked = padded(&machine, operation(&viewer), 7 * 1024 + 1);
    let entry = machine.author.carries_out(SHARD, asked, Action::EnrolSigner(viewer.clone()));
    assert!(matches!(machine.refusal(&entry), Refusal::TooLarge { .. }));
    let asked = padded(&machine, operation(&viewer), 7 * 1024);
    let entry = machine.author.carries_out(SHARD, asked, Action::EnrolSigner(viewer));
    machine.done(&entry);
    let signer: SignerId = name("bea");
    let revoke = || AdminOperation::Revoke { signer: signer.clone() };
    let action = || Action::RevokeSigner(RevokeSigner { signer: signer.clone() });
    let entry = machine.author.carries_out(SHARD, padded(&machine, revoke(), 4 * 1024 + 1), action());
    assert!(matches!(machine.refusal(&entry), Refusal::TooLarge { .. }));
    let entry = machine.author.carries_out(SHARD, padded(&machine, revoke(), 4 * 1024), action());
    machine.done(&entry);
    assert_eq!(machine.revoke_by_two(&text), Outcome::Done(Effect::SignerRevoked));
    let largest = machine.state.signers().values().map(|row| crate::codec::encode_row::<Signer>(row).len()).max();
    assert!(largest.is_some_and(|bytes| (14 * 1024..ROW_BYTES_MAX).contains(&bytes)), "{largest:?}");
}

#[test]
fn every_group_verifies_people_by_its_own_rows() {
    let mut system = Machine::of(GroupId::SYSTEM);
    let new = person("officer-3", 21, &[PersonRole::SecurityOfficer], None);
    let entry = system.author.does(GroupId::SYSTEM, Action::EnrolSigner(new.clone()));
    system.done(&entry);
    // the shard knows nothing of officer-3, whatever group 0 knows
    let mut shard = Machine::shard();
    let third = signing_key("officer-3", 21);
    let asked = shard.author.request_by(&third, AdminOperation::Revoke { signer: name("operator-1") });
    let revoke = Action::RevokeSigner(RevokeSigner { signer: name("operator-1") });
    let entry = shard.author.carries_out(SHARD, asked, revoke);
    assert_eq!(shard.refusal(&entry), Refusal::UnknownSigner { signer: name("officer-3") });
}
