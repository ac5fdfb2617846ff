//! Those who work with a server until it is gone, and what they have to tell: changes, wraps, and what got no answer.

use std::sync::Arc;

use parking_lot::Mutex;
use replication::ids::{IdempotencyId, KeyName, KeyVersionId, TenantId, parse_key_path};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::{Operation, Principal, Rule};
use replication::machine::request::{AdminOperation, Level};
use replication::machine::rows::Purpose;
use server::admin::client::{AdminClient, ClientError, new_idempotency_id};
use server::admin::wire::{FailureCode, OwnedVersionBody, VERSIONS_PATH};
use tokio::sync::mpsc::Sender;

use super::google::Google;
use super::harness::soon;
use super::ledger::{STEADY, TOGGLED, WrappedBlob};
use super::rng::Rng;

/// A change that an operator asked for, and under which id.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) id: IdempotencyId,
    pub(crate) operation: AdminOperation,
}

/// What a task has to tell.
pub(crate) enum Event {
    /// About to be asked for.
    Asked(Change),
    /// Acknowledged, with the path of what was made.
    Changed(Change, Option<String>),
    Wrapped(WrappedBlob),
    /// A request of this id was answered with 200.
    Answered(String),
}

pub(crate) fn new_id() -> IdempotencyId {
    new_idempotency_id().expect("the system has randomness")
}

/// Has a change carried out. `None` if no answer came, or one that leaves the outcome open; a refusal is a failure of the test.
pub(crate) async fn execute(admin: &AdminClient, change: &Change) -> Option<server::admin::wire::Answer> {
    let carried_out = async {
        let lineage = admin.status().await?.lineage;
        admin.execute(lineage, change.id, change.operation.clone()).await
    };
    match soon("a change", carried_out).await {
        Ok(answer) => Some(answer),
        Err(error) if is_gone(&error) => None,
        Err(error) => panic!("{change:?} was refused: {error}"),
    }
}

/// Whether the server went away, or is about to and says so.
fn is_gone(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(failure) => matches!(failure.code, FailureCode::Unavailable | FailureCode::Unknown),
        _ => false,
    }
}

/// One who works with a server until it answers no more.
pub(crate) struct Worker {
    pub(crate) admin: Arc<AdminClient>,
    pub(crate) google: Google,
    pub(crate) tell: Sender<Event>,
}

impl Worker {
    async fn say(&self, event: Event) {
        self.tell.send(event).await.expect("the listener listens until the last task has ended");
    }

    /// Has a change carried out; `None` if the server is gone.
    async fn change(&self, operation: AdminOperation) -> Option<Option<String>> {
        let change = Change { id: new_id(), operation };
        // told first: whoever stops the server must know all that it may be at
        self.say(Event::Asked(change.clone())).await;
        let answer = execute(&self.admin, &change).await?;
        assert!(!answer.repeated, "{change:?} was new");
        self.say(Event::Changed(change, answer.path.clone())).await;
        Some(answer.path)
    }

    /// Makes a key that the demo caller may use, and gives its path.
    async fn key(&self, tenant: &str, name: &str) -> Option<String> {
        let tenant = tenant.parse().expect("a legal tenant name");
        let name: KeyName = name.parse().expect("a legal key name");
        let create = AdminOperation::CreateKey {
            tenant,
            name: name.clone(),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
        };
        let tenant = create.tenant().expect("a key has an owner").clone();
        let path = self.change(create).await?.expect("a key that was made has a path");
        let rule = Rule {
            name: "caller".parse().expect("a legal rule name"),
            callers: [Principal::ServiceAccount(
                server::dev::CALLER.parse().expect("the demo caller is an e-mail address"),
            )]
            .into(),
            resources: Vec::new(),
            operations: Operation::ALL.into(),
            justifications: None,
        };
        self.change(AdminOperation::Grant { tenant, level: Level::Key(name), rule }).await?;
        Some(path)
    }

