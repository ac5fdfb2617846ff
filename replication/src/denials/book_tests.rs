//! The book on a real folder, with the officers of [`Author`].

use super::*;
use crate::clock::Timestamp;
use crate::ids::GroupId;
use crate::machine::command::{Action, LiftDeny};
use crate::machine::deny::DENY_MAX;
use crate::machine::policy::Subject;
use crate::machine::request::AdminOperation;
use crate::testkit::{Author, ManualClock, consent_to, played};

const NOW: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;

fn tenant() -> TenantId {
    name("acme")
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

fn subject(number: usize) -> Subject {
    Subject::Key(name(&format!("k{number}")))
}

struct Cluster {
    author: Author,
    log: Vec<Vec<u8>>,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let author = Author::default();
        let log = vec![author.genesis(GroupId::SYSTEM), author.place_tenant(&tenant())];
        Self { author, log, folder: tempfile::tempdir().expect("a folder") }
    }

    fn state(&self) -> State {
        played(&self.log)
    }

    fn at(&self, now: u64) -> DenyBook {
        DenyBook::open(self.folder.path().join("denials"), Arc::new(ManualClock::at(Timestamp(now))))
            .expect("the folder can be read")
    }

    fn key(number: usize, expires_at: u64) -> AdminOperation {
        AdminOperation::Deny { tenant: tenant(), subject: subject(number), expires_at: Timestamp(expires_at) }
    }

    fn proof(&self, operation: AdminOperation) -> SignedRequest {
        self.author.approved(operation).1
    }

    fn lift(&mut self, entry: &DenyEntry) {
        let DenyEntry { id, tenant, expires_at, .. } = entry.clone();
        let lift = Action::LiftDeny(LiftDeny { tenant, entry: id, expires_at });
        self.log.push(self.author.does(GroupId::SYSTEM, lift));
    }
}

