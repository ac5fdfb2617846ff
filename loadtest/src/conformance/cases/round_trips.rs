//! Cases of what every key manager is for: what was wrapped comes back, whatever its size.

use super::super::case::{Case, Group, Mark, Plan, Severity, Step};
use super::super::expect::Expect;
use super::super::scene::{Scene, bytes};
use super::{ASSOCIATED_DATA, PLAINTEXT, after_wrap};

/// What Cloud KMS takes from its users, plaintext and associated data each, in bytes.
const CLOUD_KMS_MAX: usize = 64 * 1024;
/// Around the block and key sizes of ciphers, and beyond.
const ODD_SIZES: [usize; 12] = [1, 2, 3, 15, 16, 17, 31, 32, 33, 100, 255, 4096];

fn round_trip(scene: &Scene<'_>, plaintext: &[u8], associated_data: &[u8], first: usize) -> [Step; 2] {
    let wrap = scene.wrap_under(plaintext, associated_data).expect(Expect::Blob);
    [wrap, scene.unwrap_under(first, associated_data).gives(plaintext)]
}

/// The rows.
pub const CASES: &[Case] = &[
    Case {
        name: "round-trip",
        group: Group::RoundTrips,
        severity: Severity::Required,
        mark: Mark::Live,
        sends: "a wrap of 39 bytes under associated data, then an unwrap of the blob",
        right: "200 with a blob; 200 with the same bytes",
        why: "Cloud KMS makes this call when a key version is created and whenever it is used; nothing works without it.",
        remedy: "see the excerpt; the key must be enabled and granted to the caller",
        plan: |scene| Plan::Calls(round_trip(scene, PLAINTEXT, ASSOCIATED_DATA, 0).into()),
    },
    Case {
        name: "empty-plaintext",
        group: Group::RoundTrips,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a wrap of no bytes, then an unwrap",
        right: "200 with a blob; 200 with `plaintext` empty, null or absent",
        why: "The plaintext is opaque and of any length; protobuf JSON leaves default values out, so `{}` is a right answer.",
        remedy: "do not insist on a plaintext; seal the empty one like any other",
        plan: |scene| Plan::Calls(round_trip(scene, b"", ASSOCIATED_DATA, 0).into()),
    },
    Case {
        name: "any-size",
        group: Group::RoundTrips,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "round trips of 1 to 4096 bytes, around the block and key sizes of ciphers",
        right: "every one comes back",
        why: "What arrives is already a ciphertext of Cloud KMS's own: an EKM that checks it against a key size fails real calls.",
        remedy: "treat the plaintext as opaque bytes; use a cipher without padding, or pad and unpad in full",
        plan: |scene| {
            let trips = ODD_SIZES.iter().enumerate();
            Plan::Calls(trips.flat_map(|(at, size)| round_trip(scene, &bytes(*size, 1), b"", 2 * at)).collect())
        },
    },
    Case {
        name: "largest-plaintext",
        group: Group::RoundTrips,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a round trip of 64 KiB",
        right: "it comes back",
        why: "Users may encrypt 64 KiB at once; an EKM with a smaller limit fails those calls only, in production.",
        remedy: "raise the limit for bodies to 256 KiB at least",
        plan: |scene| Plan::Calls(round_trip(scene, &bytes(CLOUD_KMS_MAX, 2), b"", 0).into()),
    },
    Case {
        name: "largest-associated-data",
        group: Group::RoundTrips,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a round trip of 100 bytes under 64 KiB of associated data",
        right: "it comes back",
        why: "Users may give 64 KiB of associated data; an EKM with a smaller limit fails those calls only, in production.",
        remedy: "raise the limit for associated data to 64 KiB at least, and for bodies to 256 KiB",
        plan: |scene| Plan::Calls(round_trip(scene, &bytes(100, 3), &bytes(CLOUD_KMS_MAX, 4), 0).into()),
    },
    Case {
        name: "wrap-is-randomised",
        group: Group::RoundTrips,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "the same wrap twice",
        right: "two different blobs",
        why: "A blob that repeats tells whoever sees two of them that the plaintexts are equal, and may mean a repeated nonce, \
              which breaks AES-GCM.",
        remedy: "draw a fresh nonce for every wrap, or use a cipher that bears a repeated one and say so",
        plan: |scene| after_wrap(scene, [scene.wrap(PLAINTEXT).expect(Expect::BlobUnlike(0))]),
    },
    Case {
        name: "unwrap-repeats",
        group: Group::RoundTrips,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a wrap, then the same unwrap four times",
        right: "the same bytes each time",
        why: "Cloud KMS may call several times for one request of its user, and uses a blob for years.",
        remedy: "keep no state between calls: no replay cache, no single-use blobs",
        plan: |scene| after_wrap(scene, (0..4).map(|_| scene.unwrap(0).gives(PLAINTEXT))),
    },
];
