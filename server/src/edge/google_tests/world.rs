//! A whole data plane in one process: real tokens, key set, directory, seals and audit; only the clock, the file under the
//! audit and the sockets are the tests' own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use replication::clock::{Clock, Timestamp};
use replication::codec::encode_row;
use replication::directory::{Directory, View};
use replication::ids::{
    AliasId, CryptoSpaceId, CryptoSpaceName, Generation, GroupId, KeyName, KeyVersionId, LineageId, LogIndex, Revision,
    ShardId, TenantId, alias_path, key_path,
};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::{Justifications, Operation, Policy, Principal, Rule};
use replication::machine::row_keys::RowKey;
use replication::machine::rows::{
    Algorithm, Alias, CryptoSpace, Key, KeyVersion, Meta, Origin, Purpose, Quota, RowKind, Sealed, Staleness, Tenant,
    Trust,
};
use replication::machine::state::State;
use replication::testkit::ManualClock;
use serde::Serialize;
use tower::ServiceExt;

use crate::audit::{Audit, AuditLog};
use crate::authn::mint::{DEV_ISSUER, TokenIssuer, TokenRequest};
use crate::authn::{ClockVerdict, KeySource, ProbeIssuer, Verifier, key_set_channel, key_set_task};
use crate::crypto::{
    Arena, Binding, Entropy, LockPolicy, Material, SystemEntropy, TenantKey, UsableMaterial, make_canary,
};
use crate::edge::admission::Admission;
use crate::edge::google::router;
use crate::edge::service::{DataSettings, Service};
use crate::lookup::{Lookup, TenantKeys};
use crate::metrics::Metrics;
use crate::operations::Journey;
use crate::policy::UnknownReasons;

pub(super) const CALLER: &str = "service-1@gcp-sa-ekms.iam.gserviceaccount.com";
const AUDIENCE: &str = "https://localhost";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn issuer() -> &'static TokenIssuer {
    static ISSUER: OnceLock<TokenIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TokenIssuer::generate().expect("the library makes an RSA key"))
}

fn probe() -> &'static ProbeIssuer {
    static PROBE: OnceLock<ProbeIssuer> = OnceLock::new();
    PROBE.get_or_init(|| ProbeIssuer::generate().expect("the library makes an RSA key"))
}

/// The file under the audit.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) bytes: Arc<Mutex<Vec<u8>>>,
    pub(super) is_full: Arc<AtomicBool>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) service: Arc<Service>,
    pub(super) disk: Disk,
    pub(super) audit_log: Arc<AuditLog>,
    pub(super) token: String,
    pub(super) admission: Admission,
    pub(super) arena: Arc<Arena>,
    router: Router,
    states: BTreeMap<GroupId, State>,
    versions: BTreeMap<&'static str, KeyVersionId>,
    _key_set: tokio_util::sync::DropGuard,
}

/// What a test may choose about a world.
pub(super) struct Choices {
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) settings: DataSettings,
    pub(super) unknown_reasons: UnknownReasons,
    pub(super) lacks: Lacks,
    /// The shards that claim every path.
    pub(super) shards: Vec<ShardId>,
}

/// What has not arrived in a world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    Nothing,
    TenantKeys,
    KeySet,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            entropy: Arc::new(SystemEntropy),
            settings: DataSettings::default(),
            unknown_reasons: UnknownReasons::default(),
            lacks: Lacks::Nothing,
            shards: vec![ShardId::FIRST],
        }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) json: serde_json::Value,
}

impl Answer {
    pub(super) fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }
}

