//! What a server acknowledged over many starts, and how to find out whether it is still so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use futures::StreamExt as _;
use replication::ids::{KeyVersionId, parse_key_path};
use replication::machine::lifecycle::VersionState;
use replication::machine::request::{AdminOperation, Level};
use server::admin::client::AdminClient;
use server::admin::wire::{KeyBody, TENANTS_PATH};

use super::google::{Answer, Google};
use super::harness::soon;

use super::rng::Rng;
use super::worker::{Change, Event};

/// The tenant whose keys stay enabled.
pub(crate) const STEADY: &str = "steady";
/// The tenant whose keys are disabled and enabled.
pub(crate) const TOGGLED: &str = "toggled";
/// Blobs that one round looks at; the last start looks at all.
const SAMPLE_MAX: usize = 150;
/// Calls at once while looking.
const CALLS_AT_ONCE: usize = 8;
/// A busy machine may answer "try again" so often.
const TRIES_MAX: usize = 100;

/// A wrap that was acknowledged.
#[derive(Clone)]
pub(crate) struct WrappedBlob {
    path: String,
    plaintext: String,
    pub(crate) blob: String,
    request: String,
}

impl WrappedBlob {
    pub(crate) fn of(path: &str, plaintext: &str, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        Self {
            path: path.to_owned(),
            plaintext: plaintext.to_owned(),
            blob: answer.text("wrappedBlob").to_owned(),
            request: answer.request.clone(),
        }
    }
}

/// A key that was acknowledged.
#[derive(Clone)]
pub(crate) struct KnownKey {
    tenant: String,
    path: String,
    state: VersionState,
    is_granted: bool,
}

/// All of it.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) has_tenants: bool,
    pub(crate) keys: BTreeMap<String, KnownKey>,
    pub(crate) blobs: Vec<WrappedBlob>,
    /// Changes that were asked for and have no answer yet.
    pub(crate) in_flight: Vec<Change>,
    /// How many of those were repeated later.
    pub(crate) settled: usize,
    answered: BTreeSet<String>,
    audited: BTreeSet<String>,
    /// How far the audit file was read, and whether a kill tore its last line there.
    read_bytes: usize,
    is_torn: bool,
}

