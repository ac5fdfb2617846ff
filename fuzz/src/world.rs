//! A system group and a shard, with every state that a log of each goes through.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use replication::clock::ClusterTime;
use replication::codec;
use replication::ids::{
    AliasId, CheckValue, GroupId, IdError, IdempotencyId, ImportKeyId, KeyVersionId, LogIndex, Revision, ShardId,
    TenantId,
};
use replication::machine::apply::authority::verify_request;
use replication::machine::command::{Action, Command, EnrolSigner, RevokeSigner};
use replication::machine::outcome::{Outcome, Refusal};
use replication::machine::policy::{Operation, Policy, Rule};
use replication::machine::request::{AdminOperation, Level, REQUEST_FORMAT, Request, SignedRequest};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Change, ClusterClock, Origin, Quota, Role};
use replication::machine::signing::SigningKey;
use replication::machine::state::State;
use replication::testkit::{Author, asks, consent_to, signing_key};

/// The shard.
pub const SHARD: GroupId = ShardId::FIRST.group();

/// A group's state, and the entries that are known: those that made it and those that may follow.
pub struct Place {
    /// Which group.
    pub group: GroupId,
    /// Its state.
    pub state: State,
    /// How many entries made it.
    pub index: u64,
}

/// Everything a target starts from.
pub struct World {
    /// Signs.
    pub author: Author,
    /// Every state, from empty to full, of both groups.
    pub places: Vec<Place>,
    /// Every entry of both logs, in order: what is signed already.
    pub entries: Vec<Vec<u8>>,
}

/// The one world of a process.
pub static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A legal name.
pub fn name<T: std::str::FromStr<Err = IdError>>(text: &str) -> T {
    text.parse().expect("the names of this world are legal")
}

/// A rule that grants everything to one caller.
pub fn rule(text: &str) -> Rule {
    Rule {
        name: name(text),
        callers: [name("service-1@gcp-sa-ekms.iam.gserviceaccount.com")].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    }
}

fn entries(author: &Author, group: GroupId) -> Vec<Vec<u8>> {
    let acme: TenantId = name("acme");
    let (version, space) = (KeyVersionId::from_bytes([0xab; 16]), name("space"));
    if group == GroupId::SYSTEM {
        let reserve = author.reserve_path(&acme, &name("k1"), [0xab; 16]);
        let mut entries = vec![author.genesis(group), author.place_tenant(&acme), reserve];
        entries.extend(people(author, group));
        return entries;
    }
    let mut entries = vec![
        author.genesis(group),
        author.create_tenant(&acme),
        author.create_crypto_space(&acme, &space),
        author.create_key(&acme, &name("k1"), Some(&space), version),
        author.grant(&acme, Level::Tenant, rule("r1")),
    ];
    entries.extend(author.disable(&acme, version, Revision(4)));
    entries.push(author.enable(&acme, version));
    entries.extend(later_life(author, &acme, version));
    entries.extend(people(author, group));
    entries
}