fn refusal(taken: Result<Taken, BookError>) -> Refusal {
    match taken {
        Err(BookError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_taken_is_there_after_a_restart_and_gone_once_it_is_lifted_or_over() {
    let mut cluster = Cluster::new();
    let [first, second, third] = [1, 2, 3].map(|number| {
        let proof = cluster.proof(Cluster::key(number, NOW + HOUR * number as u64));
        let book = cluster.at(NOW);
        assert!(!book.take(&cluster.state(), proof.clone()).expect("it is taken").is_known);
        let again = book.take(&cluster.state(), proof).expect("it is known");
        assert!(again.is_known);
        again.entry
    });
    let book = cluster.at(NOW);
    let ids = |book: &DenyBook| book.held().keys().copied().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&book), [first.id, second.id, third.id].into());
    cluster.lift(&second);
    book.prune(&cluster.state());
    assert_eq!(ids(&book), [first.id, third.id].into());
    let later = cluster.at(NOW + HOUR + 30_001);
    assert_eq!(ids(&later), [first.id, third.id].into());
    later.prune(&cluster.state());
    assert_eq!(ids(&later), [third.id].into());
    assert_eq!(ids(&cluster.at(NOW)), [third.id].into(), "their files are gone");
}

#[test]
fn an_entry_that_was_lifted_does_not_come_back() {
    let mut cluster = Cluster::new();
    let proof = cluster.proof(Cluster::key(1, NOW + HOUR));
    let entry = cluster.at(NOW).take(&cluster.state(), proof.clone()).expect("it is taken").entry;
    assert_eq!(cluster.at(NOW).wanted(&cluster.state(), vec![entry.id, DenyId::from_bytes([9; 16])]).len(), 1);
    cluster.lift(&entry);
    let (book, state) = (cluster.at(NOW), cluster.state());
    book.prune(&state);
    assert_eq!(refusal(book.take(&state, proof)), Refusal::DenyLifted { entry: entry.id });
    assert_eq!(book.wanted(&state, vec![entry.id]), []);
}

#[test]
fn only_two_officers_shut_out_and_not_for_ever() {
    let cluster = Cluster::new();
    let (author, state, book) = (&cluster.author, cluster.state(), cluster.at(NOW));
    let deny = Cluster::key(1, NOW + HOUR);
    let [first, second] = author.officers();
    let (_, alone) = author.request_by(first, deny.clone());
    let (_, by_operator) = author.request_by(author.operator(), deny.clone());
    let approve = |by, of: &SignedRequest| author.request_by(by, AdminOperation::Approve(consent_to(of.clone()))).1;
    let mut forged = approve(second, &alone);
    forged.signature[7] ^= 1;
    let elsewhere =
        AdminOperation::Deny { tenant: name("rival"), subject: subject(1), expires_at: Timestamp(NOW + HOUR) };
    let of_the_server =
        AdminOperation::Deny { tenant: name("system"), subject: subject(1), expires_at: Timestamp(NOW + HOUR) };
    let max = u64::try_from(DENY_MAX.as_millis()).expect("it fits");
    let stranger = Author::stranger();
    let cases = [
        (alone.clone(), Refusal::NeedsTwoOfficers),
        (approve(first, &alone), Refusal::SameOfficer { signer: name("officer-1") }),
        (approve(author.operator(), &alone), Refusal::NotOfficer { signer: name("operator-1") }),
        (approve(second, &by_operator), Refusal::NotOfficer { signer: name("operator-1") }),
        (forged, Refusal::BadSignature { signer: name("officer-2") }),
        (stranger.approved(deny).1, Refusal::BadSignature { signer: name("officer-2") }),
        (cluster.proof(elsewhere), Refusal::UnknownTenant { tenant: name("rival") }),
        (cluster.proof(of_the_server), Refusal::ReservedTenant { tenant: name("system") }),
        (cluster.proof(Cluster::key(1, NOW)), Refusal::DenyOver),
        (cluster.proof(Cluster::key(1, NOW + max + 1)), Refusal::DenyTooLong),
        (cluster.proof(AdminOperation::Revoke { signer: name("officer-1") }), Refusal::NotWhatWasAsked),
    ];
    for (proof, expected) in cases {
        assert_eq!(refusal(book.take(&state, proof)), expected);
    }
    assert!(book.held().is_empty() && !cluster.folder.path().join("denials").exists(), "nothing was changed");
    assert_eq!(refusal(book.take(&State::empty(), cluster.proof(Cluster::key(1, NOW + HOUR)))), Refusal::NoGenesis);
    assert!(book.take(&state, cluster.proof(Cluster::key(1, NOW + max))).is_ok());
}

#[test]
fn a_tenant_has_so_many_and_no_more() {
    let cluster = Cluster::new();
    let (state, book) = (cluster.state(), cluster.at(NOW));
    for number in 0..ENTRIES_PER_TENANT_MAX {
        book.take(&state, cluster.proof(Cluster::key(number, NOW + HOUR))).expect("there is room");
    }
    let one_more = refusal(book.take(&state, cluster.proof(Cluster::key(999, NOW + HOUR))));
    assert!(matches!(one_more, Refusal::TooMany { count: ENTRIES_PER_TENANT_MAX, .. }), "{one_more:?}");
    assert_eq!(book.held().len(), ENTRIES_PER_TENANT_MAX);
}

#[test]
fn a_file_that_was_damaged_shuts_nobody_out_and_is_written_anew_when_the_entry_comes_again() {
    let cluster = Cluster::new();
    let proof = cluster.proof(Cluster::key(1, NOW + HOUR));
    let entry = cluster.at(NOW).take(&cluster.state(), proof.clone()).expect("it is taken").entry;
    let path = cluster.at(NOW).path(entry.id);
    let whole = std::fs::read(&path).expect("the file is there");
    // the first officer's request makes the name; a signature that was bent is found by whoever is given it
    for at in [0, 1, 2, whole.len() / 4, whole.len() / 2] {
        let mut bent = whole.clone();
        bent[at] ^= 4;
        std::fs::write(&path, &bent).expect("the file can be written");
        assert!(cluster.at(NOW).held().is_empty(), "byte {at}");
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("the file can be written");
    let book = cluster.at(NOW);
    assert!(book.held().is_empty());
    book.take(&cluster.state(), proof).expect("it comes again");
    assert_eq!(std::fs::read(&path).ok(), Some(whole));
    std::fs::rename(&path, path.with_file_name("00000000000000000000000000000000.deny")).expect("it can be renamed");
    assert!(cluster.at(NOW).held().is_empty(), "a name of another entry");
}
