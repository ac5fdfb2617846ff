//! Bytes of every released format, which must open for ever. Only for tests; nothing here writes a golden file.
//!
//! The files were computed by other implementations (Python's `cryptography`, and HKDF by hand), from the tables in
//! `blob.rs` and `seal.rs`. A line is `name value`; `hex:` marks bytes. The import key in `import-1.txt` and what is wrapped to it
//! are of `openssl` 3.0: `genrsa 3072`, `pkcs8 -topk8 -nocrypt -outform DER`, and
//! `pkeyutl -encrypt -pubin -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256`.

use std::sync::Arc;

use replication::ids::{CheckValue, ImportKeyId, KeyVersionId, LineageId, TenantId};
use replication::machine::rows::{Algorithm, Envelope, Sealed};

use super::arena::Arena;
use super::arena::tests::arena;
use super::canary::check_canary;
use super::hex;
use super::material::{Material, TenantKey};
use super::root::RootKey;
use super::seal::{Binding, ImportBinding};
use super::wrap::{UsableMaterial, unwrap, wrap};
use super::{Draw, Entropy, EntropyError};

const BLOB_1: &str = include_str!("golden/blob-1.txt");
const SEAL_1: &str = include_str!("golden/seal-1.txt");
const IMPORT_1: &str = include_str!("golden/import-1.txt");

fn text<'a>(file: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name} ");
    file.lines().find_map(|line| line.strip_prefix(prefix.as_str())).expect("the golden file has this line")
}

fn bytes(file: &str, name: &str) -> Vec<u8> {
    let digits = text(file, name).strip_prefix("hex:").expect("the line holds bytes");
    let mut bytes = vec![0; digits.len() / 2];
    hex::fill(&mut bytes, digits.as_bytes()).expect("the line is hexadecimal");
    bytes
}

fn id(file: &str, name: &str) -> [u8; 16] {
    bytes(file, name).try_into().expect("the line holds 16 bytes")
}

fn material(file: &str, name: &str, arena: &Arc<Arena>) -> Material {
    let mut slot = arena.take().expect("a slot");
    slot.bytes_mut().copy_from_slice(&bytes(file, name));
    Material::from_slot(slot)
}

/// Draws the nonce that the golden file was made with.
struct DangerFixedNonce(Vec<u8>);

impl Entropy for DangerFixedNonce {
    fn fill(&self, draw: Draw, bytes: &mut [u8]) -> Result<(), EntropyError> {
        assert_eq!(draw, Draw::Nonce, "a nonce is all that is drawn here");
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

#[test]
fn blob_format_1_opens_and_is_written_alike() {
    let arena = arena(1);
    let version = KeyVersionId::from_bytes(id(BLOB_1, "version"));
    let key = UsableMaterial::new(material(BLOB_1, "material", &arena), version);
    let (plaintext, associated_data) = (bytes(BLOB_1, "plaintext"), bytes(BLOB_1, "associated_data"));
    let blob = bytes(BLOB_1, "blob");

    assert_eq!(unwrap(&key, &blob, &associated_data).expect("opens for ever").as_slice(), plaintext);
    let nonce = DangerFixedNonce(bytes(BLOB_1, "nonce"));
    assert_eq!(wrap(&key, &plaintext, &associated_data, &nonce).expect("wraps"), blob);
    assert_eq!(check_canary(&key, &bytes(BLOB_1, "canary")), Ok(()));
}

#[test]
fn seal_format_1_opens_and_is_written_alike() {
    let arena = arena(5);
    let lineage = LineageId::from_bytes(id(SEAL_1, "lineage"));
    let tenant = text(SEAL_1, "tenant").parse().expect("a tenant's name");
    let key = text(SEAL_1, "key").parse().expect("a key's name");
    let version = KeyVersionId::from_bytes(id(SEAL_1, "version"));
    let binding = Binding { lineage, tenant: &tenant, key: &key, version, algorithm: Algorithm::Aes256GcmSiv };
    let root_version = text(SEAL_1, "root_version").parse().expect("a number");
    let root = RootKey { material: material(SEAL_1, "root", &arena), provider: "file", root_version };
    let envelope =
        Envelope { provider: "file".to_owned(), root_version, sealed: Sealed(bytes(SEAL_1, "sealed_tenant_key")) };
    let sealed = Sealed(bytes(SEAL_1, "sealed_material"));

    let tenant_key = root.open(std::slice::from_ref(&envelope), lineage, &tenant, &arena).expect("opens for ever");
    assert_eq!(tenant_key.0.expose()[..], bytes(SEAL_1, "tenant_key"));
    let opened = tenant_key.open(&sealed, &binding, &arena).expect("opens for ever");
    assert_eq!(opened.expose()[..], bytes(SEAL_1, "material"));

    let nonce = || DangerFixedNonce(bytes(SEAL_1, "nonce"));
    let again = TenantKey(material(SEAL_1, "tenant_key", &arena));
    assert_eq!(root.seal(&again, lineage, &tenant, &nonce()), Ok(envelope));
    assert_eq!(again.seal(&opened, &binding, &nonce()), Ok(sealed));
}

/// What `import-1.txt` holds of one import.
pub(super) struct GoldenImport {
    pub(super) tenant_key: TenantKey,
    pub(super) lineage: LineageId,
    pub(super) tenant: TenantId,
    pub(super) id: ImportKeyId,
    pub(super) public_key: Vec<u8>,
    pub(super) sealed: Sealed,
    pub(super) wrapped: Vec<u8>,
}

impl GoldenImport {
    pub(super) fn read(arena: &Arc<Arena>) -> Self {
        Self {
            tenant_key: TenantKey(material(IMPORT_1, "tenant_key", arena)),
            lineage: LineageId::from_bytes(id(IMPORT_1, "lineage")),
            tenant: text(IMPORT_1, "tenant").parse().expect("a tenant's name"),
            id: ImportKeyId::from_bytes(id(IMPORT_1, "import_key")),
            public_key: bytes(IMPORT_1, "public_key"),
            sealed: Sealed(bytes(IMPORT_1, "sealed_import_key")),
            wrapped: bytes(IMPORT_1, "wrapped"),
        }
    }

    pub(super) fn binding(&self) -> ImportBinding<'_> {
        ImportBinding { lineage: self.lineage, tenant: &self.tenant, id: self.id, public_key: &self.public_key }
    }
}

#[test]
fn what_openssl_wrapped_opens_and_an_import_key_is_sealed_alike() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    let found = CheckValue::from_bytes(bytes(IMPORT_1, "check_value").try_into().expect("three bytes"));
    let (opened, check_value) = golden
        .tenant_key
        .open_wrapped(&golden.binding(), &golden.sealed, &golden.wrapped, Some(found), &arena)
        .expect("opens for ever");
    assert_eq!(opened.expose()[..], bytes(IMPORT_1, "material"));
    assert_eq!(check_value, found);

    let nonce = DangerFixedNonce(bytes(IMPORT_1, "nonce"));
    let private_key = bytes(IMPORT_1, "private_key");
    assert_eq!(golden.tenant_key.seal_import_key(&private_key, &golden.binding(), &nonce), Ok(golden.sealed.clone()));
}
