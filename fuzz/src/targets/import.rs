//! Wrapped material from strangers, and material from files that hold something else: nothing that nobody wrapped is imported,
//! material is read only if it is whole, and what is wrapped to a key is wrapped to a public key.

use std::iter::repeat;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use replication::ids::{ImportKeyId, LineageId, TenantId};
use replication::machine::rows::Sealed;
use server::crypto::danger_patterned_entropy::DangerPatternedEntropy;
use server::crypto::import::{ClearMaterial, WRAPPED_LENGTH, wrap_for_transport};
use server::crypto::{Arena, ImportBinding, LockPolicy, TenantKey};

use crate::seeds::{GOLDEN_IMPORT, golden};

/// The golden import key, and what was wrapped to it.
struct Golden {
    arena: Arc<Arena>,
    tenant_key: TenantKey,
    lineage: LineageId,
    tenant: TenantId,
    id: ImportKeyId,
    public_key: Vec<u8>,
    sealed: Sealed,
    wrapped: Vec<u8>,
}

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
    let bytes = |name| golden(GOLDEN_IMPORT, name);
    let id = |name| bytes(name).try_into().expect("an id has 16 bytes");
    let arena = Arena::new(NonZeroU32::new(2).expect("2 is positive"), LockPolicy::Warn).expect("a page of memory");
    let pattern = bytes("tenant_key ").try_into().expect("a key has 32 bytes");
    Golden {
        tenant_key: TenantKey::generate(&arena, &DangerPatternedEntropy { pattern }).expect("one key fits"),
        arena,
        lineage: LineageId::from_bytes(id("lineage ")),
        tenant: "acme".parse().expect("a legal name"),
        id: ImportKeyId::from_bytes(id("import_key ")),
        public_key: bytes("public_key "),
        sealed: Sealed(bytes("sealed_import_key ")),
        wrapped: bytes("wrapped "),
    }
});

/// What is wrapped to whatever looks like a public key.
static MATERIAL: LazyLock<ClearMaterial> = LazyLock::new(|| {
    ClearMaterial::read_raw(&mut &golden(GOLDEN_IMPORT, "material ")[..]).expect("the golden material is material")
});

impl Golden {
    fn opens(&self, wrapped: &[u8]) -> bool {
        let binding =
            ImportBinding { lineage: self.lineage, tenant: &self.tenant, id: self.id, public_key: &self.public_key };
        self.tenant_key.open_wrapped(&binding, &self.sealed, wrapped, None, &self.arena).is_ok()
    }
}

/// The modulus is of one length; the exponent has at most 33 bits, and its encoding two forms.
fn is_about_as_long(one: &[u8], other: &[u8]) -> bool {
    one.len().abs_diff(other.len()) <= 8
}

/// See the top of this file.
pub fn run(input: &[u8]) {
    let golden = &*GOLDEN;
    assert_eq!(golden.opens(input), input == golden.wrapped, "what nobody wrapped was imported, or what was is not");
    // as long as a wrapping, and below the modulus
    let mut whole: Vec<u8> = input.iter().copied().chain(repeat(0)).take(WRAPPED_LENGTH).collect();
    whole[0] &= 0x7f;
    assert_eq!(golden.opens(&whole), whole == golden.wrapped, "what nobody wrapped was imported, or what was is not");
    assert_eq!(golden.arena.free_slots(), 1, "a slot was not given back");

    let is_key = |bytes: &[u8]| bytes.iter().any(|byte| *byte != bytes[0]);
    let raw = ClearMaterial::read_raw(&mut &input[..]);
    assert_eq!(raw.is_ok(), input.len() == 32 && is_key(input), "{raw:?}");
    let line = input.strip_suffix(b"\n").map_or(input, |line| line.strip_suffix(b"\r").unwrap_or(line));
    let digits = line.to_ascii_lowercase();
    let hex = ClearMaterial::read_hex(&mut &input[..]);
    let is_whole = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
    let pairs: Vec<&[u8]> = digits.chunks(2).collect();
    assert_eq!(hex.is_ok(), is_whole && pairs.iter().any(|pair| *pair != pairs[0]), "{hex:?}");
    if let Ok(material) = raw.or(hex) {
        let sent = wrap_for_transport(&golden.public_key, &material).expect("a key of 32 bytes is short enough");
        assert!(golden.opens(&sent.bytes), "what was wrapped does not open");
    }
    if let Ok(sent) = wrap_for_transport(input, &MATERIAL) {
        assert!(is_about_as_long(input, &golden.public_key), "wrapped to what is no RSA-3072 key");
        assert_eq!(golden.opens(&sent.bytes), input == golden.public_key, "it opens elsewhere than it was wrapped to");
    }
}
