//! The book on a real folder, with the officers of [`Author`].

use std::collections::BTreeSet;

use super::*;
use crate::clock::Timestamp;
use crate::ids::GroupId;
use crate::machine::command::{Action, EnrolSigner, LiftDeny, RevokeSigner};
use crate::machine::deny::DENY_MAX;
use crate::machine::policy::Subject;
use crate::machine::request::AdminOperation;
use crate::machine::roles::PersonRole;
use crate::machine::rows::Role;
use crate::testkit::{Author, ManualClock, consent_to, played, signing_key};

const NOW: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

fn tenant() -> TenantId {
    name("acme")
}

fn subject(number: usize) -> Subject {
    Subject::Key(name(&format!("k{number}")))
}

fn deny(number: usize, expires_at: u64) -> AdminOperation {
    AdminOperation::Deny { tenant: tenant(), subject: subject(number), expires_at: Timestamp(expires_at) }
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

    /// The book as a start finds it.
    fn opened(&self, clock: &Arc<ManualClock>) -> Arc<DenyBook> {
        let folder = self.folder.path().join("deny-entries");
        let book = DenyBook::open(folder, Arc::clone(clock) as Arc<dyn Clock>, &self.state());
        Arc::new(book.expect("the folder can be read"))
    }

    fn at(&self, now: u64) -> Arc<DenyBook> {
        self.opened(&Arc::new(ManualClock::at(Timestamp(now))))
    }

    fn proof(&self, operation: AdminOperation) -> SignedRequest {
        self.author.approved(operation).1
    }

    fn does(&mut self, action: Action) {
        self.log.push(self.author.does(GroupId::SYSTEM, action));
    }

    fn lift(&mut self, id: DenyId) {
        self.does(Action::LiftDeny(LiftDeny { tenant: tenant(), entry: id }));
    }

    /// Has the first officer revoked; a third one came before.
    fn revoke_first(&mut self) {
        let third = signing_key("officer-3", 31);
        let role = Role::Person { roles: [PersonRole::SecurityOfficer].into(), tenants: None };
        let (signer, public_key) = (third.signer().clone(), third.public_key());
        self.does(Action::EnrolSigner(EnrolSigner { signer, public_key, role }));
        let revoke = Action::RevokeSigner(RevokeSigner { signer: name("officer-1") });
        let asked = self.author.approved(AdminOperation::Revoke { signer: name("officer-1") });
        self.log.push(self.author.carries_out(GroupId::SYSTEM, asked, revoke));
    }

    async fn take(&self, book: &Arc<DenyBook>, proof: SignedRequest) -> Result<Taken, BookError> {
        book.take(&self.state(), proof, BroughtBy::Officers).await
    }

    async fn taken(&self, book: &Arc<DenyBook>, operation: AdminOperation) -> DenyId {
        self.take(book, self.proof(operation)).await.expect("it is taken").proven.entry.id
    }
}

