//! Key material that is brought in: what arrives is what was sent, and what must be refused changes nothing.

use replication::clock::Timestamp;
use replication::ids::{CheckValue, ImportKeyId, ShardId};
use replication::machine::apply::IMPORT_KEYS_MAX;
use replication::machine::outcome::Refusal;
use replication::machine::request::{Base64Bytes, WrappedMaterial};
use replication::machine::rows::{IMPORT_KEY_LIFE, ImportKey, Origin};

use super::*;
use crate::crypto::import::{ClearMaterial, TransportError, WRAPPED_LENGTH, Wrapped, wrap_for_transport};
use crate::keystore::ExecuteError;

/// What is imported; its check value by `openssl enc -aes-256-ecb`.
const MATERIAL: [u8; 32] = *b"brought in from another place...";
const CHECK_VALUE: &str = "f796eb";

/// The system's clock, and so much more.
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Moment {
        SystemClock.now()
    }
    fn wall(&self) -> Timestamp {
        Timestamp(SystemClock.wall().0 + u64::try_from(self.0.as_millis()).expect("some days"))
    }
}

fn tenant(name: &str) -> TenantId {
    name.parse().expect("a legal name")
}

fn create_import_key(name: &str) -> AdminOperation {
    AdminOperation::CreateImportKey { tenant: tenant(name) }
}

fn import_key(name: &str, material: &WrappedMaterial) -> AdminOperation {
    AdminOperation::ImportKey {
        tenant: tenant("acme"),
        name: name.parse().expect("a legal name"),
        crypto_space: None,
        purpose: Purpose::EncryptDecrypt,
        material: material.clone(),
    }
}

fn import_version(key: &str, material: &WrappedMaterial) -> AdminOperation {
    let key = key.parse().expect("a legal name");
    AdminOperation::ImportVersion { tenant: tenant("acme"), key, material: material.clone() }
}

impl Running {
    fn import_key_of(&self, name: &str, id: ImportKeyId) -> Arc<ImportKey> {
        self.store.shard_state().row::<ImportKey>(&(tenant(name), id)).cloned().expect("it was made")
    }

    /// A tenant's import key, and [`MATERIAL`] wrapped to it.
    async fn wrapped(&self, name: &str, id: u8) -> WrappedMaterial {
        let made = self.done(self.asked(id, create_import_key(name))).await;
        let import_key = made.import_key.expect("an import key has an id");
        let public_key = &self.import_key_of(name, import_key).public_key;
        let clear = ClearMaterial::read_raw(&mut &MATERIAL[..]).expect("32 bytes are material");
        let Wrapped { bytes, check_value } = wrap_for_transport(public_key, &clear).expect("it wraps");
        assert_eq!(check_value.to_string(), CHECK_VALUE);
        WrappedMaterial { import_key, wrapped: Base64Bytes(bytes), check_value: Some(check_value) }
    }

    /// Everything but what time alone changes.
    fn state(&self) -> (State, State) {
        let system = self.host.system().watch().borrow().state.clone();
        (system, self.store.shard_state())
    }

    async fn refused(&self, id: u8, operation: AdminOperation) -> ExecuteError {
        self.store.execute(self.asked(id, operation)).await.expect_err("it must be refused")
    }
}

fn version_of(answer: &Answer) -> KeyVersionId {
    answer.path.as_deref().and_then(parse_key_path).expect("what was imported has a path")
}

#[tokio::test]
async fn imported_material_is_a_version_like_any_other_that_says_where_it_came_from() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.done(running.asked(1, create_tenant("acme"))).await;
    let material = running.wrapped("acme", 2).await;
    running.stop().await;

    let running = site.start().await.expect("an import key stops no start");
    let first = running.done(running.asked(3, import_key("bought", &material))).await;
    let second = running.done(running.asked(4, import_version("bought", &material))).await;
    let origin = Origin::Imported { import_key: material.import_key, check_value: value(CHECK_VALUE) };
    let store = &running.store;
    let tenant_key = store.parts.tenant_keys.find(ShardId::FIRST, &tenant("acme")).expect("the feed handed it over");
    for answer in [&first, &second] {
        assert!(!answer.repeated);
        let version = version_of(answer);
        let row = store.shard_state().row::<KeyVersion>(&version).cloned().expect("it was made");
        assert_eq!((row.origin, row.state), (origin, VersionState::Enabled));
        let (lineage, tenant) = (store.lineage(), &row.tenant);
        let binding = Binding { lineage, tenant, key: &row.key, version, algorithm: row.algorithm };
        let opened = tenant_key.open(&row.sealed, &binding, &store.parts.arena).expect("it is sealed for its version");
        check_canary(&UsableMaterial::new(opened, version), &row.canary).expect("the canary is of this material");
    }
    assert_ne!(version_of(&first), version_of(&second));
    running.stop().await;
}

