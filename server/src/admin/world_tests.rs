//! A key store on disk behind the real router, for the tests of this module; only the handshake is left out.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use replication::clock::{Clock, Timestamp};
use replication::directory::Directory;
use replication::ids::{IdempotencyId, KeyVersionId, ReplicaId, Revision, ShardId, TenantId};
use replication::machine::lifecycle::VersionState;
use replication::machine::request::AdminOperation;
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Purpose, Staleness, Tenant, Trust};
use replication::machine::signing::{self, SigningKey};
use replication::raft::group::{SnapshotLimits, Timers};
use replication::raft::host::{Host, HostSettings};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;
use replication::store::room::{self, FreeSpace};
use tower::ServiceExt as _;

use super::client::{Operator as Client, new_idempotency_id};
use super::routes::{Admin, Plane, router};
use super::wire::{Answer, REQUESTS_PATH, SIGNATURE_HEADER, SIGNER_HEADER};
use crate::audit::{Audit, AuditLog};
use crate::authn::{ClockVerdict, Verifier, key_set_channel};
use crate::clock::SystemClock;
use crate::crypto::{Arena, LockPolicy, SystemEntropy};
use crate::edge::admission::Admission;
use crate::edge::alarms::Alarms;
use crate::edge::leftovers::Leftovers;
use crate::edge::peer::PeerCertificate;
use crate::edge::service::{DataSettings, Service};
use crate::edge::testing::{PATIENCE, soon};
use crate::keystore::{Founding, KeyStore, Needed, Parts, Person, Root};
use crate::lookup::{Lookup, TenantKeys};
use crate::metrics::Metrics;
use crate::operations::Journey;
use crate::policy::UnknownReasons;

/// A key store with one operator, two officers, one tenant and one key.
pub(super) struct World {
    pub(super) store: Arc<KeyStore>,
    pub(super) admin: Admin,
    pub(super) operator: Member,
    pub(super) officers: [Member; 2],
    pub(super) tenant: TenantId,
    pub(super) version: KeyVersionId,
    space: Arc<Space>,
    host: Arc<Host>,
    _folder: tempfile::TempDir,
}

/// Free bytes as the test says.
#[derive(Debug)]
struct Space(AtomicU64);

impl FreeSpace for Space {
    fn measure(&self) -> std::io::Result<room::Space> {
        Ok(room::Space { free_bytes: self.0.load(Ordering::SeqCst), total_bytes: u64::MAX })
    }
}

pub(super) const RESERVE_BYTES: u64 = 1 << 30;

/// Somebody with a self-signed certificate and the key behind it.
pub(super) struct Member {
    pub(super) client: Client,
    pub(super) certificate: PeerCertificate,
}

impl Member {
    pub(super) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let files = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        std::fs::write(&files.0, certificate.pem()).expect("the folder takes a file");
        std::fs::write(&files.1, key.serialize_pem()).expect("the folder takes a file");
        let client = Client::load(&files.0, &files.1).expect("a member's files");
        Self { client, certificate: PeerCertificate::danger_unverified(certificate.der().clone()) }
    }

    fn founding(&self, role: PersonRole) -> Person {
        let (signer, public_key) = self.client.enrolment();
        Person { signer, public_key, roles: [role].into() }
    }
}

fn replica_key() -> SigningKey {
    let der = signing::generate_pkcs8().expect("randomness");
    SigningKey::from_pkcs8("replica-1".parse().expect("a signer"), &der).expect("a key of our own")
}

/// What callers would be answered with, over a directory and nothing else.
fn service(directory: &Arc<Directory>, tenant_keys: &Arc<TenantKeys>, arena: &Arc<Arena>) -> Service {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = Arc::new(AuditLog::over(Box::new(std::io::sink())));
    let (reader, _) = key_set_channel();
    Service {
        audit: Audit::new(log, Arc::clone(&clock), "m1"),
        journey: Journey {
            verifier: Arc::new(Verifier::new(reader, Arc::clone(&clock))),
            clock_verdict: ClockVerdict::alone(),
            directory: Arc::clone(directory),
            unknown_reasons: UnknownReasons::default(),
            quotas: Arc::default(),
            lookup: Arc::new(Lookup::new(Arc::clone(tenant_keys), Arc::clone(arena), 1)),
            entropy: Arc::new(SystemEntropy),
            clock,
        },
        metrics: Arc::new(Metrics::new(Timestamp(0), "test")),
        alarms: Alarms::default(),
        leftovers: Leftovers::default(),
        admission: Admission::new(NonZeroUsize::MIN),
        settings: DataSettings::default(),
    }
}

