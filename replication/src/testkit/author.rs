//! Writes entries as a replica and an operator would: signed, complete, decodable. Material is made-up sealed bytes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::codec;
use crate::ids::{
    AliasId, CryptoSpaceId, CryptoSpaceName, Generation, GroupId, IdempotencyId, ImportKeyId, KeyName, KeyVersionId,
    LineageId, Revision, ShardId, TenantId,
};
use crate::machine::command::{
    Action, AddGrant, AddVersion, AdoptPlan, AdvanceStage, Command, CreateAlias, CreateCryptoSpace, CreateImportKey,
    CreateKey, CreateTenant, DestroyVersion, Evidence, Genesis, NewVersion, PlaceTenant, ReservePath, StepVersion,
    Tick,
};
use crate::machine::lifecycle::Event;
use crate::machine::policy::Rule;
use crate::machine::request::{AdminOperation, Base64Bytes, Consent, Level, REQUEST_FORMAT, Request, SignedRequest};
use crate::machine::roles::PersonRole;
use crate::machine::rows::{
    Algorithm, Change, ClusterClock, Envelope, Meta, Origin, Plan, Purpose, Role, Sealed, Signer, Stage, Staleness,
    Trust,
};
use crate::machine::signing::{self, SigningKey};

use super::asks;

/// One replica, one operator and two security officers, and a counter that makes every id different and every run the same.
pub struct Author {
    replica: SigningKey,
    operator: SigningKey,
    officers: [SigningKey; 2],
    lineage: LineageId,
    counter: AtomicU64,
}

/// PKCS#8 version 1 of an Ed25519 key (RFC 8410): this header and a 32-byte seed.
const PKCS8_HEADER: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The key of anybody: the same name and seed make the same one again.
pub fn signing_key(name: &str, seed: u8) -> SigningKey {
    let der = [PKCS8_HEADER.as_slice(), &[seed; 32]].concat();
    SigningKey::from_pkcs8(name.parse().expect("test signers have legal names"), &der)
        .expect("any 32 bytes are the seed of an Ed25519 key")
}

impl Default for Author {
    fn default() -> Self {
        Self {
            replica: signing_key("replica-1", 1),
            operator: signing_key("operator-1", 2),
            officers: [signing_key("officer-1", 3), signing_key("officer-2", 4)],
            lineage: LineageId::from_bytes([7; 16]),
            counter: AtomicU64::new(1),
        }
    }
}

impl Author {
    /// Somebody with the same names and other keys, whom no group knows.
    pub fn stranger() -> Self {
        Self {
            replica: signing_key("replica-1", 101),
            operator: signing_key("operator-1", 102),
            officers: [signing_key("officer-1", 103), signing_key("officer-2", 104)],
            ..Self::default()
        }
    }

    /// The lineage that genesis names.
    pub const fn lineage(&self) -> LineageId {
        self.lineage
    }

    /// The replica's key, for entries of a test's own making.
    pub const fn replica(&self) -> &SigningKey {
        &self.replica
    }

    /// The operator's key, for requests of a test's own making.
    pub const fn operator(&self) -> &SigningKey {
        &self.operator
    }

    /// The two officers' keys.
    pub const fn officers(&self) -> [&SigningKey; 2] {
        [&self.officers[0], &self.officers[1]]
    }

    /// 16 bytes that differ from every earlier draw.
    pub fn draw(&self) -> [u8; 16] {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        Generation::FIRST.stamp(u128::from(count).to_be_bytes())
    }

    /// The first entry of a group.
    pub fn genesis(&self, group: GroupId) -> Vec<u8> {
        let enrolled = |key: &SigningKey, role| {
            let public_key = key.public_key();
            (key.signer().clone(), Signer { public_key, role, revoked_at: None, enrolled_by: None, revoked_by: None })
        };
        let trust = (group == GroupId::SYSTEM).then(|| Trust {
            issuers: vec!["https://accounts.google.com".into()],
            audiences: vec!["https://localhost".into()],
        });
        let person = |role| Role::Person { roles: [role].into(), tenants: None };
        let genesis = Genesis {
            meta: Meta { lineage: self.lineage, generation: Generation::FIRST, group, dev: true },
            signers: vec![
                enrolled(&self.replica, Role::Replica),
                enrolled(&self.operator, person(PersonRole::Operator)),
                enrolled(&self.officers[0], person(PersonRole::SecurityOfficer)),
                enrolled(&self.officers[1], person(PersonRole::SecurityOfficer)),
            ],
            trust,
        };
        self.automatic(group, Action::Genesis(genesis))
    }

    /// A request, signed by whoever may ask for it alone: the operator, or the first officer where people are concerned.
    pub fn request(&self, operation: AdminOperation) -> (IdempotencyId, SignedRequest) {
        let is_operators = operation.tenant().is_some() || operation.is_about_cluster();
        let by = if is_operators { &self.operator } else { &self.officers[0] };
        self.request_by(by, operation)
    }

