//! The state machine, told as a reviewer would read it: an entry in, its outcome out.

mod authority;
mod destruction;
mod golden;
mod lifts;
mod lives;
mod model;
mod people;
mod plain;
mod properties;
mod replicas;
mod script;
mod shards;
mod tampering;
mod time_search;

use crate::ids::{GroupId, KeyVersionId, LogIndex, ReplicaId, Revision, ShardId, TenantId};
use crate::machine::command::AddReplica;
use crate::machine::invariants;
use crate::machine::outcome::{Outcome, Refusal};
use crate::machine::policy::{Operation, Rule};
use crate::machine::rows::{ReplicaKind, Standing};
use crate::machine::state::{State, Transition};
use crate::testkit::{Author, signing_key};

/// A state and the entries that made it.
struct Machine {
    author: Author,
    state: State,
    index: u64,
}

const SHARD: GroupId = ShardId::FIRST.group();

impl Machine {
    /// A shard after its genesis entry.
    fn shard() -> Self {
        Self::of(SHARD)
    }

    fn of(group: GroupId) -> Self {
        let mut machine = Self { author: Author::default(), state: State::empty(), index: 0 };
        let genesis = machine.author.genesis(group);
        assert!(matches!(machine.feed(&genesis), Outcome::Done(_)));
        machine
    }

    /// Applies an entry, checks every invariant, and gives what it came to.
    fn feed(&mut self, entry: &[u8]) -> Outcome {
        self.transition(entry).outcome
    }

    fn transition(&mut self, entry: &[u8]) -> Transition {
        self.index += 1;
        let transition = self.state.apply(LogIndex(self.index), entry).expect("the author writes decodable entries");
        let changed = matches!(transition.outcome, Outcome::Done(_));
        assert_eq!(changed, transition.state.digest() != self.state.digest(), "a state changes exactly when done");
        assert_eq!(changed, !transition.rows.is_empty(), "rows change exactly when done");
        invariants::check(&transition.state).expect("every invariant holds after every entry");
        self.state = transition.state.clone();
        transition
    }

    fn done(&mut self, entry: &[u8]) {
        let outcome = self.feed(entry);
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }

    fn refusal(&mut self, entry: &[u8]) -> Refusal {
        match self.feed(entry) {
            Outcome::Refused(refusal) => refusal,
            other @ (Outcome::Done(_) | Outcome::Repeated(_)) => panic!("expected a refusal, got {other:?}"),
        }
    }

    /// Makes tenant `acme` with key `k1`, and gives the key's version.
    fn with_key(&mut self) -> (TenantId, KeyVersionId) {
        let tenant = tenant("acme");
        let version = KeyVersionId::from_bytes(self.author.draw());
        let entry = self.author.create_tenant(&tenant);
        self.done(&entry);
        let entry = self.author.create_key(&tenant, &name("k1"), None, version);
        self.done(&entry);
        (tenant, version)
    }

    fn revision(&self, tenant: &TenantId) -> Revision {
        self.state.tenants().get(tenant).expect("the test made the tenant").revision
    }
}

fn tenant(text: &str) -> TenantId {
    name(text)
}

fn name<T: std::str::FromStr<Err = crate::ids::IdError>>(text: &str) -> T {
    text.parse().expect("test names are legal")
}

/// A data replica that is to vote, with a key of its own.
fn replica(number: u64, signer: &str) -> AddReplica {
    let seed = u8::try_from(number).expect("test replicas have small numbers") + 150;
    AddReplica {
        replica: ReplicaId(number),
        address: format!("127.0.0.1:{}", 9000 + number).parse().expect("it is an address"),
        site: name("a"),
        kind: ReplicaKind::Data { signer: name(signer), public_key: signing_key(signer, seed).public_key() },
        standing: Standing::Voter,
    }
}

fn rule(text: &str) -> Rule {
    Rule {
        name: name(text),
        callers: [name("service-1@gcp-sa-ekms.iam.gserviceaccount.com")].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    }
}
