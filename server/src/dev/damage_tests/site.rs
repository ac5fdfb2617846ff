//! A data directory as a used one looks, kept in memory: made by real starts, with snapshots, a purged log, keys in several
//! states, and blobs that were wrapped before. What it answers undamaged is the control that damage is held against.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use replication::directory::Directory;
use replication::ids::{GroupId, ReplicaId, ShardId};
use replication::machine::digest::Digest;
use replication::machine::policy::{Operation, Principal, Rule};
use replication::machine::request::{AdminOperation, Level};
use replication::machine::rows::{Purpose, Staleness, Tenant, Trust};
use replication::machine::signing::SigningKey;
use replication::raft::group::{SnapshotLimits, Timers};
use replication::raft::host::{GROUPS, Host, HostSettings, group_folder};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use super::start::{Bench, Started};
use crate::admin::client::{Operator, new_idempotency_id};
use crate::crypto::{Arena, LockPolicy, SystemEntropy};
use crate::dev::CALLER;
use crate::dev::token::demo_caller;
use crate::keystore::{Answer, Founding, KeyStore, Needed, Parts, Root};

/// A memory file system, where the machine has one: a damaged copy is looked at once.
const MEMORY: &str = "/dev/shm";
/// Entries after which a group writes a snapshot while the site is made.
const SNAPSHOT_ENTRIES: u64 = 4;
/// Then the log was purged several times.
const SNAPSHOTS_FORGOTTEN: u64 = 3;
/// Keys of the tenant; the last one's version is disabled.
const KEYS: [&str; 4] = ["key-1", "key-2", "key-3", "key-off"];
/// More than any group needs to purge its log.
const TENANTS_MAX: u32 = 500;
/// Ample for an election of one.
const AMPLE: Duration = Duration::from_secs(30);
/// How often a call is repeated that is answered with "try again".
const TRIES_MAX: u32 = 3000;
const TRY_PAUSE: Duration = Duration::from_millis(5);
const PLAINTEXT: &str = "d2hhdCB3YXMgd3JhcHBlZCBiZWZvcmU=";

/// One file of the directory.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

/// A call to Google's dialect, and what it gets.
#[derive(Clone)]
pub(super) struct Call {
    path: String,
    body: String,
    expected: (u16, String),
}

/// The directory and its control.
pub(super) struct Site {
    pub(super) files: Vec<Kept>,
    pub(super) digests: Vec<(GroupId, Digest)>,
    pub(super) calls: Vec<Call>,
    token: String,
}

/// A folder of a test's own, in memory if that can be had.
pub(super) fn scratch() -> TempDir {
    let made = tempfile::Builder::new().prefix("ekm-damage-").tempdir_in(MEMORY);
    made.or_else(|_| tempfile::tempdir()).expect("a temporary folder can be made")
}

impl Site {
    pub(super) async fn make(bench: &Bench) -> Self {
        let folder = scratch();
        let path = folder.path().join("data");
        bench.start(&path).await.expect("a new folder is founded").stop().await;
        let versions = use_it(&path).await;
        let started = bench.start(&path).await.expect("a used folder starts");
        let token = read(&path, "token");
        let mut calls = Vec::new();
        for (version, state) in versions {
            calls.push(wrapped(&started, &token, &version, state).await);
        }
        let digests = started.digests();
        started.stop().await;
        let site = Self { files: files_of(&path), digests, calls, token };
        site.assert_is_used();
        site
    }

    /// What a snapshot, a purge and every kind of file need to be there for.
    fn assert_is_used(&self) {
        let count = |part: &str| self.files.iter().filter(|file| file.name.contains(part)).count();
        for group in GROUPS {
            assert_eq!(count(&format!("groups/{group}/snapshots/")), 2, "group {group} keeps two snapshots");
        }
        assert_eq!(count("/log.redb"), GROUPS.len());
        assert!(count("/state/") >= GROUPS.len() * 2 && count("pki/") >= 12 && count("issuer/") == 2);
        for name in ["EKM-DEV", "ekm-dev.toml", "token", "dev.json", "audit/audit.jsonl", "root.key", "replica-key.der"]
        {
            assert_eq!(self.files.iter().filter(|file| file.name == name).count(), 1, "{name}");
        }
    }

    /// A file by its name.
    pub(super) fn file(&self, name: &str) -> &Kept {
        self.files.iter().find(|file| file.name == name).expect("a file of the site")
    }

    /// Writes the directory; `folder` is not there yet.
    pub(super) fn lay_out(&self, folder: &Path) {
        for file in &self.files {
            put(folder, file);
        }
    }

