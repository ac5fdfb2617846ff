//! Signed requests to a key store on disk, through the real router; only the handshake is left out.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use replication::directory::Directory;
use replication::ids::{IdempotencyId, ReplicaId, Revision, ShardId};
use replication::machine::lifecycle::VersionState;
use replication::machine::request::AdminOperation;
use replication::machine::rows::{Change, Plan, Purpose, Staleness, Tenant, Trust};
use replication::machine::signing::{self, SigningKey};
use replication::raft::group::{SnapshotLimits, Timers};
use replication::raft::host::{Host, HostSettings};
use replication::store::blocking::Blocking;
use replication::store::room::{self, FreeSpace};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tower::ServiceExt as _;

use super::*;
use crate::admin::client::{Operator as Client, new_idempotency_id};
use crate::admin::wire::Answer;
use crate::clock::SystemClock;
use crate::crypto::{Arena, LockPolicy, SystemEntropy};
use crate::edge::testing::{PATIENCE, soon};
use crate::keystore::{Founding, Needed, Parts, Root};
use crate::lookup::TenantKeys;

/// A key store with one operator, one tenant and one key.
struct World {
    store: Arc<KeyStore>,
    router: Router,
    client: Client,
    certificate: PeerCertificate,
    tenant: TenantId,
    version: KeyVersionId,
    space: Arc<Space>,
    _host: Host,
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

const RESERVE_BYTES: u64 = 1 << 30;

/// An operator's self-signed certificate and its key, as files.
fn operator_files(folder: &std::path::Path) -> (PathBuf, PathBuf) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "operator-1");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let files = (folder.join("operator.pem"), folder.join("operator-key.pem"));
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(&files.0, certificate.pem()).expect("the folder takes a file");
    std::fs::write(&files.1, key.serialize_pem()).expect("the folder takes a file");
    files
}