fn refusal(taken: Result<Taken, BookError>) -> Refusal {
    match taken {
        Err(BookError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn ids(book: &DenyBook) -> BTreeSet<DenyId> {
    book.entries().keys().copied().collect()
}

#[tokio::test]
async fn what_is_taken_is_there_after_a_restart_and_gone_once_it_is_lifted() {
    let mut cluster = Cluster::new();
    let book = cluster.at(NOW);
    let proof = cluster.proof(deny(1, NOW + HOUR));
    let first = cluster.take(&book, proof.clone()).await.expect("it is taken");
    assert!(!first.is_known && cluster.take(&book, proof.clone()).await.expect("it is known").is_known);
    let first = first.proven.entry.id;
    let second = cluster.taken(&book, deny(2, NOW + HOUR)).await;
    let book = cluster.at(NOW);
    assert_eq!(ids(&book), [first, second].into());
    cluster.lift(first);
    let state = cluster.state();
    book.forget(&state).await;
    assert_eq!(ids(&book), [second].into());
    assert_eq!(refusal(cluster.take(&book, proof).await), Refusal::DenyLifted { entry: first });
    assert_eq!(book.wanted(&state, vec![second, DenyId::from_bytes([9; 16])]).len(), 1);
    assert_eq!(ids(&cluster.at(NOW)), [second].into(), "its file is gone");
}

#[tokio::test]
async fn an_entry_is_forgotten_an_hour_after_its_end_and_a_clock_that_jumps_forgets_nobody() {
    let cluster = Cluster::new();
    let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
    let (book, state) = (cluster.opened(&clock), cluster.state());
    let id = cluster.taken(&book, deny(1, NOW + HOUR)).await;
    clock.set_wall(Timestamp(9 * NOW));
    book.forget(&state).await;
    assert!(book.certain(&state).is_empty(), "it is passed on to nobody");
    clock.set_wall(Timestamp(NOW));
    clock.advance(FORGET_AFTER);
    clock.set_wall(Timestamp(NOW + 1));
    book.forget(&state).await;
    assert_eq!((ids(&book), book.certain(&state)), ([id].into(), vec![id]));
    clock.advance(Duration::from_millis(HOUR + 31_000));
    book.forget(&state).await;
    assert_eq!(ids(&book), [id].into(), "it has ended just now");
    clock.advance(FORGET_AFTER);
    book.forget(&state).await;
    assert!(ids(&book).is_empty() && ids(&cluster.at(NOW)).is_empty());
}

#[tokio::test]
async fn what_officers_signed_stays_when_they_are_revoked_and_nothing_new_is_taken_of_them() {
    let mut cluster = Cluster::new();
    let (early, late) = (cluster.proof(deny(1, NOW + HOUR)), cluster.proof(deny(2, NOW + HOUR)));
    let first = cluster.taken(&cluster.at(NOW), deny(3, NOW + HOUR)).await;
    cluster.revoke_first();
    let state = cluster.state();
    let book = cluster.at(NOW);
    assert_eq!(ids(&book), [first].into(), "read again");
    assert_eq!(refusal(cluster.take(&book, late).await), Refusal::RevokedSigner { signer: name("officer-1") });
    // a key store that was away hears of it after the revocation
    let passed_on =
        book.take(&state, early, BroughtBy::KeyStore).await.expect("it was taken while they were in office");
    assert_eq!(ids(&book), [first, passed_on.proven.entry.id].into());
}

#[tokio::test]
async fn only_two_officers_shut_out_and_not_for_ever() {
    let cluster = Cluster::new();
    let (author, state, book) = (&cluster.author, cluster.state(), cluster.at(NOW));
    let wanted = deny(1, NOW + HOUR);
    let [first, second] = author.officers();
    let (_, alone) = author.request_by(first, wanted.clone());
    let (_, by_operator) = author.request_by(author.operator(), wanted.clone());
    let approve = |by, of: &SignedRequest| author.request_by(by, AdminOperation::Approve(consent_to(of.clone()))).1;
    let mut forged = approve(second, &alone);
    forged.signature[7] ^= 1;
    let of = |tenant: &str| AdminOperation::Deny {
        tenant: name(tenant),
        subject: subject(1),
        expires_at: Timestamp(NOW + HOUR),
    };
    let max = u64::try_from(DENY_MAX.as_millis()).expect("it fits");
    let stranger = Author::stranger();
    let cases = [
        (alone.clone(), Refusal::NeedsTwoOfficers),
        (approve(first, &alone), Refusal::SameOfficer { signer: name("officer-1") }),
        (approve(author.operator(), &alone), Refusal::NotOfficer { signer: name("operator-1") }),
        (approve(second, &by_operator), Refusal::NotOfficer { signer: name("operator-1") }),
        (forged, Refusal::BadSignature { signer: name("officer-2") }),
        (stranger.approved(wanted).1, Refusal::BadSignature { signer: name("officer-2") }),
        (cluster.proof(of("rival")), Refusal::UnknownTenant { tenant: name("rival") }),
        (cluster.proof(of("system")), Refusal::ReservedTenant { tenant: name("system") }),
        (cluster.proof(AdminOperation::Revoke { signer: name("officer-1") }), Refusal::NotWhatWasAsked),
    ];
    for (proof, expected) in cases {
        for brought_by in [BroughtBy::Officers, BroughtBy::KeyStore] {
            assert_eq!(refusal(book.take(&state, proof.clone(), brought_by).await), expected, "{brought_by:?}");
        }
    }
    // clocks differ, so a key store is more patient with another than with officers
    let times = [
        (NOW + 59_999, Some(Refusal::DenyOver), None),
        (NOW + max, None, None),
        (NOW + max + 1, Some(Refusal::DenyTooLong), None),
        (NOW + max + 120_001, Some(Refusal::DenyTooLong), Some(Refusal::DenyTooLong)),
        (u64::MAX, Some(Refusal::DenyTooLong), Some(Refusal::DenyTooLong)),
    ];
    assert!(book.entries().is_empty() && !cluster.folder.path().join("deny-entries").exists(), "nothing was changed");
    for (expires_at, by_officers, by_key_store) in times {
        for (brought_by, expected) in [(BroughtBy::Officers, by_officers), (BroughtBy::KeyStore, by_key_store)] {
            let taken = book.take(&state, cluster.proof(deny(2, expires_at)), brought_by).await;
            assert_eq!(taken.is_ok(), expected.is_none(), "{expires_at} {brought_by:?}: {taken:?}");
            if let Some(expected) = expected {
                assert_eq!(refusal(taken), expected);
            }
        }
    }
    let unknown = book.take(&State::empty(), cluster.proof(deny(3, NOW + HOUR)), BroughtBy::Officers).await;
    assert_eq!(refusal(unknown), Refusal::NoGenesis);
    assert!(book.wanted(&State::empty(), vec![DenyId::from_bytes([9; 16])]).is_empty());
}

#[tokio::test]
async fn a_tenant_has_so_many_and_no_more_and_another_has_room_still() {
    let mut cluster = Cluster::new();
    cluster.log.push(cluster.author.place_tenant(&name("rival")));
    let book = cluster.at(NOW);
    for number in 0..ENTRIES_PER_TENANT_MAX {
        cluster.taken(&book, deny(number, NOW + HOUR)).await;
    }
    let one_more = refusal(cluster.take(&book, cluster.proof(deny(999, NOW + HOUR))).await);
    assert!(matches!(one_more, Refusal::TooMany { count: ENTRIES_PER_TENANT_MAX, .. }), "{one_more:?}");
    // two key stores that were cut off from each other each had room for one
    let passed_on = book.take(&cluster.state(), cluster.proof(deny(998, NOW + HOUR)), BroughtBy::KeyStore).await;
    passed_on.expect("what was acknowledged holds everywhere");
    let (tenant, subject, expires_at) = (name("rival"), subject(1), Timestamp(NOW + HOUR));
    cluster.taken(&book, AdminOperation::Deny { tenant, subject, expires_at }).await;
    // what has ended takes no room, though it is there still
    let later = cluster.at(NOW + HOUR + 31_000);
    assert_eq!(later.entries().len(), ENTRIES_PER_TENANT_MAX + 2);
    cluster.taken(&later, deny(999, NOW + 3 * HOUR)).await;
}

#[tokio::test]
async fn no_file_shuts_anybody_out_that_the_officers_signatures_do_not_prove() {
    let cluster = Cluster::new();
    let proof = cluster.proof(deny(1, NOW + HOUR));
    let book = cluster.at(NOW);
    let id = cluster.take(&book, proof.clone()).await.expect("it is taken").proven.entry.id;
    let path = book.path(id);
    let whole = std::fs::read(&path).expect("the file is there");
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 4;
        std::fs::write(&path, &bent).expect("the file can be written");
        assert!(cluster.at(NOW).entries().is_empty(), "byte {at}");
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("the file can be written");
    let draft = path.with_extension(DRAFT_ENDING);
    std::fs::write(&draft, &whole).expect("a file can be written");
    std::fs::create_dir(path.with_file_name("x.draft")).expect("a folder can be made");
    std::fs::create_dir(path.with_file_name("x.deny")).expect("a folder can be made");
    let book = cluster.at(NOW);
    assert!(book.entries().is_empty() && !draft.exists());
    cluster.take(&book, proof).await.expect("it comes again");
    assert_eq!(std::fs::read(&path).ok().as_ref(), Some(&whole));
    let of_another = codec::encode_deny(&Author::stranger().approved(deny(2, NOW + HOUR)).1);
    std::fs::write(path.with_file_name("00000000000000000000000000000001.deny"), of_another).expect("a file");
    std::fs::rename(&path, path.with_file_name("00000000000000000000000000000000.deny")).expect("it can be renamed");
    assert!(cluster.at(NOW).entries().is_empty(), "a name of another entry, and officers of another cluster");
}

#[tokio::test]
async fn what_the_disk_does_not_take_does_not_hold_and_may_come_again() {
    let cluster = Cluster::new();
    let book = cluster.at(NOW);
    // a file where the folder should be
    std::fs::write(cluster.folder.path().join("deny-entries"), b"").expect("a file can be written");
    let proof = cluster.proof(deny(1, NOW + HOUR));
    let taken = cluster.take(&book, proof.clone()).await;
    assert!(matches!(taken, Err(BookError::Store { .. })) && book.entries().is_empty(), "{taken:?}");
    // what is durable elsewhere holds as long as this process does
    let passed_on = cluster.proof(deny(2, NOW + HOUR));
    let taken = book.take(&cluster.state(), passed_on, BroughtBy::KeyStore).await;
    assert!(matches!(taken, Err(BookError::Store { .. })) && book.entries().len() == 1, "{taken:?}");
    std::fs::remove_file(cluster.folder.path().join("deny-entries")).expect("the file can be removed");
    cluster.take(&book, proof).await.expect("the disk is well again");
}