#[tokio::test]
async fn an_import_that_must_be_refused_changes_nothing_and_says_why() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.done(running.asked(1, create_tenant("acme"))).await;
    running.done(running.asked(2, create_tenant("umbra"))).await;
    let material = running.wrapped("acme", 3).await;
    let (elsewhere, later) = (running.wrapped("umbra", 4).await, running.wrapped("acme", 5).await);
    let import = material.import_key;
    let with = |wrapped: &[u8]| WrappedMaterial { wrapped: Base64Bytes(wrapped.to_vec()), ..material.clone() };
    let whole = &material.wrapped.0;
    let other = WrappedMaterial { check_value: Some(value("000000")), ..material.clone() };
    let unknown = WrappedMaterial { import_key: ImportKeyId::from_bytes([7; 16]), ..material.clone() };
    let before = running.state();

    let cases: [(&str, WrappedMaterial, ExecuteError); 7] = [
        ("cut short", with(&whole[..100]), TransportError::Length { import_key: import, length: 100 }.into()),
        ("for another key", with(&later.wrapped.0), TransportError::Closed { import_key: import }.into()),
        (
            "changed",
            with(&[&[!whole[0] & 0x7f], &whole[1..]].concat()),
            TransportError::Closed { import_key: import }.into(),
        ),
        ("zeros", with(&[0; WRAPPED_LENGTH]), TransportError::Closed { import_key: import }.into()),
        (
            "another check value",
            other,
            TransportError::OtherKey { given: value("000000"), found: value(CHECK_VALUE) }.into(),
        ),
        ("an unknown import key", unknown, unknown_key(ImportKeyId::from_bytes([7; 16]))),
        ("another tenant's import key", elsewhere.clone(), unknown_key(elsewhere.import_key)),
    ];
    for (id, (what, material, expected)) in (10..).zip(&cases) {
        let found = [
            running.refused(id, import_key("bought", material)).await,
            running.refused(id + 100, import_version("bought", material)).await,
        ];
        assert_eq!(found.map(|error| error.to_string()), [expected.to_string(), expected.to_string()], "{what}");
        assert!(running.state() == before, "{what}: nothing is reserved, and nothing made");
    }
    let nobody = running.refused(30, create_import_key("nobody")).await;
    assert!(matches!(&nobody, ExecuteError::Refused(Refusal::UnknownTenant { .. })), "{nobody:?}");
    let nothing = running.refused(31, import_version("bought", &material)).await;
    assert!(matches!(&nothing, ExecuteError::Refused(Refusal::UnknownKey { .. })), "{nothing:?}");
    assert!(running.state() == before);
    assert!(!running.done(running.asked(32, import_key("bought", &material))).await.repeated, "the control");
    running.stop().await;
}

#[tokio::test]
async fn an_expired_import_key_imports_nothing_and_what_it_imported_before_is_still_told() {
    let mut site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.done(running.asked(1, create_tenant("acme"))).await;
    let material = running.wrapped("acme", 2).await;
    let asked = running.asked(3, import_key("bought", &material));
    let made = running.done(asked.clone()).await;
    running.stop().await;

    site.clock = Arc::new(Ahead(IMPORT_KEY_LIFE));
    let running = site.start().await.expect("an expired import key stops no start");
    let again = running.done(asked).await;
    assert!(again.repeated);
    assert_eq!((again.path, again.state), (made.path, made.state));
    let expired = running.refused(4, import_key("later", &material)).await;
    assert_eq!(expired.to_string(), unknown_key(material.import_key).to_string());
    let reused = running.refused(3, import_key("later", &material)).await;
    assert!(matches!(reused, ExecuteError::Refused(Refusal::IdempotencyReused)), "{reused:?}");

    let first = running.done(running.asked(2, create_import_key("acme"))).await;
    assert!(first.repeated, "the import key was made under this id");
    assert_eq!(first.import_key, Some(material.import_key));
    running.stop().await;
}

#[tokio::test]
async fn a_tenant_has_so_many_import_keys_at_a_time_and_no_more() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.done(running.asked(1, create_tenant("acme"))).await;
    let bound = u8::try_from(IMPORT_KEYS_MAX).expect("a small bound");
    let made = (0..bound).map(|at| running.done(running.asked(10 + at, create_import_key("acme"))));
    let made = futures::future::join_all(made).await;
    let ids: std::collections::BTreeSet<_> = made.iter().filter_map(|answer| answer.import_key).collect();
    assert_eq!(ids.len(), IMPORT_KEYS_MAX);
    let refused = running.refused(50, create_import_key("acme")).await;
    assert!(matches!(&refused, ExecuteError::Refused(Refusal::TooMany { .. })), "{refused:?}");

    // whoever comes while one is being made waits for it, even to be refused, and keeps nothing else waiting
    let making = running.store.making.lock().await;
    let (store, asked) = (Arc::clone(&running.store), running.asked(51, create_import_key("acme")));
    let next = tokio::spawn(async move { store.execute(asked).await });
    running.done(running.asked(52, create_tenant("other"))).await;
    assert!(!next.is_finished(), "two would be made at once");
    drop(making);
    let refused = next.await.expect("it does not panic").expect_err("there is no room for one more");
    assert!(matches!(&refused, ExecuteError::Refused(Refusal::TooMany { .. })), "{refused:?}");
    running.stop().await;
}

fn value(digits: &str) -> CheckValue {
    digits.parse().expect("six digits")
}

fn unknown_key(id: ImportKeyId) -> ExecuteError {
    Refusal::UnknownImportKey { tenant: tenant("acme"), id }.into()
}