impl Ledger {
    pub(crate) fn summary(&self) -> String {
        format!("{} keys, {} blobs, {} answers", self.keys.len(), self.blobs.len(), self.answered.len())
    }

    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Asked(change) => self.in_flight.push(change),
            Event::Changed(change, path) => {
                self.in_flight.retain(|asked| asked.id != change.id);
                self.changed(change, path);
            }
            Event::Answered(request) => drop(self.answered.insert(request)),
            Event::Wrapped(wrapped) => {
                self.answered.insert(wrapped.request.clone());
                self.blobs.push(wrapped);
            }
        }
    }

    fn changed(&mut self, change: Change, path: Option<String>) {
        match change.operation {
            AdminOperation::CreateKey { tenant, name, .. } => {
                let path = path.expect("a key that was made has a path");
                let key =
                    KnownKey { tenant: tenant.to_string(), path, state: VersionState::Enabled, is_granted: false };
                assert!(self.keys.insert(name.to_string(), key).is_none(), "{name} was made twice");
            }
            AdminOperation::Grant { level: Level::Key(name), .. } => {
                self.keys.get_mut(name.as_str()).expect("a granted key was made before").is_granted = true;
            }
            AdminOperation::EnableVersion { version, .. } => self.key_of(version).state = VersionState::Enabled,
            AdminOperation::DisableVersion { version, .. } => self.key_of(version).state = VersionState::Disabled,
            other => panic!("{other:?} is not asked for here"),
        }
    }

    fn key_of(&mut self, version: KeyVersionId) -> &mut KnownKey {
        let found = self.keys.values_mut().find(|key| parse_key_path(&key.path) == Some(version));
        found.expect("a version that changed was made before")
    }

    /// The paths of a tenant's keys that the caller may use.
    pub(crate) fn usable(&self, tenant: &str) -> Vec<String> {
        let granted = self.keys.values().filter(|key| key.tenant == tenant && key.is_granted);
        granted.map(|key| key.path.clone()).collect()
    }

    pub(crate) fn disabled(&self) -> Vec<KeyVersionId> {
        let disabled = self.keys.values().filter(|key| key.state == VersionState::Disabled);
        disabled.map(|key| parse_key_path(&key.path).expect("a key has a key path")).collect()
    }

    pub(crate) fn enable_all(&mut self) {
        self.keys.values_mut().for_each(|key| key.state = VersionState::Enabled);
    }

    /// Whether a change to this version, or of this key's name, got no answer: then either state is right.
    fn is_open(&self, name: &str, path: &str) -> bool {
        self.in_flight.iter().any(|change| match &change.operation {
            AdminOperation::CreateKey { name: asked, .. } => asked.as_str() == name,
            AdminOperation::EnableVersion { version, .. } | AdminOperation::DisableVersion { version, .. } => {
                parse_key_path(path) == Some(*version)
            }
            _ => false,
        })
    }

    /// Every acknowledged key is listed once, where and as it was; nothing else is, but for what was in flight.
    pub(crate) async fn check(&self, admin: &AdminClient) {
        if !self.has_tenants {
            return;
        }
        let mut listed = BTreeMap::new();
        for tenant in [STEADY, TOGGLED] {
            let keys = soon("a list", admin.list::<KeyBody>(&format!("{TENANTS_PATH}/{tenant}/keys"))).await;
            for key in keys.expect("a list of keys") {
                let [version] = key.versions.as_slice() else { panic!("{key:?} has one version") };
                let known = self.keys.get(&key.name);
                assert!(known.is_some() || self.is_open(&key.name, &version.path), "{key:?} was not asked for");
                let seen = (tenant.to_owned(), version.path.clone(), version.state);
                assert!(listed.insert(key.name.clone(), seen).is_none(), "{} is listed twice", key.name);
            }
        }
        for (name, key) in &self.keys {
            let (tenant, path, state) =
                listed.get(name).unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
            assert_eq!((tenant, path), (&key.tenant, &key.path), "{name}");
            assert!(*state == key.state || self.is_open(name, path), "{name} is {state}, acknowledged {}", key.state);
        }
    }

    /// The blobs that a round looks at: of the last wraps and before.
    pub(crate) fn sample(&self, rng: &mut Rng) -> Range<usize> {
        let all = self.blobs.len();
        if all <= SAMPLE_MAX {
            return 0..all;
        }
        let start = if rng.below(2) == 0 { all - SAMPLE_MAX } else { rng.below(all - SAMPLE_MAX) };
        start..start + SAMPLE_MAX
    }

    /// Each of these blobs unwraps to its plaintext, or is refused because its key is disabled.
    pub(crate) async fn unwrap_all(&mut self, google: &Google, which: Range<usize>) {
        let blobs = &self.blobs[which];
        let states: BTreeMap<&str, VersionState> =
            self.keys.values().map(|key| (key.path.as_str(), key.state)).collect();
        let calls = blobs.iter().map(|blob| async {
            let answer = unwrap(google, blob).await;
            let state = states.get(blob.path.as_str()).expect("a key that wrapped was made before");
            if *state != VersionState::Enabled {
                assert_eq!((answer.status, &answer.body["code"]), (400, &9.into()), "{answer:?}");
                return None;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.text("plaintext"), blob.plaintext, "{}", blob.path);
            Some(answer.request)
        });
        let requests: Vec<Option<String>> =
            futures::stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect().await;
        self.answered.extend(requests.into_iter().flatten());
    }

    /// Reads the audit file on from where it was read before. Every line is JSON, but for one that a kill tore.
    pub(crate) fn read_audit(&mut self, folder: &Path) {
        // a first start that was killed early has made none
        let all = std::fs::read(folder.join("audit/audit.jsonl")).unwrap_or_default();
        let mut rest = &all[self.read_bytes..];
        if self.is_torn {
            let end = rest.iter().position(|byte| *byte == b'\n').expect("the next start ends a torn line");
            rest = &rest[end + 1..];
        }
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
            let record: serde_json::Value = serde_json::from_slice(line)
                .unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(line)));
            let request = record["request"].as_str().expect("a record names its request");
            if record["decision"] == "allowed" {
                self.audited.insert(request.to_owned());
            }
        }
        self.is_torn = whole < rest.len();
        self.read_bytes = all.len() - (rest.len() - whole);
    }

    /// Every request that was answered with 200 has its line.
    pub(crate) fn check_audit(&self) {
        let missing: Vec<_> = self.answered.difference(&self.audited).collect();
        assert!(missing.is_empty(), "{} of {} answers are in no audit line", missing.len(), self.answered.len());
    }
}

async fn unwrap(google: &Google, blob: &WrappedBlob) -> Answer {
    for _ in 0..TRIES_MAX {
        let answer = google.unwrap(&blob.path, &blob.blob).await.expect("a running server answers");
        if !matches!(answer.status, 503 | 504) {
            return answer;
        }
    }
    panic!("{} was told to try again too often", blob.path);
}