fn replica_key() -> SigningKey {
    let der = signing::generate_pkcs8().expect("randomness");
    SigningKey::from_pkcs8("replica-1".parse().expect("a signer"), &der).expect("a key of our own")
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(SystemClock);
        let (certificate, key) = operator_files(folder.path());
        let client = Client::load(&certificate, &key).expect("an operator's files");
        let settings = HostSettings {
            replica: ReplicaId(1),
            folder: folder.path().to_owned(),
            timers: Timers::default(),
            blocking: Blocking::Threads,
            limits: SnapshotLimits::default(),
            disk_reserve_bytes: RESERVE_BYTES,
        };
        let space = Arc::new(Space(AtomicU64::new(2 * RESERVE_BYTES)));
        let host =
            Host::open_within(settings, Arc::clone(&space) as Arc<dyn FreeSpace>).await.expect("an empty folder");
        host.initialise_single(PATIENCE).await.expect("one replica elects itself");
        let arena = Arena::new(NonZeroU32::new(16).expect("not zero"), LockPolicy::Warn).expect("a small arena");
        let shard = host.shard(ShardId::FIRST).expect("the first shard");
        let needed = Needed::by(host.system(), shard).await.expect("new groups belong together");
        let root = Root::open(&folder.path().join("root.key"), needed, &arena, &SystemEntropy);
        let parts = Parts {
            system: Arc::clone(host.system()),
            shard: Arc::clone(shard),
            signer: replica_key(),
            root: root.expect("a new shard gets a root key"),
            arena,
            entropy: Arc::new(SystemEntropy),
            clock,
            directory: Arc::new(Directory::new([ShardId::FIRST])),
            tenant_keys: Arc::new(TenantKeys::default()),
            frontend: "m1".to_owned(),
        };
        let trust = Trust { issuers: Vec::new(), audiences: Vec::new() };
        let (signer, public_key) = client.enrolment();
        let person = crate::keystore::Person {
            signer,
            public_key,
            roles: [replication::machine::roles::PersonRole::Operator].into(),
        };
        let founding = Founding { dev: true, people: vec![person], trust };
        let store = Arc::new(KeyStore::start(parts, &founding).await.expect("a key store is founded"));
        for (id, group) in store.groups() {
            let (store, group) = (Arc::clone(&store), Arc::clone(group));
            tokio::spawn(async move { store.feed(id, &group).await });
        }
        let presented = CertificateDer::from_pem_file(&certificate).expect("a certificate");
        let mut world = Self {
            router: router(Arc::clone(&store), Arc::default()),
            store,
            client,
            certificate: PeerCertificate::danger_unverified(presented),
            tenant: "one".parse().expect("a tenant"),
            version: KeyVersionId::from_bytes([0; 16]),
            space,
            _host: host,
            _folder: folder,
        };
        let (tenant, name) = (world.tenant.clone(), "k".parse().expect("a key name"));
        world.ask(AdminOperation::CreateTenant { tenant: tenant.clone(), staleness: Staleness::default() }).await;
        let purpose = Purpose::EncryptDecrypt;
        let made = world.ask(AdminOperation::CreateKey { tenant, name, crypto_space: None, purpose }).await;
        let path = made.path.expect("a key has a path");
        world.version = replication::ids::parse_key_path(&path).expect("a path of ours");
        world
    }

    fn request(&self, id: IdempotencyId, operation: AdminOperation) -> Request<axum::body::Body> {
        let signed = self.client.request(self.store.lineage(), id, operation);
        Request::post(REQUESTS_PATH)
            .header(SIGNER_HEADER, signed.signer.as_str())
            .header(SIGNATURE_HEADER, STANDARD.encode(&signed.signature))
            .extension(self.certificate.clone())
            .body(signed.bytes.into())
            .expect("a legal request")
    }

    async fn answered(&self, id: IdempotencyId, operation: AdminOperation) -> Answer {
        let asked = self.router.clone().oneshot(self.request(id, operation));
        let response = soon("an answer", asked).await.expect("the router always answers");
        let body = response.into_body().collect().await.expect("our own body arrives").to_bytes();
        serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body)))
    }

    async fn ask(&self, operation: AdminOperation) -> Answer {
        self.answered(new_idempotency_id().expect("randomness"), operation).await
    }

    fn revision(&self) -> Revision {
        self.store.shard_state().row::<Tenant>(&self.tenant).expect("the tenant is there").revision
    }

    fn disable(&self, parent: Revision) -> AdminOperation {
        AdminOperation::DisableVersion { tenant: self.tenant.clone(), version: self.version, parent }
    }

    /// The status and the body of an answer.
    async fn said(&self, id: IdempotencyId, operation: AdminOperation) -> (StatusCode, serde_json::Value) {
        let asked = self.router.clone().oneshot(self.request(id, operation));
        let response = soon("an answer", asked).await.expect("the router always answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("our own body arrives").to_bytes();
        (status, serde_json::from_slice(&body).expect("every answer is JSON"))
    }

    /// Sets how much is free, and waits until the groups know.
    async fn has_free(&self, bytes: u64) {
        self.space.0.store(bytes, Ordering::SeqCst);
        let known = async {
            while self.store.groups().iter().any(|(_, group)| group.room().free_bytes() != Some(bytes)) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        soon("the measurement", known).await;
    }

    async fn disabled(&self) {
        let [_, (_, shard)] = self.store.groups();
        let mut applied = shard.watch();
        let id = self.version;
        let is_disabled = applied.wait_for(|applied| {
            applied.state.key_versions().get(&id).is_some_and(|row| row.state == VersionState::Disabled)
        });
        drop(soon("the version being disabled", is_disabled).await.expect("the group lives"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_to_its_end_when_its_client_leaves() {
    let world = World::new().await;
    let request = world.request(new_idempotency_id().expect("randomness"), world.disable(world.revision()));
    let mut asked = Box::pin(world.router.clone().oneshot(request));
    assert!(asked.as_mut().now_or_never().is_none(), "ordering takes a while");
    drop(asked);
    world.disabled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_of_room_every_change_is_answered_507_and_leaves_nothing_behind() {
    let world = World::new().await;
    let id = || new_idempotency_id().expect("randomness");
    let indexes = || world.store.groups().map(|(_, group)| group.watch().borrow().index);
    let (tenant, parent) = (world.tenant.clone(), world.revision());
    let changes = [
        AdminOperation::CreateTenant { tenant: "two".parse().expect("a tenant"), staleness: Staleness::default() },
        AdminOperation::CreateCryptoSpace { tenant: tenant.clone(), name: "s".parse().expect("a name") },
        AdminOperation::CreateKey {
            tenant,
            name: "l".parse().expect("a name"),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
        },
        world.disable(parent),
    ];
    let changes = changes.map(|change| (id(), change));
    world.has_free(RESERVE_BYTES - 1).await;
    let before = indexes();
    for (id, change) in &changes {
        let (status, body) = world.said(*id, change.clone()).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (507, &"no_room".into()), "{body}");
        let message = body["error"]["message"].as_str().expect("a text");
        assert!(message.contains("1023 MiB are free") && message.contains("Make room"), "{message}");
    }
    assert_eq!(indexes(), before, "something is in a log");
    world.has_free(2 * RESERVE_BYTES).await;
    // the revision has not moved, so the plan is the one that was refused
    let mut repeated = changes.into_iter().rev();
    let (id, disable) = repeated.next().expect("there are four");
    assert_eq!(world.answered(id, disable).await.state, Some(VersionState::Disabled));
    for (id, change) in repeated {
        assert!(!world.answered(id, change).await.repeated, "the refused one was carried out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_that_an_operator_chose_stands_in_the_way_of_a_plan() {
    let world = World::new().await;
    let parent = world.revision().next();
    let change = Change::DisableVersion { version: world.version };
    let digest = signing::plan_digest(&Plan { tenant: world.tenant.clone(), parent, change });
    let taken = IdempotencyId::from_bytes(*digest.first_chunk().expect("a digest is longer than an id"));
    let name = "s".parse().expect("a crypto space name");
    world.answered(taken, AdminOperation::CreateCryptoSpace { tenant: world.tenant.clone(), name }).await;
    let answer = world.ask(world.disable(parent)).await;
    assert_eq!(answer.state, Some(VersionState::Disabled));
    assert!(world.store.shard_state().plans().is_empty(), "nothing is left to settle at the next start");
}
