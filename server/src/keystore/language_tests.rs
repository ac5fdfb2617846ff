//! Every operation over real groups: what it comes to, and what a start goes on with.

use replication::clock::{ClusterTime, Timestamp};
use replication::directory::Resolution;
use replication::ids::{AliasId, KeyVersionId, SignerId, TenantId, parse_key_path};
use replication::machine::command::{Action, EnrolSigner};
use replication::machine::lifecycle::VersionState;
use replication::machine::outcome::Refusal;
use replication::machine::policy::Policy;
use replication::machine::request::{AdminOperation, Level};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Key, KeyVersion, Role, Signer, Tenant};
use replication::machine::signing::{SigningKey, generate_pkcs8};
use replication::machine::state::State;
use replication::testkit::{ManualClock, consent_to};

use super::super::execute::ExecuteError;
use super::*;

fn name<T: std::str::FromStr<Err = replication::ids::IdError>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

impl Running {
    fn revision(&self) -> Revision {
        self.store.shard_state().row::<Tenant>(&name("acme")).map_or(Revision(0), |row| row.revision)
    }

    fn version_row(&self, version: KeyVersionId) -> KeyVersion {
        self.store.shard_state().row::<KeyVersion>(&version).expect("the test made it").as_ref().clone()
    }

    /// Tenant `acme` with key `key-1`, its version disabled.
    async fn disabled(&self) -> KeyVersionId {
        let (version, plan) = self.key_and_plan().await;
        self.done(self.asked(3, disable(&plan))).await;
        version
    }

    fn schedule(&self, version: KeyVersionId, window_seconds: u64) -> AdminOperation {
        AdminOperation::ScheduleDestroy { tenant: name("acme"), version, window_seconds, parent: self.revision() }
    }

    /// Waits until the version is in a state.
    async fn becomes(&self, version: KeyVersionId, state: VersionState) {
        let mut applied = self.host.shard(ShardId::FIRST).expect("every host has it").watch();
        let is_there = |now: &State| now.row::<KeyVersion>(&version).is_some_and(|row| row.state == state);
        let reached = tokio::time::timeout(AMPLE, applied.wait_for(|applied| is_there(&applied.state))).await;
        assert!(reached.is_ok_and(|applied| applied.is_ok()), "the version never becomes {state}");
    }

    fn signer_in(&self, group: usize, signer: &str) -> Option<Signer> {
        let (_, group) = &self.store.groups()[group];
        let state = group.watch().borrow().state.clone();
        state.row::<Signer>(&name(signer)).map(|row| row.as_ref().clone())
    }

    fn by(&self, key: &SigningKey, id: u8, operation: AdminOperation) -> SignedRequest {
        signed(&self.store, key, IdempotencyId::from_bytes([id; 16]), operation)
    }
}

