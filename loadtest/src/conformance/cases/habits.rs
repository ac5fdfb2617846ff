//! Cases of the habits of protobuf JSON and of HTTP clients: what a strict reader refuses and Google may send any day.

use serde_json::json;

use super::super::call::{Call, Framing, Protocol, Spelling};
use super::super::case::{Case, Group, Mark, Plan, Severity, Step};
use super::super::expect::{Expect, Refusal};
use super::super::scene::{Scene, bytes, context, encode};
use super::{ASSOCIATED_DATA, PLAINTEXT, after_wrap};

/// Its base64 has both characters that the URL-safe alphabet replaces, and needs padding.
const SPELLED: [u8; 7] = [0xfb, 0xef, 0xff, 0xff, 0xbe, 0xfb, 0xff];
/// A reason and a number that no list has yet.
const REASON_UNKNOWN: (&str, i32) = ("REASON_OF_A_LATER_YEAR", 4711);

/// The rows.
pub const CASES: &[Case] = &[
    Case {
        name: "standard-base64-out",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "wraps of several sizes and an unwrap of bytes whose base64 has `+` and `/`",
        right: "`wrappedBlob` and `plaintext` are standard base64 with padding",
        why: "That is how protobuf JSON writes bytes; an unusable 200 body counts as an error at Cloud KMS.",
        remedy: "encode with the standard alphabet (`+`, `/`) and with `=` at the end",
        plan: |scene| {
            let sizes = [7, 300, 301, 302];
            let mut steps = vec![scene.wrap(&SPELLED).expect(Expect::StandardBlob)];
            steps.push(scene.unwrap(0).expect(Expect::StandardPlaintext(SPELLED.to_vec())));
            steps.extend(sizes.map(|size| scene.wrap(&bytes(size, 5)).expect(Expect::StandardBlob)));
            Plan::Calls(steps)
        },
    },
    Case {
        name: "url-safe-base64-in",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "plaintext, associated data and blob in URL-safe base64",
        right: "taken as the same bytes",
        why: "The specification of protobuf JSON lets a writer choose either alphabet and asks a reader to take both.",
        remedy: "map `-` and `_` to `+` and `/` before decoding",
        plan: |scene| Plan::Calls(spelled(scene, Spelling::UrlSafe)),
    },
    Case {
        name: "unpadded-base64-in",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "plaintext, associated data and blob in base64 without `=`, in both alphabets",
        right: "taken as the same bytes",
        why: "The specification of protobuf JSON asks a reader to take base64 with and without padding.",
        remedy: "do not insist on padding when decoding",
        plan: |scene| {
            let mut steps = spelled(scene, Spelling::Unpadded);
            // the blob is opened in the other alphabet too
            steps.extend(spelled(scene, Spelling::UrlSafeUnpadded).into_iter().skip(2));
            Plan::Calls(steps)
        },
    },
    Case {
        name: "associated-data-defaults",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a wrap without associated data, unwraps with it absent, `\"\"` and null; and the same of wraps with `\"\"` and null",
        right: "absent, empty and null are the same: everything opens",
        why: "Protobuf JSON leaves out what is empty, so the wrap may say `\"\"` and the unwrap nothing, and the data would be lost.",
        remedy: "read an absent or null field as an empty one, before the associated data enters the cipher",
        plan: |scene| {
            let wraps =
                [json!({}), json!({"additionalAuthenticatedData": ""}), json!({"additionalAuthenticatedData": null})];
            let mut steps = Vec::new();
            for mut wrap in wraps {
                let at = steps.len();
                wrap["plaintext"] = encode(PLAINTEXT, Spelling::Standard).into();
                steps.push(scene.call("wrap").with(&wrap).expect(Expect::Blob));
                steps.push(scene.unwrap(at).gives(PLAINTEXT));
                for value in [json!(""), json!(null)] {
                    steps.push(scene.unwrap(at).and("additionalAuthenticatedData", value).gives(PLAINTEXT));
                }
            }
            Plan::Calls(steps)
        },
    },
    Case {
        name: "plaintext-defaults",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "wraps whose `plaintext` is absent and null, then unwraps",
        right: "taken as no bytes",
        why: "Protobuf JSON leaves out an empty field: this is how a wrap of nothing arrives.",
        remedy: "read an absent or null `plaintext` as an empty one",
        plan: |scene| {
            Plan::Calls(vec![
                scene.call("wrap").with(&json!({"additionalContext": context()})).expect(Expect::Blob),
                scene.unwrap(0).gives(b""),
                scene.call("wrap").with(&json!({"plaintext": null})).expect(Expect::Blob),
                scene.unwrap(2).gives(b""),
            ])
        },
    },
    Case {
        name: "no-context",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a round trip without `additionalContext`, and with one that has no reason",
        right: "it comes back, if the key's policy does not ask for reasons",
        why: "Callers without Key Access Justifications send none.",
        remedy: "do not insist on the context; decide by policy what a call without a reason may do",
        plan: |scene| {
            let plaintext = encode(PLAINTEXT, Spelling::Standard);
            let bare = |context| json!({"plaintext": plaintext, "additionalContext": context});
            Plan::Calls(vec![
                scene.call("wrap").with(&json!({"plaintext": plaintext})).expect(Expect::Blob),
                scene.unwrap(0).gives(PLAINTEXT),
                scene.call("wrap").with(&bare(json!({}))).expect(Expect::Blob),
                scene.unwrap(2).and("additionalContext", json!({})).gives(PLAINTEXT),
            ])
        },
    },
    Case {
        name: "nulls",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "null for every field of the context, and for the context itself",
        right: "null is the same as absent",
        why: "Protobuf JSON takes null for any field as its default.",
        remedy: "read null as absent everywhere",
        plan: |scene| {
            let nulls = json!({"relativeResourceName": null, "fullResourceName": null, "isKeyHealthCheck": null,
                "accessReasonContext": {"reason": null}});
            let contexts = [nulls, json!({"accessReasonContext": null}), json!(null)];
            let calls = contexts.map(|context| scene.unwrap(0).and("additionalContext", context).gives(PLAINTEXT));
            after_wrap(scene, calls)
        },
    },
    Case {
        name: "unknown-fields",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "fields of every type that no page names, in the body and in the context",
        right: "ignored",
        why: "Google adds fields without notice; an EKM that refuses one fails every call on that day.",
        remedy: "make the JSON reader skip what it does not know",
        plan: |scene| {
            let mut strange = context();
            strange["fieldOfALaterYear"] = json!({"deep": [1, 2.5, null, {"a": "b"}]});
            let calls = [
                scene.unwrap(0).and("fieldOfALaterYear", json!({"deep": [true]})).gives(PLAINTEXT),
                scene.unwrap(0).and("number", json!(1.5e300)).and("list", json!([])).gives(PLAINTEXT),
                scene.unwrap(0).and("additionalContext", strange).gives(PLAINTEXT),
            ];
            after_wrap(scene, calls)
        },
    },
    Case {
        name: "unknown-reason",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "an access reason that no list has, as a name and as a number",
        right: "taken, if the key's policy does not list reasons",
        why: "Google adds reasons; an EKM whose parser refuses one answers 400 to every such call.",
        remedy: "keep an unknown reason as unknown, and let the policy decide; where a list cannot judge it, answer 503",
        plan: |scene| {
            let (name, number) = REASON_UNKNOWN;
            let calls = [json!(name), json!(number)].map(|reason| {
                let mut context = context();
                context["accessReasonContext"]["reason"] = reason;
                scene.unwrap(0).and("additionalContext", context).gives(PLAINTEXT)
            });
            after_wrap(scene, calls)
        },
    },
    Case {
        name: "reason-as-number",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "the access reason CUSTOMER_INITIATED_ACCESS as its number, 5",
        right: "taken as the same",
        why: "Protobuf JSON lets a writer send an enum as its name or its number.",
        remedy: "read enums from text and from numbers",
        plan: |scene| {
            let mut context = context();
            context["accessReasonContext"]["reason"] = json!(5);
            after_wrap(scene, [scene.unwrap(0).and("additionalContext", context).gives(PLAINTEXT)])
        },
    },
    Case {
        name: "health-check",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a wrap and an unwrap with `isKeyHealthCheck`, and an unwrap of it under other associated data",
        right: "the round trip works, and the wrong unwrap is refused with 400: the check takes the real path",
        why: "An EKM that answers health checks without doing the work looks well to Google while it is broken.",
        remedy: "handle health checks as any other call",
        plan: |scene| {
            let mut check = context();
            check["isKeyHealthCheck"] = json!(true);
            let body = json!({"plaintext": encode(PLAINTEXT, Spelling::Standard), "additionalContext": check});
            Plan::Calls(vec![
                scene.call("wrap").with(&body).expect(Expect::Blob),
                scene.unwrap(0).and("additionalContext", check.clone()).gives(PLAINTEXT),
                scene.unwrap_under(0, b"other").and("additionalContext", check).refused(Refusal::INVALID),
            ])
        },
    },
    Case {
        name: "key-path-in-body",
        group: Group::Habits,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "`keyPath` and `keyUriPrefix` in the body that name something else",
        right: "ignored: the URL decides",
        why: "Google's protos have such fields; two places that name the key are one too many when they differ.",
        remedy: "take the key from the path alone",
        plan: |scene| {
            let unwrap = scene.unwrap(0).and("keyPath", json!(scene.facts.unknown_key_path));
            after_wrap(scene, [unwrap.and("keyUriPrefix", json!("https://ekm.example")).gives(PLAINTEXT)])
        },
    },
    Case {
        name: "escaped-characters",
        group: Group::Habits,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "base64 with `=` as `\\u003d` and `/` as `\\/`, member names with escapes, and white space",
        right: "taken: it is the same JSON (RFC 8259)",
        why: "Writers of protobuf JSON escape such characters.",
        remedy: "use a JSON library, and decode base64 from the unescaped text",
        plan: |scene| {
            let text = encode(&SPELLED, Spelling::Standard).replace('=', "\\u003d").replace('/', "\\/");
            let wrap = format!(" {{\n \"\\u0070laintext\" :\t\"{text}\" }}\r\n ");
            Plan::Calls(vec![scene.call("wrap").raw(wrap).expect(Expect::Blob), scene.unwrap(0).gives(&SPELLED)])
        },
    },
    Case {
        name: "proto-field-names",
        group: Group::Habits,
        severity: Severity::Recommended,
        mark: Mark::Google,
        sends: "an unwrap with `additional_authenticated_data`, the field's name in the proto",
        right: "taken as `additionalAuthenticatedData`",
        why: "The specification of protobuf JSON asks a reader to take both names; Google's own writers send lowerCamelCase.",
        remedy: "take each field under both names",
        plan: |scene| {
            let text = encode(ASSOCIATED_DATA, Spelling::Standard);
            Plan::Calls(vec![
                scene.wrap_under(PLAINTEXT, ASSOCIATED_DATA).expect(Expect::Blob),
                scene.unwrap(0).and("additional_authenticated_data", text.into()).gives(PLAINTEXT),
            ])
        },
    },
    Case {
        name: "content-type-ignored",
        group: Group::Habits,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "unwraps without `Content-Type`, and with text/plain, and JSON with a charset",
        right: "taken: the body is what counts",
        why: "Nothing says which type Google sends.",
        remedy: "read the body as JSON whatever its type says",
        plan: |scene| {
            let types = [None, Some("text/plain"), Some("application/json; charset=utf-8")];
            after_wrap(scene, types.map(|content_type| Call { content_type, ..scene.unwrap(0) }.gives(PLAINTEXT)))
        },
    },
    Case {
        name: "chunked-body",
        group: Group::Habits,
        severity: Severity::Recommended,
        mark: Mark::Standard,
        sends: "an unwrap whose body has no length and comes in chunks",
        right: "taken (RFC 9112, section 7.1)",
        why: "Every HTTP/1.1 server has to read chunks; a proxy in front of the EKM may send them.",
        remedy: "do not insist on Content-Length",
        plan: |scene| after_wrap(scene, [Call { framing: Framing::Chunked, ..scene.unwrap(0) }.gives(PLAINTEXT)]),
    },
    Case {
        name: "http-2",
        group: Group::Habits,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "a round trip over HTTP/2; every other case speaks HTTP/1.1",
        right: "it comes back",
        why: "HTTP/1.1 has been enough so far; HTTP/2 spares connections when calls come in crowds.",
        remedy: "offer h2 by ALPN",
        plan: |scene| {
            let over = |call: Call| Call { protocol: Protocol::Http2, ..call };
            Plan::Calls(vec![over(scene.wrap(PLAINTEXT)).expect(Expect::Blob), over(scene.unwrap(0)).gives(PLAINTEXT)])
        },
    },
];

/// A wrap in this spelling, an unwrap in the standard one, and an unwrap in this one.
fn spelled(scene: &Scene<'_>, how: Spelling) -> Vec<Step> {
    let body = json!({
        "plaintext": encode(&SPELLED, how),
        "additionalAuthenticatedData": encode(&SPELLED, how),
    });
    let under = |how| scene.unwrap(0).and("additionalAuthenticatedData", encode(&SPELLED, how).into()).spelled(how);
    vec![
        scene.call("wrap").with(&body).expect(Expect::Blob),
        under(Spelling::Standard).gives(&SPELLED),
        under(how).gives(&SPELLED),
    ]
}
