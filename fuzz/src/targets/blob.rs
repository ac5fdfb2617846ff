//! Wrapped blobs from strangers: every input is parsed or refused, a blob opens under its own key and data alone, and every
//! changed bit of one is found.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use crate::parts::{byte, part};
use replication::ids::KeyVersionId;
use server::crypto::danger_patterned_entropy::DangerPatternedEntropy;
use server::crypto::{
    Arena, BLOB_OVERHEAD, Blob, LockPolicy, Material, SystemEntropy, UsableMaterial, unwrap, version_hint, wrap,
};

/// The material and version of the golden blob of format 1.
static KEY: LazyLock<UsableMaterial> = LazyLock::new(|| key(0));
/// Other material under the same version's id.
static OTHER_KEY: LazyLock<UsableMaterial> = LazyLock::new(|| key(1));

fn key(first: u8) -> UsableMaterial {
    let arena = Arena::new(NonZeroU32::MIN, LockPolicy::Warn).expect("a page of memory for a key");
    let pattern = std::array::from_fn(|at| first + u8::try_from(at).expect("32 is a small number"));
    let material = Material::generate(&arena, &DangerPatternedEntropy { pattern }).expect("one key fits");
    let version = std::array::from_fn(|at| 0xa0 + u8::try_from(at).expect("16 is a small number"));
    UsableMaterial::new(material, KeyVersionId::from_bytes(version))
}

/// What the golden blob was wrapped from.
const GOLDEN_TEXT: &[u8] = b"key encryption key of a customer\x00\xff";
const GOLDEN_DATA: &[u8] = b"projects/p/locations/l";

/// See the top of this file.
pub fn run(input: &[u8]) {
    let (choice, rest) = byte(input);
    let (data, bytes) = part(rest);
    let parsed = Blob::parse(bytes);
    assert_eq!(version_hint(bytes), parsed.ok().map(|blob| blob.version()), "the hint is the blob's own");
    assert!(parsed.is_err() || bytes.len() >= BLOB_OVERHEAD, "a blob is longer than its text");

    let genuine = wrap(&KEY, bytes, data, &SystemEntropy).expect("the system has randomness and inputs are short");
    assert_eq!(genuine.len(), bytes.len() + BLOB_OVERHEAD);
    assert_eq!(unwrap(&KEY, &genuine, data).expect("what was wrapped opens").as_slice(), bytes);
    assert!(unwrap(&OTHER_KEY, &genuine, data).is_err(), "a blob opened under another key");
    assert!(unwrap(&KEY, &genuine, &[data, &[choice]].concat()).is_err(), "a blob opened with other data");
    assert!(
        unwrap(&OTHER_KEY, bytes, data).is_err(),
        "a blob that nobody wrapped opened under a key that wraps nothing"
    );
    let mut changed = genuine;
    let at = usize::from(choice) * 31 % (changed.len() * 8);
    changed[at / 8] ^= 1 << (at % 8);
    assert!(unwrap(&KEY, &changed, data).is_err(), "bit {at} was flipped and the blob opened");

    opens_to_the_golden_text_alone(bytes, data);
    // past the header, down to the tag
    if let Some(front) = bytes.first_chunk::<50>() {
        let mut ours = bytes.to_vec();
        ours[..front.len()].copy_from_slice(&changed_header());
        opens_to_the_golden_text_alone(&ours, data);
    }
}

fn changed_header() -> [u8; 50] {
    let blob = wrap(&KEY, b"", b"", &SystemEntropy).expect("the system has randomness");
    *blob.first_chunk().expect("every blob begins with a header")
}

fn opens_to_the_golden_text_alone(blob: &[u8], data: &[u8]) {
    if let Ok(text) = unwrap(&KEY, blob, data) {
        assert_eq!((text.as_slice(), data), (GOLDEN_TEXT, GOLDEN_DATA), "a blob that nobody wrapped has opened");
    }
}