impl World {
    pub(super) async fn new(choices: Choices) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let arena = Arena::new(64.try_into().expect("not zero"), LockPolicy::Warn).expect("a small arena");
        let mut rows = Rows::new(&arena);
        let open = Some(policy("r1", None));
        rows.add("k1", VersionState::Enabled, open.clone());
        rows.add("listed", VersionState::Enabled, Some(policy("r2", Some(&[5]))));
        rows.add("nobody", VersionState::Enabled, None);
        rows.add("new", VersionState::Pending, open.clone());
        rows.add("off", VersionState::Disabled, open.clone());
        rows.add("leaving", VersionState::DestroyScheduled, open.clone());
        rows.add("gone", VersionState::Destroyed, open.clone());
        rows.add("barred", VersionState::Enabled, Some(barring()));
        rows.add("broken", VersionState::Enabled, open.clone());
        rows.add("torn", VersionState::Enabled, open);
        rows.limit("paced", &tenant(), None, Some(quota(1, 2)));
        rows.limit("hot", &tenant(), Some("pool"), None);
        rows.limit("warm", &tenant(), Some("pool"), None);
        rows.put(
            "idle",
            &tenant(),
            VersionState::Disabled,
            Key { policy: Some(policy("r1", None)), ..key_of(Some(space("pool"))) },
        );
        rows.limit("theirs", &neighbour(), None, None);
        rows.add("canary", VersionState::Enabled, Some(granted("probe", Principal::Probe, None)));
        let (state, versions, tenant_key) = rows.into_state();
        let tenant_keys = Arc::new(TenantKeys::default());
        if choices.lacks != Lacks::TenantKeys {
            let tenant_key = Arc::new(tenant_key);
            let keys = [(tenant(), Arc::clone(&tenant_key)), (neighbour(), tenant_key)];
            choices.shards.iter().for_each(|shard| tenant_keys.extend(*shard, &keys));
        }

        let trust = Trust { issuers: vec![DEV_ISSUER.to_owned()], audiences: vec![AUDIENCE.to_owned()] };
        let system = State::from_rows([row(RowKind::Trust, &(), &trust)]).expect("one good row");
        let claimed = choices.shards.iter().map(|shard| (shard.group(), state.clone()));
        let states = std::iter::once((GroupId::SYSTEM, system)).chain(claimed).collect();
        let directory = Arc::new(Directory::new(choices.shards.iter().copied()));

        let (verifier, key_set) = verifier(clock.clone(), choices.lacks).await;
        let disk = Disk::default();
        let audit_log = Arc::new(AuditLog::over(Box::new(disk.clone())));
        let admission = Admission::new(1.try_into().expect("not zero"));
        let service = Arc::new(Service {
            journey: Journey {
                verifier,
                clock_verdict: ClockVerdict::alone(),
                directory,
                unknown_reasons: choices.unknown_reasons,
                quotas: Arc::default(),
                lookup: Arc::new(Lookup::new(tenant_keys, Arc::clone(&arena), 16)),
                entropy: choices.entropy,
                clock: clock.clone(),
            },
            audit: Audit::new(Arc::clone(&audit_log), clock.clone(), "m1"),
            metrics: Arc::new(Metrics::new(NOW, "0")),
            alarms: crate::edge::alarms::Alarms::default(),
            leftovers: crate::edge::leftovers::Leftovers::default(),
            admission: admission.clone(),
            settings: choices.settings,
        });
        let token = issuer().mint(&TokenRequest {
            email: CALLER.parse().expect("an e-mail"),
            audience: AUDIENCE.to_owned(),
            issued_at: NOW,
            ttl: Duration::from_hours(1),
        });
        let router = router(Arc::clone(&service));
        Self { clock, service, disk, audit_log, token, admission, arena, router, states, versions, _key_set: key_set }
    }

    /// A world whose views have just been confirmed.
    pub(super) async fn fresh() -> Self {
        let world = Self::new(Choices::default()).await;
        world.confirm();
        world
    }

    /// Confirms every view at this moment.
    pub(super) fn confirm(&self) {
        for (group, state) in &self.states {
            let view = View { state: state.clone(), index: LogIndex(1), confirmed: Some(self.clock.now()) };
            self.service.journey.directory.publish(*group, &view);
        }
    }

    /// `/v0/keys/<id>` of a key by its name.
    pub(super) fn path(&self, key: &str) -> String {
        format!("/{}", key_path(self.versions[key]))
    }

    /// The path of a key's alias; every key has one.
    pub(super) fn alias(&self, key: &str) -> String {
        format!("/{}", alias_path(alias_of(self.versions[key])))
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("our own body arrives").to_bytes();
        let json = serde_json::from_slice(&body).expect("every body is JSON");
        Answer { status: head.status.as_u16(), headers: head.headers, json }
    }

    /// A request with the good token.
    pub(super) fn request(&self, method: &Method, path: &str, body: impl Into<Body>) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .body(body.into())
            .expect("a legal request")
    }

    /// A request of the machine's own probe.
    pub(super) fn probing(&self, path: &str, body: impl Into<Body>) -> Request<Body> {
        let token = probe().mint(self.clock.wall());
        Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .body(body.into())
            .expect("a legal request")
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(self.request(&Method::POST, path, body)).await
    }

    /// The audit so far, line by line.
    pub(super) fn audit(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.disk.bytes.lock().clone()).expect("records are texts");
        text.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
    }
}