    /// Whether every observable is as it was: state, and what each call from before gets.
    pub(super) async fn compare(&self, started: &Started) -> Result<(), String> {
        self.compare_by(&self.token, started).await
    }

    /// The same with another token than that from before.
    pub(super) async fn compare_by(&self, token: &str, started: &Started) -> Result<(), String> {
        if started.digests() != self.digests {
            return Err(format!("the state is {:?} and was {:?}", started.digests(), self.digests));
        }
        for call in &self.calls {
            let found = ask(started, token, &call.path, &call.body).await;
            if found != call.expected {
                return Err(format!("{} gets {found:?} and got {:?}", call.path, call.expected));
            }
        }
        Ok(())
    }
}

/// Puts one file into a folder.
pub(super) fn put(folder: &Path, file: &Kept) {
    let path = folder.join(&file.name);
    let parent = path.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(parent).expect("the folder is writable");
    // what is there may be read-only
    drop(std::fs::remove_file(&path));
    std::fs::write(&path, &file.bytes).expect("the folder is writable");
    std::fs::set_permissions(&path, Permissions::from_mode(file.mode)).expect("the file is ours");
}

/// Every file below a folder, by name.
pub(super) fn files_of(folder: &Path) -> Vec<Kept> {
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found.into_values().collect()
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Kept>) {
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            walk(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).expect("the walk began at the root").display().to_string();
        let mode = path.metadata().expect("the file is there").permissions().mode() & 0o7777;
        let bytes = std::fs::read(&path).expect("the file is readable");
        found.insert(path, Kept { name, bytes, mode });
    }
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("the start wrote it")
}

/// What a version of the site is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Enabled,
    Disabled,
}

/// One more tenant: a change that is no damage.
pub(super) async fn change(folder: &Path) {
    let (store, host, operator) = key_store(folder).await;
    let feeds = feeds(&store);
    let tenant = "one-more".parse().expect("a legal name");
    let id = new_idempotency_id().expect("there is randomness");
    let asked = AdminOperation::CreateTenant { tenant, staleness: Staleness::Balanced, shard: None };
    store.execute(operator.request(store.lineage(), id, asked)).await.expect("it is carried out");
    end(feeds, &host).await;
}

/// The task that publishes what the groups hold.
fn feeds(store: &Arc<KeyStore>) -> JoinHandle<()> {
    tokio::spawn(Arc::clone(store).feed_all())
}

async fn end(feeds: JoinHandle<()>, host: &Host) {
    feeds.abort();
    host.shutdown().await;
}

/// Makes tenants, keys and grants until every group has purged its log; gives the versions' paths.
async fn use_it(folder: &Path) -> Vec<(String, Use)> {
    let (store, host, operator) = key_store(folder).await;
    let feeds = feeds(&store);
    let ask = async |operation: AdminOperation| -> Answer {
        let id = new_idempotency_id().expect("there is randomness");
        store.execute(operator.request(store.lineage(), id, operation)).await.expect("it is carried out")
    };
    let tenant = || "acme".parse().expect("a legal name");
    ask(AdminOperation::CreateTenant { tenant: tenant(), staleness: Staleness::Available, shard: None }).await;
    let mut made = Vec::new();
    for name in KEYS {
        let name = name.parse().expect("a legal name");
        let purpose = Purpose::EncryptDecrypt;
        let answer = ask(AdminOperation::CreateKey { tenant: tenant(), name, crypto_space: None, purpose }).await;
        made.push((answer.path.expect("a key has a path"), Use::Enabled));
    }
    for name in ["first", "second"] {
        ask(AdminOperation::Grant { tenant: tenant(), level: Level::Tenant, rule: rule(name) }).await;
    }
    let off = made.last_mut().expect("there are keys");
    let version = replication::ids::parse_key_path(&off.0).expect("a path of ours");
    off.1 = Use::Disabled;
    let parent = store.shard_state().row::<Tenant>(&tenant()).expect("it was made").revision;
    ask(AdminOperation::DisableVersion { tenant: tenant(), version, parent }).await;
    // a snapshot is due every few entries: go on until each group has forgotten its first ones
    for more in 0.. {
        if GROUPS.iter().all(|group| forgot_snapshots(folder, *group)) {
            break;
        }
        assert!(more < TENANTS_MAX, "no snapshot is forgotten");
        let tenant = format!("more-{more}").parse().expect("a legal name");
        ask(AdminOperation::CreateTenant { tenant, staleness: Staleness::Balanced, shard: None }).await;
        // one that is under way takes in what is asked meanwhile
        tokio::time::sleep(TRY_PAUSE).await;
    }
    end(feeds, &host).await;
    made
}

