//! A system group and a shard, with every state that a log of each goes through.

use std::sync::LazyLock;

use replication::codec;
use replication::ids::{GroupId, IdError, IdempotencyId, KeyVersionId, LogIndex, Revision, ShardId, TenantId};
use replication::machine::command::{Action, Command};
use replication::machine::lifecycle::Event;
use replication::machine::outcome::Outcome;
use replication::machine::policy::{Operation, Rule};
use replication::machine::request::{AdminOperation, Level, REQUEST_FORMAT, Request, SignedRequest};
use replication::machine::rows::{Change, Staleness};
use replication::machine::state::State;
use replication::testkit::Author;

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
        return vec![author.genesis(group), author.place_tenant(&acme), reserve];
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
    entries
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

    /// A request for exactly what an action does, signed by the operator; `None` if no operator can ask for it.
    pub fn asks_for(&self, command: &Command) -> Option<SignedRequest> {
        let operation = asked_for(&command.action)?;
        let (lineage, idempotency_id): (_, IdempotencyId) = (self.author.lineage(), command.idempotency_id);
        let request = Request { format: REQUEST_FORMAT, lineage, idempotency_id, operation };
        let bytes = serde_json::to_vec(&request).expect("requests are plain JSON");
        Some(self.author.operator().sign_request(bytes))
    }
}

/// The commands in the world's entries.
pub fn commands(world: &World) -> impl Iterator<Item = Vec<u8>> + '_ {
    world.entries.iter().map(|entry| codec::decode_entry(entry).expect("the author writes decodable entries").command)
}

fn asked_for(action: &Action) -> Option<AdminOperation> {
    Some(match action.clone() {
        Action::PlaceTenant(place) => {
            AdminOperation::CreateTenant { tenant: place.tenant, staleness: Staleness::default() }
        }
        Action::ReservePath(reserve) => {
            AdminOperation::CreateCryptoSpace { tenant: reserve.tenant, name: name("space") }
        }
        Action::CreateTenant(create) => {
            AdminOperation::CreateTenant { tenant: create.tenant, staleness: create.staleness }
        }
        Action::CreateCryptoSpace(create) => {
            AdminOperation::CreateCryptoSpace { tenant: create.tenant, name: create.name }
        }
        Action::CreateKey(create) => AdminOperation::CreateKey {
            tenant: create.tenant,
            name: create.name,
            crypto_space: create.crypto_space,
            purpose: create.purpose,
        },
        Action::AddGrant(add) => AdminOperation::Grant { tenant: add.tenant, level: add.level, rule: add.rule },
        Action::StepVersion(step) if step.event == Event::Enable => {
            AdminOperation::EnableVersion { tenant: step.tenant, version: step.version }
        }
        Action::AdoptPlan(adopt) => {
            let Change::DisableVersion { version } = adopt.plan.change;
            AdminOperation::DisableVersion { tenant: adopt.plan.tenant, version, parent: adopt.plan.parent }
        }
        Action::Genesis(_) | Action::StepVersion(_) | Action::AdvanceStage(_) => return None,
    })
}