impl World {
    pub(super) fn router(&self) -> Router {
        router(self.admin.clone())
    }

    /// What a GET gives the operator.
    pub(super) async fn got(&self, path: &str) -> (StatusCode, serde_json::Value) {
        self.got_by(&self.operator, path).await
    }

    /// What a GET gives somebody.
    pub(super) async fn got_by(&self, who: &Member, path: &str) -> (StatusCode, serde_json::Value) {
        let request =
            Request::get(path).extension(who.certificate.clone()).body(Body::empty()).expect("a legal request");
        self.answer_to(request).await
    }

    /// What any request gives.
    pub(super) async fn answer_to(&self, request: Request<Body>) -> (StatusCode, serde_json::Value) {
        let (status, _, body) = self.response_to(request).await;
        (status, body)
    }

    /// The same with the headers.
    pub(super) async fn response_to(&self, request: Request<Body>) -> (StatusCode, HeaderMap, serde_json::Value) {
        let response = soon("an answer", self.router().oneshot(request)).await.expect("the router always answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("our own body arrives").to_bytes();
        let said = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{} is no JSON: {said}", head.status));
        (head.status, head.headers, body)
    }

    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(SystemClock);
        let operator = Member::new("operator-1");
        let officers = ["officer-1", "officer-2"].map(Member::new);
        let settings = HostSettings {
            replica: ReplicaId(1),
            folder: folder.path().to_owned(),
            timers: Timers::default(),
            blocking: Blocking::Threads,
            limits: SnapshotLimits::default(),
            disk_reserve_bytes: RESERVE_BYTES,
            peers: Arc::new(NoPeers),
            address: None,
        };
        let space = Arc::new(Space(AtomicU64::new(2 * RESERVE_BYTES)));
        let under = Arc::clone(&space);
        let host = Host::open_within(settings, move |_| Arc::clone(&under) as Arc<dyn FreeSpace>).await;
        let host = Arc::new(host.expect("an empty folder"));
        host.initialise_single(PATIENCE).await.expect("one replica elects itself");
        let arena = Arena::new(NonZeroU32::new(16).expect("not zero"), LockPolicy::Warn).expect("a small arena");
        let needed = Needed::by(&host).await.expect("new groups belong together");
        let root = Root::open(&folder.path().join("root.key"), needed, &arena, &SystemEntropy);
        let directory = Arc::new(Directory::new([ShardId::FIRST]));
        let tenant_keys = Arc::new(TenantKeys::default());
        let service = service(&directory, &tenant_keys, &arena);
        let parts = Parts {
            host: Arc::clone(&host),
            signer: Arc::new(replica_key()),
            root: root.expect("a new shard gets a root key"),
            arena,
            entropy: Arc::new(SystemEntropy),
            clock,
            directory: Arc::clone(&directory),
            tenant_keys,
            fed_to: crate::keystore::FedTo::Own("m1".parse().expect("a legal name")),
            deny_entries: crate::keystore::open_deny_entries(&host, folder.path(), Arc::new(SystemClock))
                .expect("the folder can be read"),
        };
        let trust = Trust { issuers: Vec::new(), audiences: Vec::new() };
        let officer = |member: &Member| member.founding(PersonRole::SecurityOfficer);
        let people =
            std::iter::once(operator.founding(PersonRole::Operator)).chain(officers.iter().map(officer)).collect();
        let founding = Founding { dev: true, people, trust };
        let store = Arc::new(KeyStore::start(parts, &founding).await.expect("a key store is founded"));
        tokio::spawn(Arc::clone(&store).feed_all());
        let mut world = Self {
            admin: Admin {
                store: Arc::clone(&store),
                readiness: Arc::default(),
                leftovers: service.leftovers.clone(),
                clock: Arc::new(SystemClock),
                plane: Plane::Here(Arc::new(service)),
                certificates: Arc::new([]),
                body_time_max: PATIENCE,
            },
            store,
            operator,
            officers,
            tenant: "one".parse().expect("a tenant"),
            version: KeyVersionId::from_bytes([0; 16]),
            space,
            host,
            _folder: folder,
        };
        world.version = world.key_made().await;
        world
    }