async fn verifier(clock: Arc<ManualClock>, lacks: Lacks) -> (Arc<Verifier>, tokio_util::sync::DropGuard) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, issuer().jwks()).expect("the folder takes a file");
    let (reader, publisher) = key_set_channel();
    let path = if lacks == Lacks::KeySet { folder.path().join("none") } else { file };
    let cancel = tokio_util::sync::CancellationToken::new();
    tokio::spawn(key_set_task(KeySource::File(path), publisher, clock.clone(), cancel.clone()));
    let mut progress = reader.progress();
    progress.wait_for(|progress| progress.attempts > 0).await.expect("the task runs");
    (Arc::new(Verifier::new(reader, clock).with_probe(probe().verifier())), cancel.drop_guard())
}

fn tenant() -> TenantId {
    "acme".parse().expect("a tenant")
}

/// Another tenant, which has a quota.
fn neighbour() -> TenantId {
    "neighbour".parse().expect("a tenant")
}

fn quota(per_second: u32, burst: u32) -> Quota {
    let number = |number: u32| number.try_into().expect("not zero");
    Quota { per_second: number(per_second), burst: number(burst) }
}

fn policy(name: &str, codes: Option<&[u32]>) -> Policy {
    granted(name, CALLER.parse().expect("a principal"), codes)
}

/// Grants to everybody who is asked for, and denies them.
fn barring() -> Policy {
    let policy = policy("r3", None);
    Policy { denies: policy.grants.clone(), ..policy }
}

fn granted(name: &str, caller: Principal, codes: Option<&[u32]>) -> Policy {
    let grant = Rule {
        name: name.parse().expect("a rule name"),
        callers: [caller].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: codes
            .map(|codes| Justifications { codes: codes.iter().copied().collect(), allow_missing: false }),
    };
    Policy { denies: Vec::new(), grants: vec![grant] }
}

fn row<K: RowKey>(kind: RowKind, key: &K, value: &impl Serialize) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = vec![kind as u8];
    key.write(&mut bytes);
    (bytes, encode_row(value))
}

fn space(name: &str) -> CryptoSpaceName {
    name.parse().expect("a name")
}

fn alias_of(version: KeyVersionId) -> AliasId {
    AliasId::from_bytes(version.as_bytes().map(|byte| byte | 0x80))
}

/// A key without versions.
fn key_of(crypto_space: Option<CryptoSpaceName>) -> Key {
    Key {
        crypto_space,
        purpose: Purpose::EncryptDecrypt,
        policy: None,
        quota: None,
        versions: BTreeMap::new(),
        primary: 1,
        created_at: NOW,
    }
}

/// The rows of a shard, with real material.
struct Rows {
    arena: Arc<Arena>,
    tenant_key: TenantKey,
    lineage: LineageId,
    encoded: Vec<(Vec<u8>, Vec<u8>)>,
    versions: BTreeMap<&'static str, KeyVersionId>,
}