    /// A request under an id of its own, signed by somebody.
    pub fn request_by(&self, by: &SigningKey, operation: AdminOperation) -> (IdempotencyId, SignedRequest) {
        let idempotency_id = IdempotencyId::from_bytes(self.draw());
        let request = Request { format: REQUEST_FORMAT, lineage: self.lineage, idempotency_id, operation };
        let bytes = serde_json::to_vec(&request).expect("requests are plain JSON");
        (idempotency_id, by.sign_request(bytes))
    }

    /// The second officer's consent to what the first one asks for.
    pub fn approved(&self, operation: AdminOperation) -> (IdempotencyId, SignedRequest) {
        let (_, first) = self.request_by(&self.officers[0], operation);
        self.request_by(&self.officers[1], AdminOperation::Approve(consent_to(first)))
    }

    /// A request, signed by all whom it takes: one person, or both officers.
    pub fn request_of_all(&self, operation: AdminOperation) -> (IdempotencyId, SignedRequest) {
        let of_office = |roles: &BTreeSet<PersonRole>| roles.contains(&PersonRole::SecurityOfficer);
        match &operation {
            AdminOperation::Enrol { roles, .. } if of_office(roles) => self.approved(operation),
            AdminOperation::Deny { .. } | AdminOperation::LiftDeny { .. } => self.approved(operation),
            _ => self.request(operation),
        }
    }

    /// An entry for which those ask exactly what it does whom it takes.
    ///
    /// # Panics
    /// If nobody can ask for it.
    pub fn does(&self, group: GroupId, action: Action) -> Vec<u8> {
        let asked = self.request_of_all(asks(&action).expect("somebody can ask for it"));
        self.carries_out(group, asked, action)
    }

    /// An entry under a signed request.
    pub fn carries_out(&self, group: GroupId, (id, asked): (IdempotencyId, SignedRequest), action: Action) -> Vec<u8> {
        self.entry(group, &Command { at: Timestamp(1_000), idempotency_id: id, request: Some(asked), action })
    }

    /// An entry that completes an operator's request.
    pub fn completed(&self, group: GroupId, operation: AdminOperation, action: Action) -> Vec<u8> {
        self.carries_out(group, self.request(operation), action)
    }

    /// An entry without a request.
    pub fn automatic(&self, group: GroupId, action: Action) -> Vec<u8> {
        let idempotency_id = IdempotencyId::from_bytes(self.draw());
        self.entry(group, &Command { at: Timestamp(1_000), idempotency_id, request: None, action })
    }

    /// Any command, signed by the replica.
    pub fn entry(&self, group: GroupId, command: &Command) -> Vec<u8> {
        codec::encode_entry(&self.replica.sign_command(self.lineage, group, codec::encode_command(command)))
    }

    /// Group 0: a tenant gets shard 1.
    pub fn place_tenant(&self, tenant: &TenantId) -> Vec<u8> {
        let asked =
            AdminOperation::CreateTenant { tenant: tenant.clone(), staleness: Staleness::default(), shard: None };
        let action = Action::PlaceTenant(PlaceTenant { tenant: tenant.clone(), shard: ShardId::FIRST });
        self.completed(GroupId::SYSTEM, asked, action)
    }

    /// Group 0: a path gets its owner, for a key of this name.
    pub fn reserve_path(&self, tenant: &TenantId, name: &KeyName, id: [u8; 16]) -> Vec<u8> {
        let action = Action::ReservePath(ReservePath { id, tenant: tenant.clone(), shard: ShardId::FIRST });
        self.completed(GroupId::SYSTEM, asks_key(tenant, name, None), action)
    }

    /// A tenant in shard 1, with one envelope.
    pub fn create_tenant(&self, tenant: &TenantId) -> Vec<u8> {
        self.create_tenant_in(ShardId::FIRST, tenant)
    }

    /// The same in any shard.
    pub fn create_tenant_in(&self, shard: ShardId, tenant: &TenantId) -> Vec<u8> {
        let envelope = Envelope { provider: "file".into(), root_version: 1, sealed: Sealed(vec![1; 61]) };
        let asked =
            AdminOperation::CreateTenant { tenant: tenant.clone(), staleness: Staleness::default(), shard: None };
        let action = Action::CreateTenant(CreateTenant {
            tenant: tenant.clone(),
            staleness: Staleness::default(),
            envelopes: vec![envelope],
            policy: None,
        });
        self.completed(shard.group(), asked, action)
    }

    /// A crypto space in shard 1.
    pub fn create_crypto_space(&self, tenant: &TenantId, name: &CryptoSpaceName) -> Vec<u8> {
        let id = CryptoSpaceId::from_bytes(self.draw());
        let asked = AdminOperation::CreateCryptoSpace { tenant: tenant.clone(), name: name.clone() };
        let action = Action::CreateCryptoSpace(CreateCryptoSpace { tenant: tenant.clone(), name: name.clone(), id });
        self.completed(ShardId::FIRST.group(), asked, action)
    }