    /// Makes keys, one after the other.
    pub(crate) async fn create(self, prefix: String, usable: Arc<Mutex<Vec<String>>>) {
        for serial in 0.. {
            let Some(path) = self.key(STEADY, &format!("{prefix}-{serial}")).await else { return };
            usable.lock().push(path);
        }
    }

    /// Takes a key of its own out of use and puts it back, and sees each time that the next wrap obeys.
    pub(crate) async fn toggle(self, name: String) {
        let Some((tenant, version, path)) = self.disabled_key(&name).await else { return };
        loop {
            let enable = AdminOperation::EnableVersion { tenant: tenant.clone(), version };
            if self.change(enable).await.is_none() || self.disable(&tenant, version, &path).await.is_none() {
                return;
            }
        }
    }

    /// Makes a key, wraps with it, and takes it out of use; `None` if the server is gone.
    pub(crate) async fn disabled_key(&self, name: &str) -> Option<(TenantId, KeyVersionId, String)> {
        let path = self.key(TOGGLED, name).await?;
        let version = parse_key_path(&path).expect("a key has a key path");
        let tenant: TenantId = TOGGLED.parse().expect("a legal tenant name");
        self.disable(&tenant, version, &path).await?;
        Some((tenant, version, path))
    }

    async fn disable(&self, tenant: &TenantId, version: KeyVersionId, path: &str) -> Option<()> {
        self.wrap_once(path, VersionState::Enabled).await?;
        let parent = self.revision(version).await?;
        self.change(AdminOperation::DisableVersion { tenant: tenant.clone(), version, parent }).await?;
        self.wrap_once(path, VersionState::Disabled).await
    }

    async fn revision(&self, version: KeyVersionId) -> Option<replication::ids::Revision> {
        let found = soon("a version", self.admin.get::<OwnedVersionBody>(&format!("{VERSIONS_PATH}/{version}"))).await;
        match found {
            Ok(found) => Some(found.revision),
            Err(error) if is_gone(&error) => None,
            Err(error) => panic!("{version} is not found: {error}"),
        }
    }

    /// One wrap under a key that must be in this state; `None` if the server is gone.
    async fn wrap_once(&self, path: &str, state: VersionState) -> Option<()> {
        let plaintext = "aW4gdHJhbnNpdA==";
        let answer = self.google.wrap(path, plaintext).await.ok()?;
        match (answer.status, state) {
            (200, VersionState::Enabled) => self.say(Event::Wrapped(WrappedBlob::of(path, plaintext, &answer))).await,
            (400, VersionState::Disabled) => assert_eq!(answer.body["code"], 9, "{answer:?}"),
            // a busy machine may say that it is busy
            (503 | 504, _) => {}
            _ => panic!("{path} is {state}, and a wrap was answered {answer:?}"),
        }
        Some(())
    }

    /// Wraps with any key that may be used, and unwraps.
    pub(crate) async fn wrap(self, usable: Arc<Mutex<Vec<String>>>, mut rng: Rng) {
        loop {
            let chosen = {
                let usable = usable.lock();
                (!usable.is_empty()).then(|| usable[rng.below(usable.len())].clone())
            };
            let Some(path) = chosen else {
                // the first key is being made; the toggling task's wraps go on meanwhile
                tokio::task::yield_now().await;
                if self.admin.status().await.is_err() {
                    return;
                }
                continue;
            };
            let plaintext = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rng.bytes::<24>());
            let Ok(answer) = self.google.wrap(&path, &plaintext).await else { return };
            if matches!(answer.status, 503 | 504) {
                continue;
            }
            let wrapped = WrappedBlob::of(&path, &plaintext, &answer);
            let blob = wrapped.blob.clone();
            self.say(Event::Wrapped(wrapped)).await;
            let Ok(answer) = self.google.unwrap(&path, &blob).await else { return };
            if answer.status == 200 {
                assert_eq!(answer.text("plaintext"), plaintext, "{path}");
                self.say(Event::Answered(answer.request)).await;
            } else {
                assert!(matches!(answer.status, 503 | 504), "{path} {answer:?}");
            }
        }
    }
}