/// What came after the first release of the log: aliases, imports, policies, quotas, and the end of a version.
fn later_life(author: &Author, acme: &TenantId, version: KeyVersionId) -> Vec<Vec<u8>> {
    let (alias, import_key, key) = (AliasId::from_bytes([0xcd; 16]), ImportKeyId::from_bytes([0xef; 16]), name("k1"));
    let brought = Origin::Imported { import_key, check_value: CheckValue::from_bytes([1, 2, 3]) };
    let policy = Policy { denies: vec![rule("d1")], grants: vec![rule("r1")] };
    let quota = Quota { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let plans = [
        Change::RemoveAlias { alias },
        Change::SetPolicy { level: Level::Key(name("k1")), policy: Some(policy) },
        Change::RemoveRule { level: Level::Tenant, rule: name("r1") },
        Change::SetQuota { level: Level::CryptoSpace(name("space")), quota: Some(quota) },
        Change::DisableVersion { version },
        Change::ScheduleDestroy { version, window_seconds: 60 },
    ];
    let mut entries = vec![
        author.create_alias(acme, version, alias),
        author.create_import_key(acme, import_key),
        author.add_version(acme, &key, KeyVersionId::from_bytes([0xac; 16]), brought),
    ];
    for (change, parent) in plans.into_iter().zip((10..).step_by(2)) {
        entries.extend(author.plan(acme, Revision(parent), change));
    }
    let clock = |now, windows| ClusterClock { now: ClusterTime(now), windows };
    entries.extend([author.tick(clock(0, 1), 30_000), author.restore(acme, version)]);
    entries.extend(author.plan(acme, Revision(23), Change::ScheduleDestroy { version, window_seconds: 1 }));
    entries.extend([author.tick(clock(30_000, 2), 1_000), author.destroy(version)]);
    entries
}

/// An operator comes and goes, and an officer comes.
fn people(author: &Author, group: GroupId) -> Vec<Vec<u8>> {
    let enrol = |text: &str, seed: u8, role| {
        let public_key = signing_key(text, seed).public_key();
        let role = Role::Person { roles: [role].into(), tenants: None };
        author.does(group, Action::EnrolSigner(EnrolSigner { signer: name(text), public_key, role }))
    };
    vec![
        enrol("operator-2", 5, PersonRole::Operator),
        enrol("officer-3", 6, PersonRole::SecurityOfficer),
        author.does(group, Action::RevokeSigner(RevokeSigner { signer: name("operator-2") })),
    ]
}

impl World {
    fn new() -> Self {
        let author = Author::default();
        let (mut places, mut known) = (Vec::new(), Vec::new());
        for group in [SHARD, GroupId::SYSTEM] {
            let mut state = State::empty();
            places.push(Place { group, state: state.clone(), index: 0 });
            for (entry, index) in entries(&author, group).into_iter().zip(1..) {
                let after = state.apply(LogIndex(index), &entry).expect("the author writes decodable entries");
                assert!(matches!(after.outcome, Outcome::Done(_)), "{:?}", after.outcome);
                state = after.state;
                places.push(Place { group, state: state.clone(), index });
                known.push(entry);
            }
        }
        Self { author, places, entries: known }
    }

    /// The place that this byte chooses.
    pub fn place(&self, choice: u8) -> &Place {
        &self.places[usize::from(choice) % self.places.len()]
    }

    /// A request for exactly what an action does, signed by whoever may ask for it in that state: the operator, an officer, or
    /// both officers; `None` if nobody can ask for it.
    pub fn asks_for(&self, state: &State, command: &Command) -> Option<SignedRequest> {
        let operation = asks(&command.action)?;
        let [first, second] = self.author.officers();
        let alone = if operation.tenant().is_some() { self.author.operator() } else { first };
        let asked = self.signed(command.idempotency_id, operation.clone(), alone);
        match state.meta().map(|meta| verify_request(state, meta, &asked)) {
            Some(Err(Refusal::NeedsSecondOfficer { .. } | Refusal::NeedsTwoOfficers)) => {
                let asked = self.signed(IdempotencyId::from_bytes([0x11; 16]), operation, first);
                let consent = AdminOperation::Approve(consent_to(asked));
                Some(self.signed(command.idempotency_id, consent, second))
            }
            Some(_) | None => Some(asked),
        }
    }

    fn signed(&self, idempotency_id: IdempotencyId, operation: AdminOperation, by: &SigningKey) -> SignedRequest {
        let request = Request { format: REQUEST_FORMAT, lineage: self.author.lineage(), idempotency_id, operation };
        by.sign_request(serde_json::to_vec(&request).expect("requests are plain JSON"))
    }
}

/// The commands in the world's entries.
pub fn commands(world: &World) -> impl Iterator<Item = Vec<u8>> + '_ {
    world.entries.iter().map(|entry| codec::decode_entry(entry).expect("the author writes decodable entries").command)
}