impl Rows {
    fn new(arena: &Arc<Arena>) -> Self {
        let lineage = LineageId::from_bytes([7; 16]);
        let group = ShardId::FIRST.group();
        let meta = Meta { lineage, generation: Generation::FIRST, group, dev: true };
        let owner = |quota| Tenant {
            revision: Revision(1),
            staleness: Staleness::Balanced,
            policy: None,
            quota,
            envelopes: Vec::new(),
            created_at: NOW,
        };
        let id = CryptoSpaceId::from_bytes([9; 16]);
        let pool = CryptoSpace { id, policy: None, quota: Some(quota(1, 3)), created_at: NOW };
        Self {
            arena: Arc::clone(arena),
            tenant_key: TenantKey::generate(arena, &SystemEntropy).expect("a key"),
            lineage,
            encoded: vec![
                row(RowKind::Meta, &(), &meta),
                row(RowKind::Tenant, &tenant(), &owner(None)),
                row(RowKind::Tenant, &neighbour(), &owner(Some(quota(1, 4)))),
                row(RowKind::CryptoSpace, &(tenant(), space("pool")), &pool),
            ],
            versions: BTreeMap::new(),
        }
    }

    /// A key with one version.
    fn add(&mut self, name: &'static str, state: VersionState, policy: Option<Policy>) {
        self.put(name, &tenant(), state, Key { policy, ..key_of(None) });
    }

    /// A key that the caller may use, over which some quota stands.
    fn limit(&mut self, name: &'static str, owner: &TenantId, pool: Option<&str>, quota: Option<Quota>) {
        let key = Key { policy: Some(policy("r1", None)), quota, ..key_of(pool.map(space)) };
        self.put(name, owner, VersionState::Enabled, key);
    }

    /// `broken` gets a canary of other material, `torn` a seal that does not open.
    fn put(&mut self, name: &'static str, owner: &TenantId, state: VersionState, row_of_key: Key) {
        let count = u8::try_from(self.versions.len()).expect("a few keys");
        let (id, key): (_, KeyName) = (KeyVersionId::from_bytes([count + 1; 16]), name.parse().expect("a key name"));
        let (algorithm, alias) = (Algorithm::Aes256GcmSiv, alias_of(id));
        let binding = Binding { lineage: self.lineage, tenant: owner, key: &key, version: id, algorithm };
        let material = || Material::generate(&self.arena, &SystemEntropy).expect("a key");
        let usable = UsableMaterial::new(material(), id);
        let mut sealed =
            self.tenant_key.seal(usable.material(), &binding, &SystemEntropy).expect("there is randomness");
        if name == "torn" {
            sealed = Sealed(sealed.0.iter().map(|byte| byte ^ 1).collect());
        }
        let checked = if name == "broken" { UsableMaterial::new(material(), id) } else { usable };
        let canary = make_canary(&checked, &SystemEntropy).expect("there is randomness");
        let version = KeyVersion {
            tenant: owner.clone(),
            key: key.clone(),
            number: 1,
            state,
            algorithm,
            origin: Origin::Generated,
            destroy_at: None,
            aliases: BTreeSet::from([alias]),
            sealed,
            canary,
            created_at: NOW,
        };
        let row_of_key = Key { versions: BTreeMap::from([(1, id)]), ..row_of_key };
        self.encoded.push(row(RowKind::Key, &(owner.clone(), key), &row_of_key));
        self.encoded.push(row(RowKind::KeyVersion, &id, &version));
        let leads = Alias { tenant: owner.clone(), version: id, created_at: NOW };
        self.encoded.push(row(RowKind::Alias, &alias, &leads));
        self.versions.insert(name, id);
    }

    fn into_state(self) -> (State, BTreeMap<&'static str, KeyVersionId>, TenantKey) {
        (State::from_rows(self.encoded).expect("good rows"), self.versions, self.tenant_key)
    }
}