#[tokio::test]
async fn rotation_and_aliases_lead_where_they_say() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (first, _) = running.key_and_plan().await;
    let rotate = AdminOperation::AddVersion { tenant: name("acme"), key: name("key-1") };
    let rotated = running.done(running.asked(3, rotate)).await;
    let second = rotated.path.as_deref().and_then(parse_key_path).expect("a version has a path");
    let key = running.store.shard_state().row::<Key>(&(name("acme"), name("key-1"))).cloned().expect("there");
    assert_eq!((key.primary, key.versions.len(), second == first), (2, 2, false));

    let made =
        running.done(running.asked(4, AdminOperation::CreateAlias { tenant: name("acme"), version: first })).await;
    let path = made.path.as_deref().and_then(parse_key_path).expect("an alias has a path");
    let Resolution::Found(target) = running.store.directory().resolve(path, running.store.now()) else {
        panic!("the alias is not found")
    };
    assert_eq!((target.id, target.path), (first, path));
    let alias = AliasId::from_bytes(*path.as_bytes());
    let remove = AdminOperation::RemoveAlias { tenant: name("acme"), alias, parent: running.revision() };
    running.done(running.asked(5, remove)).await;
    let gone = running.store.directory().resolve(path, running.store.now());
    assert!(matches!(gone, Resolution::Unknown { .. }), "{gone:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_policy_is_set_loses_a_rule_and_a_quota_comes_and_goes() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.key_and_plan().await;
    let rule = |text: &str| Rule {
        name: name(text),
        callers: [Principal::ServiceAccount("a@example.com".parse().expect("an address"))].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    };
    let (tenant, level): (TenantId, _) = (name("acme"), Level::Key(name("key-1")));
    let policy = Some(Policy { denies: vec![rule("d1")], grants: vec![rule("g1")] });
    let parent = running.revision();
    let set = AdminOperation::SetPolicy { tenant: tenant.clone(), level: level.clone(), policy, parent };
    running.done(running.asked(3, set)).await;
    let parent = running.revision();
    let remove = AdminOperation::RemoveRule { tenant: tenant.clone(), level: level.clone(), rule: name("d1"), parent };
    let done = running.done(running.asked(4, remove.clone())).await;
    assert_eq!(done.revision, Some(running.revision()));
    assert!(running.done(running.asked(4, remove)).await.repeated);
    let key = running.store.shard_state().row::<Key>(&(tenant.clone(), name("key-1"))).cloned().expect("there");
    let rules: Vec<_> = key.policy.iter().flat_map(Policy::rules).map(|rule| rule.name.to_string()).collect();
    assert_eq!(rules, ["g1"]);
    let stale = AdminOperation::SetPolicy { tenant, level, policy: None, parent };
    let refused = running.store.execute(running.asked(5, stale)).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Conflict { .. }))), "{refused:?}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_scheduled_is_destroyed_by_time_that_the_process_counted_and_by_no_other() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let version = running.disabled().await;
    let held = running.version_row(version).sealed.0;
    let answer = running.done(running.asked(4, running.schedule(version, 1))).await;
    assert_eq!((answer.state, answer.destroy_after_seconds), (Some(VersionState::DestroyScheduled), Some(1)));
    running.stop().await;

    // the process is down: no time passes for the group, however long that is, and a start alone counts none
    let running = site.start().await.expect("a scheduled destruction stops no start");
    assert_eq!(running.store.shard_state().cluster_time(), ClusterTime(0));
    assert_eq!(running.state_of(version), Some(VersionState::DestroyScheduled));
    let keeper = {
        let store = Arc::clone(&running.store);
        tokio::spawn(async move { store.keep_time().await })
    };
    running.becomes(version, VersionState::Destroyed).await;
    keeper.abort();
    let state = running.store.shard_state();
    assert!(state.cluster_time() >= ClusterTime(1_000) && state.destructions().is_empty());
    let is_held = state.rows().any(|(_, value)| value.windows(held.len()).any(|bytes| bytes == held));
    assert!(!is_held, "no row holds the sealed material");
    running.stop().await;

    let running = site.start().await.expect("a destroyed version stops no start");
    let row = running.version_row(version);
    assert_eq!((row.state, row.sealed.0.len(), row.canary.len()), (VersionState::Destroyed, 0, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_destruction_that_is_called_off_in_time_does_not_happen() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let version = running.disabled().await;
    running.done(running.asked(4, running.schedule(version, 365 * 86_400))).await;
    // counted, and counted again: what two do at once counts once
    for _ in 0..3 {
        let shard = first(&running);
        let (one, other) = tokio::join!(running.store.count_time(&shard), running.store.count_time(&shard));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    }
    let restore = AdminOperation::RestoreVersion { tenant: name("acme"), version };
    assert_eq!(running.done(running.asked(5, restore)).await.state, Some(VersionState::Disabled));
    assert!(running.store.shard_state().destructions().is_empty());
    let enable = AdminOperation::EnableVersion { tenant: name("acme"), version };
    assert_eq!(running.done(running.asked(6, enable)).await.state, Some(VersionState::Enabled));
    running.stop().await;
}

#[tokio::test]
async fn windows_that_begin_one_after_the_other_put_off_nobodys_destruction() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000)));
    let site = Site { clock: clock.clone(), ..Site::new() };
    let running = site.start().await.expect("a new site is founded");
    let waits = running.disabled().await;
    running.done(running.asked(4, running.schedule(waits, 365 * 86_400))).await;
    let rotate = AdminOperation::AddVersion { tenant: name("acme"), key: name("key-1") };
    let rotated = running.done(running.asked(5, rotate)).await;
    let other = rotated.path.as_deref().and_then(parse_key_path).expect("a version has a path");
    let parent = running.revision();
    let disable = AdminOperation::DisableVersion { tenant: name("acme"), version: other, parent };
    running.done(running.asked(6, disable)).await;
    // somebody schedules and restores without end, more often than whoever keeps the time looks
    let (times, pause) = (5_u8, Duration::from_secs(30));
    for time in 0..times {
        clock.advance(pause);
        running.done(running.asked(10 + 2 * time, running.schedule(other, 86_400))).await;
        let restore = AdminOperation::RestoreVersion { tenant: name("acme"), version: other };
        running.done(running.asked(11 + 2 * time, restore)).await;
    }
    let passed = running.store.shard_state().cluster_time();
    assert_eq!(passed, ClusterTime(0).plus(pause * times.into()), "all of the time between them counts");
    running.stop().await;
}

