//! Two officers shut somebody out and let them in again, with and without a group 0 that takes changes.

use replication::clock::Timestamp;
use replication::deny_entries::list::Certainty;
use replication::directory::{Resolution, ShutOut, Target};
use replication::ids::{DenyId, GroupId, IdempotencyId, LogIndex};
use replication::machine::outcome::Refusal;
use replication::machine::policy::{Principal, Subject};
use replication::machine::request::{AdminOperation, SignedRequest};
use replication::raft::group::ProposeError;
use replication::testkit::consent_to;

use super::super::{Answer, ExecuteError};
use super::{AMPLE, Running, SHARD, Site, key, signed};

const HOUR: u64 = 3_600_000;

const MALLORY: &str = "mallory@example.iam.gserviceaccount.com";

fn mallory() -> Principal {
    MALLORY.parse().expect("a caller")
}

fn caller() -> Subject {
    Subject::Caller(MALLORY.parse().expect("an e-mail address"))
}

impl Site {
    /// What both officers ask for, one after the other.
    fn both(&self, running: &Running, id: u8, operation: AdminOperation) -> SignedRequest {
        let [one, two] = self.officers();
        let first = signed(&running.store, &one, IdempotencyId::from_bytes([id; 16]), operation);
        let consent = AdminOperation::Approve(consent_to(first));
        signed(&running.store, &two, IdempotencyId::from_bytes([id + 1; 16]), consent)
    }

    fn deny(&self, running: &Running, id: u8) -> SignedRequest {
        let expires_at = Timestamp(self.clock.wall().0 + HOUR);
        let (tenant, subject) = ("acme".parse().expect("a legal name"), caller());
        self.both(running, id, AdminOperation::Deny { tenant, subject, expires_at })
    }
}

impl Running {
    fn target(&self, version: replication::ids::KeyVersionId) -> Target {
        match self.store.directory().resolve(version, self.store.now()) {
            Resolution::Found(target) => target,
            other => panic!("the key was made: {other:?}"),
        }
    }

    fn shut_out(&self, target: &Target, caller: &Principal, wall: Timestamp) -> Option<ShutOut> {
        self.store.directory().shut_out(target, caller, self.store.now(), wall).found()
    }

    async fn entry(&self, asked: SignedRequest) -> DenyId {
        let Answer { deny_entry, .. } = self.done(asked).await;
        deny_entry.expect("the answer names the entry")
    }
}

#[tokio::test]
async fn an_entry_holds_from_its_answer_on_through_a_restart_until_it_is_lifted() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (version, _) = running.key_and_plan().await;
    let asked = site.deny(&running, 10);
    let entry = running.entry(asked.clone()).await;
    let (target, now) = (running.target(version), site.clock.wall());
    let found = running.shut_out(&target, &mallory(), now).expect("it is in force");
    assert_eq!((found.entry, found.certainty), (entry, Certainty::Certain));
    assert_eq!(running.shut_out(&target, &"ann@example.com".parse().expect("a caller"), now), None);
    assert!(running.done(asked.clone()).await.repeated, "the same request once more");
    running.stop().await;

    let running = site.start().await.expect("it starts again");
    let directory = running.store.directory();
    assert_eq!(directory.deny_entry_count(site.clock.wall()), 1, "known before the first row");
    directory.holds(GroupId::SYSTEM, LogIndex(1)).await;
    directory.holds(SHARD, LogIndex(1)).await;
    let target = running.target(version);
    assert_eq!(running.shut_out(&target, &mallory(), now).map(|found| found.entry), Some(entry));
    let held = running.store.deny_entries().entries().get(&entry).expect("it is kept").entry.clone();
    let lift = AdminOperation::LiftDeny { tenant: held.tenant, entry };
    let asked_to_lift = site.both(&running, 30, lift);
    assert_eq!(running.entry(asked_to_lift.clone()).await, entry);
    assert_eq!(running.shut_out(&target, &mallory(), now), None, "the answer of a lift waits for those who read it");
    assert!(running.done(asked_to_lift).await.repeated);
    let again = running.store.execute(asked).await;
    assert!(matches!(again, Err(ExecuteError::Refused(Refusal::DenyLifted { .. }))), "{again:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_group_0_that_takes_no_change_takes_an_entry_still() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (version, _) = running.key_and_plan().await;
    let halting = running.host.system().danger_propose_unread(b"of a newer release".to_vec(), AMPLE).await;
    assert!(matches!(halting, Err(ProposeError::Halted { .. })), "{halting:?}");
    let entry = running.entry(site.deny(&running, 10)).await;
    let target = running.target(version);
    let found = running.shut_out(&target, &mallory(), site.clock.wall());
    assert_eq!(found.map(|found| found.entry), Some(entry));
    let held = running.store.deny_entries().entries().get(&entry).expect("it is kept").entry.clone();
    let lift = AdminOperation::LiftDeny { tenant: held.tenant, entry };
    let lifted = running.store.execute(site.both(&running, 20, lift)).await;
    assert!(matches!(lifted, Err(ExecuteError::Propose(ProposeError::Halted { .. }))), "{lifted:?}");
    running.stop().await;
}

#[tokio::test]
async fn one_officer_or_none_shuts_nobody_out() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.key_and_plan().await;
    let [one, _] = site.officers();
    let expires_at = Timestamp(site.clock.wall().0 + HOUR);
    let (tenant, subject) = ("acme".parse().expect("a legal name"), caller());
    let deny = AdminOperation::Deny { tenant, subject, expires_at };
    let id = IdempotencyId::from_bytes([1; 16]);
    let alone = running.store.execute(signed(&running.store, &one, id, deny.clone())).await;
    assert!(matches!(alone, Err(ExecuteError::Refused(Refusal::NeedsTwoOfficers))), "{alone:?}");
    let by_operator = running.store.execute(signed(&running.store, &running.operator, id, deny.clone())).await;
    assert!(matches!(by_operator, Err(ExecuteError::Refused(Refusal::NotOfficer { .. }))), "{by_operator:?}");
    let stranger = key("officer-2", &replication::machine::signing::generate_pkcs8().expect("randomness"));
    let first = signed(&running.store, &one, id, deny);
    let forged = signed(&running.store, &stranger, id, AdminOperation::Approve(consent_to(first)));
    let forged = running.store.execute(forged).await;
    assert!(matches!(forged, Err(ExecuteError::Refused(Refusal::BadSignature { .. }))), "{forged:?}");
    assert!(
        running.store.deny_entries().entries().is_empty()
            && running.store.directory().deny_entry_count(site.clock.wall()) == 0
    );
    running.stop().await;
}
