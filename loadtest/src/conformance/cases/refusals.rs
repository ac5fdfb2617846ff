//! Cases of blobs that must not open and bodies that cannot be read: 400 and nothing else, since 403 would disable the key.

use serde_json::{Value, json};

use super::super::call::Damage;
use super::super::call::Spelling;
use super::super::case::{Case, Group, Lack, Mark, Plan, Severity};
use super::super::expect::{Expect, Refusal};
use super::super::scene::{bytes, encode};
use super::{ASSOCIATED_DATA, PLAINTEXT, after_wrap};

/// A bit in each part of a blob, in thousandths of its length: format and key id, nonce, ciphertext, tag.
const FLIPS: [usize; 12] = [0, 20, 50, 100, 200, 300, 400, 500, 650, 800, 950, 1000];

const CIPHER: &str =
    "use authenticated encryption over the whole blob, and answer 400 INVALID_ARGUMENT to whatever does not open";
const FINAL: &str = "A changed blob that opens is no secret any more; 403 would disable the customer's key version, and 5xx would be \
                     tried again for ever.";

/// The rows.
pub const CASES: &[Case] = &[
    Case {
        name: "wrong-associated-data",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps with associated data that was changed, cut, left out, or added to a blob without any",
        right: "400, INVALID_ARGUMENT",
        why: "Associated data is what binds a blob to its place; an EKM that ignores it lets blobs be moved.",
        remedy: "give the associated data to the cipher, and answer 400 INVALID_ARGUMENT when it does not fit",
        plan: |scene| {
            let changed = [&ASSOCIATED_DATA[1..], b"x", &ASSOCIATED_DATA[..ASSOCIATED_DATA.len() - 1]];
            let mut steps = vec![scene.wrap_under(PLAINTEXT, ASSOCIATED_DATA).expect(Expect::Blob)];
            steps.extend(changed.map(|data| scene.unwrap_under(0, data).refused(Refusal::INVALID)));
            steps.push(scene.unwrap(0).refused(Refusal::INVALID));
            steps.push(scene.wrap(PLAINTEXT).expect(Expect::Blob));
            steps.push(scene.unwrap_under(5, ASSOCIATED_DATA).refused(Refusal::INVALID));
            Plan::Calls(steps)
        },
    },
    Case {
        name: "damaged-blob",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps of a blob with one bit flipped, in twelve places from the first byte to the last",
        right: "400, INVALID_ARGUMENT, each time",
        why: FINAL,
        remedy: CIPHER,
        plan: |scene| {
            let flipped = |place| scene.unwrap(0).damaged(Damage::Flipped(place)).refused(Refusal::INVALID);
            after_wrap(scene, FLIPS.map(flipped))
        },
    },
    Case {
        name: "shortened-blob",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps of a blob cut to a byte, a tenth, a half, and without its first or last byte",
        right: "400, INVALID_ARGUMENT, each time",
        why: FINAL,
        remedy: CIPHER,
        plan: |scene| {
            let cuts =
                [Damage::Kept(0), Damage::Kept(100), Damage::Kept(500), Damage::FirstByteCut, Damage::LastByteCut];
            after_wrap(scene, cuts.map(|how| scene.unwrap(0).damaged(how).refused(Refusal::INVALID)))
        },
    },
    Case {
        name: "lengthened-blob",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "an unwrap of a blob with one byte more",
        right: "400, INVALID_ARGUMENT",
        why: FINAL,
        remedy: CIPHER,
        plan: |scene| after_wrap(scene, [scene.unwrap(0).damaged(Damage::ByteAdded).refused(Refusal::INVALID)]),
    },
    Case {
        name: "no-blob",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps whose `wrappedBlob` is absent, null and empty",
        right: "400, INVALID_ARGUMENT, each time",
        why: "No blob is as wrong as a damaged one, and nothing else: not the key's fault, not the EKM's.",
        remedy: "read the absent field as an empty blob, which does not open",
        plan: |scene| {
            let bodies = [json!({}), json!({"wrappedBlob": null}), json!({"wrappedBlob": ""})];
            Plan::Calls(bodies.map(|body| scene.call("unwrap").with(&body).refused(Refusal::INVALID)).into())
        },
    },
    Case {
        name: "foreign-blob",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps of 60, 500 and 65 536 bytes that no EKM made",
        right: "400, INVALID_ARGUMENT, each time",
        why: FINAL,
        remedy: CIPHER,
        plan: |scene| {
            let calls = [60, 500, 65_536].map(|size| {
                let body = json!({"wrappedBlob": encode(&bytes(size, 9), Spelling::Standard)});
                scene.call("unwrap").with(&body).refused(Refusal::INVALID)
            });
            Plan::Calls(calls.into())
        },
    },
    Case {
        name: "blob-of-another-key",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a wrap with the second key, and an unwrap of its blob with the first, and the other way round",
        right: "400, INVALID_ARGUMENT: the key in the URL decides, not one that the blob names",
        why: "An EKM that opens a blob with whatever key it names gives every caller of one key the data of all.",
        remedy: "bind the key to the blob, and open it with the key of the URL alone",
        plan: |scene| {
            let Some(second) = &scene.facts.second_key_path else { return Plan::Lacks(Lack::SecondKey) };
            let at = |verb: &str| format!("/{second}:{verb}");
            Plan::Calls(vec![
                scene.wrap(PLAINTEXT).to(at("wrap")).expect(Expect::Blob),
                scene.unwrap(0).refused(Refusal::INVALID),
                scene.unwrap(0).to(at("unwrap")).gives(PLAINTEXT),
                scene.wrap(PLAINTEXT).expect(Expect::Blob),
                scene.unwrap(3).to(at("unwrap")).refused(Refusal::INVALID),
            ])
        },
    },
    Case {
        name: "disabled-key",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a wrap with a key version that is disabled",
        right: "400, FAILED_PRECONDITION",
        why: "403 would disable the version in Cloud KMS as well, so that enabling it here again would not bring it back.",
        remedy: "answer 400 FAILED_PRECONDITION, and say in the message who can enable it",
        plan: |scene| {
            let Some(path) = &scene.facts.disabled_key_path else { return Plan::Lacks(Lack::DisabledKey) };
            Plan::Calls(vec![scene.wrap(PLAINTEXT).to(format!("/{path}:wrap")).refused(Refusal::STATE)])
        },
    },
    Case {
        name: "malformed-json",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "no body, a cut one, a list, a text, a number, and bytes that are no UTF-8",
        right: "400, INVALID_ARGUMENT, each time",
        why: "A body that was damaged on the way must not end in 403 or 404, which end the key, nor in 5xx, which is tried again.",
        remedy: "catch the reader's error and answer 400",
        plan: |scene| {
            let bodies: [&[u8]; 8] = [
                b"",
                b" ",
                b"{",
                b"{\"plaintext\": \"AAAA",
                b"[]",
                b"\"AAAA\"",
                b"7",
                b"{\"plaintext\": \"\xff\xfe\"}",
            ];
            Plan::Calls(bodies.map(|body| scene.call("wrap").raw(body).refused(Refusal::INVALID)).into())
        },
    },
    Case {
        name: "malformed-base64",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "texts that are no base64: other characters, an impossible length, padding in the middle",
        right: "400, INVALID_ARGUMENT, each time",
        why: "A lenient decoder drops what it does not know, and wraps something else than was sent: the data comes back wrong.",
        remedy: "decode strictly, but for alphabet and padding",
        plan: |scene| {
            let texts = ["%%%%", "A", "AAAAA", "AA=A", "AAAA!", "AAA\u{e9}"].map(Value::from);
            Plan::Calls(
                texts.map(|text| scene.call("wrap").with(&json!({"plaintext": text})).refused(Refusal::INVALID)).into(),
            )
        },
    },
    Case {
        name: "wrong-types",
        group: Group::Refusals,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a number, a list, an object and `true` for `plaintext`",
        right: "400, INVALID_ARGUMENT, each time",
        why: "Whatever an EKM wrapped here, it would not be what the caller meant.",
        remedy: "check the type of every field that is read",
        plan: |scene| {
            let values = [json!(5), json!(["AAAA"]), json!({"a": 1}), json!(true)];
            Plan::Calls(
                values
                    .map(|value| scene.call("wrap").with(&json!({"plaintext": value})).refused(Refusal::INVALID))
                    .into(),
            )
        },
    },
    Case {
        name: "trailing-bytes",
        group: Group::Refusals,
        severity: Severity::Recommended,
        mark: Mark::Standard,
        sends: "a right body with a second object, and with a letter, after its end",
        right: "400, INVALID_ARGUMENT: that is no JSON text (RFC 8259)",
        why: "A reader that stops at the first value hides that bodies were run together.",
        remedy: "check that nothing but white space follows the object",
        plan: |scene| {
            let bodies = ["{\"plaintext\": \"AAAA\"}{\"plaintext\": \"BBBB\"}", "{\"plaintext\": \"AAAA\"} x"];
            Plan::Calls(bodies.map(|body| scene.call("wrap").raw(body).refused(Refusal::INVALID)).into())
        },
    },
];