fn enrol(signer: &SigningKey, role: PersonRole) -> AdminOperation {
    let (name, public_key) = (signer.signer().clone(), signer.public_key());
    AdminOperation::Enrol { signer: name, public_key, roles: [role].into(), tenants: None }
}

fn somebody(text: &str) -> SigningKey {
    key(text, &generate_pkcs8().expect("the system has randomness"))
}

#[tokio::test]
async fn people_come_and_go_in_both_groups() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let [one, two] = site.officers();
    let (ann, third) = (somebody("ann"), somebody("officer-3"));
    running.done(running.by(&one, 1, enrol(&ann, PersonRole::Operator))).await;
    running.done(running.by(&ann, 2, create_tenant("acme"))).await;
    let alone = running.by(&one, 3, enrol(&third, PersonRole::SecurityOfficer));
    let refused = running.store.execute(alone.clone()).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::NeedsSecondOfficer { .. }))), "{refused:?}");
    running.done(running.by(&two, 4, AdminOperation::Approve(consent_to(alone)))).await;
    let revoke = running.by(&third, 5, AdminOperation::Revoke { signer: name("ann") });
    running.done(revoke.clone()).await;
    assert!(running.done(revoke).await.repeated);
    for group in [0, 1] {
        assert!(running.signer_in(group, "officer-3").is_some_and(|row| row.revoked_at.is_none()), "group {group}");
        assert!(running.signer_in(group, "ann").is_some_and(|row| row.revoked_at.is_some()), "group {group}");
    }
    let refused = running.store.execute(running.by(&ann, 6, create_tenant("later"))).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::RevokedSigner { .. }))), "{refused:?}");
    running.stop().await;
}

#[tokio::test]
async fn the_shard_follows_group_0_where_a_crash_kept_it_from_it() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let [one, _] = site.officers();
    let (ann, bea) = (somebody("ann"), somebody("bea"));
    // what a crash between the two groups leaves: group 0 has it, and the shard has not
    for (who, id) in [(&ann, 1), (&bea, 2)] {
        let operation = enrol(who, PersonRole::Operator);
        let asked = running.by(&one, id, operation);
        let role = Role::Person { roles: [PersonRole::Operator].into(), tenants: None };
        let action = EnrolSigner { signer: who.signer().clone(), public_key: who.public_key(), role };
        let id = IdempotencyId::from_bytes([id; 16]);
        let entry = running.store.completed(GroupId::SYSTEM, id, &asked, Action::EnrolSigner(action));
        running.store.parts.propose(running.host.system(), entry).await.expect("group 0 takes it");
    }
    assert!(running.signer_in(0, "ann").is_some() && running.signer_in(1, "ann").is_none());
    // the officer asks again under another id, which group 0 alone would refuse
    running.done(running.by(&one, 3, enrol(&ann, PersonRole::Operator))).await;
    assert!(running.signer_in(1, "ann").is_some());
    // another request of that name is not taken for it
    let other = somebody("bea");
    let refused = running.store.execute(running.by(&one, 4, enrol(&other, PersonRole::Operator))).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::PersonKnown { .. }))), "{refused:?}");
    running.stop().await;

    let running = site.start().await.expect("the shard is behind, which stops no start");
    let signer: SignerId = name("bea");
    assert_eq!(running.signer_in(1, signer.as_str()).map(|row| row.public_key), Some(bea.public_key()));
    running.done(running.by(&bea, 5, create_tenant("acme"))).await;
    running.stop().await;
}

#[tokio::test]
async fn an_id_that_the_shard_knows_enrols_nobody_in_group_0_alone() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.key_and_plan().await;
    let [one, _] = site.officers();
    let rotate = AdminOperation::AddVersion { tenant: name("acme"), key: name("key-1") };
    let enable_all = running.asked(9, rotate);
    running.done(enable_all).await;
    let ann = somebody("ann");
    let refused = running.store.execute(running.by(&one, 9, enrol(&ann, PersonRole::Viewer))).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::IdempotencyReused))), "{refused:?}");
    assert!(running.signer_in(0, "ann").is_none(), "half a change is none");
    running.stop().await;
}