/// Whether the first snapshots are gone: then the log was purged up to the older of those that are left.
fn forgot_snapshots(folder: &Path, group: GroupId) -> bool {
    let snapshots = std::fs::read_dir(group_folder(folder, group).join("snapshots")).expect("the folder is there");
    let names: Vec<_> = snapshots.flatten().map(|entry| entry.file_name()).collect();
    let numbers = names.iter().filter_map(|name| {
        let digits: String = name.to_str()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    names.len() == 2 && numbers.min().is_some_and(|oldest| oldest > SNAPSHOTS_FORGOTTEN)
}

fn rule(name: &str) -> Rule {
    Rule {
        name: name.parse().expect("a legal name"),
        callers: [Principal::ServiceAccount(demo_caller())].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    }
}

/// The key store of a folder over groups that write snapshots often.
async fn key_store(folder: &Path) -> (Arc<KeyStore>, Arc<Host>, Operator) {
    let limits = SnapshotLimits { entries: SNAPSHOT_ENTRIES, bytes: u64::MAX, interval: Duration::from_hours(1) };
    let (replica, timers, blocking) = (ReplicaId(1), Timers::default(), Blocking::Threads);
    let (folder_of_all, disk_reserve_bytes) = (folder.to_owned(), 0);
    let peers = Arc::new(NoPeers);
    let settings = HostSettings {
        replica,
        folder: folder_of_all,
        timers,
        blocking,
        limits,
        disk_reserve_bytes,
        peers,
        address: None,
    };
    let host = Arc::new(Host::open(settings).await.expect("groups that were closed open"));
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    let arena = Arena::new(1024.try_into().expect("not zero"), LockPolicy::Warn).expect("a small arena");
    let operator = Operator::load(&folder.join("pki/operator.pem"), &folder.join("pki/operator-key.pem"));
    let operator = operator.expect("the first start made it");
    let key = std::fs::read(folder.join("replica-key.der")).expect("the first start made it");
    let needed = Needed::by(&host).await.expect("they belong together");
    let parts = Parts {
        host: Arc::clone(&host),
        signer: Arc::new(
            SigningKey::from_pkcs8("replica-1".parse().expect("a legal name"), &key).expect("it is a key"),
        ),
        root: Root::open(&folder.join("root.key"), needed, &arena, &SystemEntropy).expect("the first start made it"),
        arena,
        entropy: Arc::new(SystemEntropy),
        clock: Arc::new(crate::clock::SystemClock),
        directory: Arc::new(Directory::new([ShardId::FIRST])),
        tenant_keys: Arc::default(),
        fed_to: crate::keystore::FedTo::Own("test-1".parse().expect("a legal name")),
        deny_entries: crate::keystore::open_deny_entries(&host, folder, Arc::new(crate::clock::SystemClock))
            .expect("the folder can be read"),
    };
    let founding = Founding { dev: true, people: vec![], trust: Trust { issuers: vec![], audiences: vec![] } };
    (Arc::new(KeyStore::start(parts, &founding).await.expect("it is founded")), host, operator)
}

/// A call that unwraps what was wrapped just now; with a disabled version, one that is refused.
async fn wrapped(started: &Started, token: &str, version: &str, state: Use) -> Call {
    let path = format!("/{version}:wrap");
    let (status, blob) = ask(started, token, &path, &format!(r#"{{"plaintext":"{PLAINTEXT}"}}"#)).await;
    let wanted = if state == Use::Enabled { 200 } else { 400 };
    assert_eq!(status, wanted, "{CALLER} wraps with {version}: {blob}");
    let body = format!(r#"{{"wrappedBlob":"{blob}"}}"#);
    let path = format!("/{version}:unwrap");
    let expected = match state {
        Use::Enabled => (200, PLAINTEXT.to_owned()),
        Use::Disabled => (400, blob),
    };
    let body = if state == Use::Enabled { body } else { r#"{"wrappedBlob":""}"#.to_owned() };
    Call { path, body, expected }
}

/// Status, and the blob, the plaintext or the message. What is answered with "try again" is tried again.
async fn ask(started: &Started, token: &str, path: &str, body: &str) -> (u16, String) {
    for _ in 0..TRIES_MAX {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::from(body.to_owned())).expect("a legal request");
        let response = started.router().oneshot(request).await.expect("the router always answers");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("our own body arrives").to_bytes();
        if status != 503 && status != 504 {
            let json: serde_json::Value = serde_json::from_slice(&bytes).expect("every body is JSON");
            let text = ["wrappedBlob", "plaintext", "message"].iter().find_map(|name| json[name].as_str());
            return (status, text.unwrap_or_default().to_owned());
        }
        tokio::time::sleep(TRY_PAUSE).await;
    }
    (503, "again and again".to_owned())
}