    /// The version of the tenant's one key, once both are made.
    async fn key_made(&self) -> KeyVersionId {
        let (tenant, name) = (self.tenant.clone(), "k".parse().expect("a key name"));
        self.ask(AdminOperation::CreateTenant { tenant: tenant.clone(), staleness: Staleness::default(), shard: None })
            .await;
        let purpose = Purpose::EncryptDecrypt;
        let made = self.ask(AdminOperation::CreateKey { tenant, name, crypto_space: None, purpose }).await;
        let path = made.path.expect("a key has a path");
        replication::ids::parse_key_path(&path).expect("a path of ours")
    }

    pub(super) fn request(&self, id: IdempotencyId, operation: AdminOperation) -> Request<Body> {
        self.request_of(&self.operator, id, operation)
    }

    pub(super) fn request_of(&self, who: &Member, id: IdempotencyId, operation: AdminOperation) -> Request<Body> {
        let signed = who.client.request(self.store.lineage(), id, operation);
        Request::post(REQUESTS_PATH)
            .header(SIGNER_HEADER, signed.signer.as_str())
            .header(SIGNATURE_HEADER, STANDARD.encode(&signed.signature))
            .extension(who.certificate.clone())
            .body(signed.bytes.into())
            .expect("a legal request")
    }

    /// What somebody is told of a request of theirs.
    pub(super) async fn told(&self, who: &Member, operation: AdminOperation) -> (StatusCode, serde_json::Value) {
        let id = new_idempotency_id().expect("randomness");
        self.answer_to(self.request_of(who, id, operation)).await
    }

    /// Somebody whom an officer has enrolled.
    pub(super) async fn enrolled(&self, name: &str, roles: &[PersonRole], tenants: Option<&[&str]>) -> Member {
        let member = Member::new(name);
        let (signer, public_key) = member.client.enrolment();
        let tenants = tenants.map(|names| names.iter().map(|name| name.parse().expect("a tenant")).collect());
        let roles = roles.iter().copied().collect();
        let enrol = AdminOperation::Enrol { signer, public_key, roles, tenants };
        let (status, body) = self.told(&self.officers[0], enrol).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        member
    }

    pub(super) async fn answered(&self, id: IdempotencyId, operation: AdminOperation) -> Answer {
        let (status, body) = self.said(id, operation).await;
        serde_json::from_value(body.clone()).unwrap_or_else(|_| panic!("{status}: {body}"))
    }

    pub(super) async fn ask(&self, operation: AdminOperation) -> Answer {
        self.answered(new_idempotency_id().expect("randomness"), operation).await
    }

    pub(super) fn revision(&self) -> Revision {
        self.store.shard_state().row::<Tenant>(&self.tenant).expect("the tenant is there").revision
    }

    pub(super) fn disable(&self, parent: Revision) -> AdminOperation {
        AdminOperation::DisableVersion { tenant: self.tenant.clone(), version: self.version, parent }
    }

    /// Waits until the frontend's view holds all that was ordered, and is fresh.
    pub(super) async fn in_use(&self) {
        let id = ShardId::FIRST.group();
        let index = self.host.group(id).expect("the first shard").watch().borrow().index;
        soon("the frontend's view", self.store.directory().holds(id, index)).await;
        let fresh = async {
            let is_fresh = || self.store.directory().age(id, self.store.now()).is_some_and(|age| age.fresh().is_some());
            while !is_fresh() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        soon("a fresh view", fresh).await;
    }

    /// Ends the groups, and leaves the router.
    pub(super) async fn stop(&self) {
        self.host.shutdown().await;
    }

    /// The status and the body of an answer.
    pub(super) async fn said(&self, id: IdempotencyId, operation: AdminOperation) -> (StatusCode, serde_json::Value) {
        self.answer_to(self.request(id, operation)).await
    }

    /// Sets how much is free, and waits until the groups know.
    pub(super) async fn has_free(&self, bytes: u64) {
        self.space.0.store(bytes, Ordering::SeqCst);
        let known = async {
            while self.store.groups().iter().any(|(_, group)| group.room().free_bytes() != Some(bytes)) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        soon("the measurement", known).await;
    }

    pub(super) async fn disabled(&self) {
        let mut applied = self.host.shard(ShardId::FIRST).expect("the first shard").watch();
        let id = self.version;
        let is_disabled = applied.wait_for(|applied| {
            applied.state.key_versions().get(&id).is_some_and(|row| row.state == VersionState::Disabled)
        });
        drop(soon("the version being disabled", is_disabled).await.expect("the group lives"));
    }
}