    /// A key in shard 1, with one version of this id.
    pub fn create_key(
        &self,
        tenant: &TenantId,
        name: &KeyName,
        crypto_space: Option<&CryptoSpaceName>,
        id: KeyVersionId,
    ) -> Vec<u8> {
        let version = new_version(id, Origin::Generated);
        let action = Action::CreateKey(CreateKey {
            tenant: tenant.clone(),
            name: name.clone(),
            crypto_space: crypto_space.cloned(),
            purpose: Purpose::EncryptDecrypt,
            version,
        });
        self.completed(ShardId::FIRST.group(), asks_key(tenant, name, crypto_space), action)
    }

    /// A grant in shard 1.
    pub fn grant(&self, tenant: &TenantId, level: Level, rule: Rule) -> Vec<u8> {
        let asked = AdminOperation::Grant { tenant: tenant.clone(), level: level.clone(), rule: rule.clone() };
        self.completed(
            ShardId::FIRST.group(),
            asked,
            Action::AddGrant(AddGrant { tenant: tenant.clone(), level, rule }),
        )
    }

    /// Enables a version.
    pub fn enable(&self, tenant: &TenantId, version: KeyVersionId) -> Vec<u8> {
        let asked = AdminOperation::EnableVersion { tenant: tenant.clone(), version };
        let action = Action::StepVersion(StepVersion { tenant: tenant.clone(), version, event: Event::Enable });
        self.completed(ShardId::FIRST.group(), asked, action)
    }

    /// Adopts the plan that disables a version, and advances it: two entries.
    pub fn disable(&self, tenant: &TenantId, version: KeyVersionId, parent: Revision) -> [Vec<u8>; 2] {
        self.plan(tenant, parent, Change::DisableVersion { version })
    }

    /// Adopts a plan, and advances it: two entries.
    pub fn plan(&self, tenant: &TenantId, parent: Revision, change: Change) -> [Vec<u8>; 2] {
        let plan = Plan { tenant: tenant.clone(), parent, change };
        let digest = signing::plan_digest(&plan);
        let shard = ShardId::FIRST.group();
        let advance = AdvanceStage { digest, expected: Stage::Adopted, evidence: Evidence::SingleStage };
        [
            self.does(shard, Action::AdoptPlan(AdoptPlan { plan, digest })),
            self.automatic(shard, Action::AdvanceStage(advance)),
        ]
    }

    /// One more version of a key.
    pub fn add_version(&self, tenant: &TenantId, key: &KeyName, id: KeyVersionId, origin: Origin) -> Vec<u8> {
        let version = new_version(id, origin);
        self.does(
            ShardId::FIRST.group(),
            Action::AddVersion(AddVersion { tenant: tenant.clone(), key: key.clone(), version }),
        )
    }

    /// One more path of a version.
    pub fn create_alias(&self, tenant: &TenantId, version: KeyVersionId, id: AliasId) -> Vec<u8> {
        let action = Action::CreateAlias(CreateAlias { tenant: tenant.clone(), id, version });
        self.does(ShardId::FIRST.group(), action)
    }

    /// A key for material to be brought in under.
    pub fn create_import_key(&self, tenant: &TenantId, id: ImportKeyId) -> Vec<u8> {
        let (public_key, sealed) = (vec![6; 422], Sealed(vec![7; 1821]));
        let action = Action::CreateImportKey(CreateImportKey { tenant: tenant.clone(), id, public_key, sealed });
        self.does(ShardId::FIRST.group(), action)
    }

    /// Calls the destruction of a version off.
    pub fn restore(&self, tenant: &TenantId, version: KeyVersionId) -> Vec<u8> {
        let action = Action::StepVersion(StepVersion { tenant: tenant.clone(), version, event: Event::Restore });
        self.does(ShardId::FIRST.group(), action)
    }

    /// The shard's time goes on from where it stands.
    pub fn tick(&self, clock: ClusterClock, millis: u64) -> Vec<u8> {
        let ClusterClock { now, windows } = clock;
        self.automatic(ShardId::FIRST.group(), Action::Tick(Tick { from: now, windows, millis }))
    }

    /// A version that is due is destroyed.
    pub fn destroy(&self, version: KeyVersionId) -> Vec<u8> {
        self.automatic(ShardId::FIRST.group(), Action::DestroyVersion(DestroyVersion { version }))
    }
}

/// The consent to another officer's request.
pub fn consent_to(first: SignedRequest) -> Consent {
    let SignedRequest { bytes, signer, signature } = first;
    Consent { request: Base64Bytes(bytes), signer, signature: Base64Bytes(signature) }
}

/// A version with made-up material.
pub fn new_version(id: KeyVersionId, origin: Origin) -> NewVersion {
    let (sealed, canary) = (Sealed(vec![2; 61]), vec![3; 90]);
    NewVersion { id, algorithm: Algorithm::Aes256GcmSiv, origin, sealed, canary }
}

fn asks_key(tenant: &TenantId, name: &KeyName, crypto_space: Option<&CryptoSpaceName>) -> AdminOperation {
    AdminOperation::CreateKey {
        tenant: tenant.clone(),
        name: name.clone(),
        crypto_space: crypto_space.cloned(),
        purpose: Purpose::EncryptDecrypt,
    }
}
