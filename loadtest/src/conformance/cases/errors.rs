//! Cases of what stands in an error body, and of limits.

use serde_json::json;

use super::super::call::{Call, Spelling};
use super::super::case::{Case, Group, Mark, Plan, Severity};
use super::super::expect::{Aspect, Expect, Refusal};
use super::super::scene::{Scene, bytes, context, encode};
use super::{PLAINTEXT, after_wrap};

/// Recognised wherever it is echoed.
const SECRET: &[u8] = b"a plaintext that must not be seen again in any error";
/// With Cloud KMS's overhead and base64, a body can be so long, in bytes.
const BODY_BYTES: usize = 180 * 1024;
/// No call of Cloud KMS is so long, in bytes.
const BODY_BYTES_TOO_MANY: usize = 8 * 1024 * 1024;
/// No token is so long, in bytes.
const TOKEN_BYTES_TOO_MANY: usize = 48 * 1024;
const NESTING_TOO_DEEP: usize = 50_000;

const SHAPES: &str = "answer errors with {\"code\", \"message\", \"details\"} (google.rpc.Status) or {\"error\": {\"code\", \"message\", \
                      \"status\"}}, whichever layer refuses";

/// The rows about error bodies.
pub const CASES: &[Case] = &[
    Case {
        name: "error-is-json",
        group: Group::Errors,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "calls that are refused for six different reasons",
        right: "every body is JSON: a google.rpc.Status, or an `error` envelope",
        why: "What cannot be read reaches the customer as \"unknown error\", without a word about what to do.",
        remedy: SHAPES,
        plan: |scene| of_errors(scene, &Aspect::IsJson),
    },
    Case {
        name: "error-code-matches",
        group: Group::Errors,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "the same calls",
        right: "the code in the body belongs to the HTTP status",
        why: "Whoever reads the one and whoever reads the other must come to the same conclusion about a retry.",
        remedy: "derive status and code from one table",
        plan: |scene| of_errors(scene, &Aspect::CodeMatches),
    },
    Case {
        name: "error-message",
        group: Group::Errors,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "the same calls",
        right: "`message` is a sentence",
        why: "The message travels word for word into the logs of the customer's services: it is all that they get to see.",
        remedy: "say what is wrong with which key and what to do about it",
        plan: |scene| of_errors(scene, &Aspect::Message),
    },
    Case {
        name: "error-content-type",
        group: Group::Errors,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "the same calls",
        right: "`Content-Type: application/json`",
        why: "Proxies and clients decide by it whether they read the body at all.",
        remedy: "set the type on every answer",
        plan: |scene| of_errors(scene, &Aspect::ContentType),
    },
    Case {
        name: "error-one-shape",
        group: Group::Errors,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "the same calls",
        right: "all errors have the same of the two shapes",
        why: "Two shapes mean two layers that answer, and sooner or later two opinions.",
        remedy: SHAPES,
        plan: |scene| {
            let calls = refused_calls(scene).into_iter();
            Plan::Calls(calls.map(|call| call.expect(Expect::SameShape)).collect())
        },
    },
    Case {
        name: "error-keeps-secrets",
        group: Group::Errors,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "calls that are refused, with a token, a plaintext and a blob that would be recognised",
        right: "none of them is in the answer",
        why: "Messages end in the logs of others: a token there can be used for an hour.",
        remedy: "never quote the request in an error, and no parser's message that does",
        plan: keeps_secrets,
    },
    Case {
        name: "error-hides-internals",
        group: Group::Errors,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "calls that are refused, malformed ones among them",
        right: "no stack trace, no source file, no address in memory",
        why: "The customer cannot use it, and an attacker can.",
        remedy: "map every internal error to a sentence of your own",
        plan: |scene| of_errors(scene, &Aspect::HidesInternals),
    },
    Case {
        name: "retriable-says-when",
        group: Group::Errors,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "nothing: looks at the answers with 429, 503 and 504 that other cases happened to get",
        right: "429 and 503 carry `google.rpc.RetryInfo` or `Retry-After`",
        why: "Callers that are not told when to come back come back at once, and keep an overload alive.",
        remedy: "add a RetryInfo detail, or Retry-After, to 429 and 503",
        plan: |_| Plan::Retriables,
    },
];

/// The rows about limits.
pub const LIMITS: &[Case] = &[
    Case {
        name: "body-of-180-kib",
        group: Group::Limits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a wrap whose body has 180 KiB",
        right: "taken",
        why: "64 KiB of plaintext and of associated data, with Cloud KMS's overhead and base64, come to that.",
        remedy: "set the limit for bodies to 256 KiB or more, in the load balancer too",
        plan: |scene| {
            let mut body = json!({"plaintext": "", "additionalAuthenticatedData": "", "additionalContext": context()});
            let room = BODY_BYTES - body.to_string().len();
            // base64 of a multiple of three bytes has no padding
            let half = encode(&bytes(room / 8 * 3, 6), Spelling::Standard);
            body["additionalAuthenticatedData"] = half.clone().into();
            body["plaintext"] = half.into();
            Plan::Calls(vec![scene.call("wrap").with(&body).expect(Expect::Blob)])
        },
    },
    Case {
        name: "body-too-large",
        group: Group::Limits,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "a wrap whose body has 8 MiB",
        right: "413, or 400, INVALID_ARGUMENT; or the connection is closed, since nobody has to read all of it",
        why: "Without a limit a stranger fills the EKM's memory.",
        remedy: "stop reading at a limit and answer 413; let the client finish sending, or it will not see the answer",
        plan: |scene| {
            let body = format!("{{\"plaintext\": \"{}\"}}", "A".repeat(BODY_BYTES_TOO_MANY));
            Plan::Calls(vec![scene.call("wrap").raw(body).expect(Expect::TooLarge)])
        },
    },
    Case {
        name: "token-too-long",
        group: Group::Limits,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "a token of the trusted issuer with 48 KiB",
        right: "401, or 431, 413 or 400 of whatever is in front",
        why: "Verifying and remembering tokens of any length is work that a stranger orders for nothing.",
        remedy: "limit the length of headers, and of tokens to some KiB",
        plan: |scene| {
            let token = scene.claiming("padding", json!("A".repeat(TOKEN_BYTES_TOO_MANY / 4 * 3)));
            Plan::Calls(vec![scene.wrap(PLAINTEXT).by([token]).refused(Refusal::HEADER_TOO_LARGE)])
        },
    },
    Case {
        name: "deep-nesting",
        group: Group::Limits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a body with 50 000 lists in each other, in a field that nobody reads",
        right: "400, INVALID_ARGUMENT; or 200, if the reader bears it",
        why: "A reader without a bound overflows its stack, and one small call ends the process for every customer.",
        remedy: "bound the nesting of JSON to about 100, or read it without recursion",
        plan: |scene| {
            let nested = format!("{}{}", "[".repeat(NESTING_TOO_DEEP), "]".repeat(NESTING_TOO_DEEP));
            let body = format!("{{\"x\": {nested}, \"plaintext\": \"AAAA\"}}");
            Plan::Calls(vec![scene.call("wrap").raw(body).refused(Refusal::NESTED)])
        },
    },
    Case {
        name: "serves-after-it-all",
        group: Group::Limits,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a round trip, after all the others",
        right: "it comes back",
        why: "A stranger's malformed calls must not lock out, slow down or stop Google's.",
        remedy: "look at what the calls before this one did: lock-outs by address, exhausted pools, a process that ended",
        plan: |scene| after_wrap(scene, [scene.unwrap(0).gives(PLAINTEXT)]),
    },
];

/// Calls that are refused for different reasons, in different layers.
fn refused_calls(scene: &Scene<'_>) -> Vec<Call> {
    let foreign = json!({"wrappedBlob": encode(&bytes(90, 7), Spelling::Standard)});
    vec![
        scene.wrap(SECRET).by([]),
        scene
            .wrap(SECRET)
            .by([scene.claiming("email", json!("service-999999999999999@gcp-sa-ekms.iam.gserviceaccount.com"))]),
        scene.wrap(SECRET).to(format!("/{}:wrap", scene.facts.unknown_key_path)),
        scene.call("wrap").raw("{\"plaintext\": \"AAAA\", "),
        scene.call("unwrap").with(&foreign),
        scene.call("levitate"),
    ]
}

fn of_errors(scene: &Scene<'_>, aspect: &Aspect) -> Plan {
    let calls = refused_calls(scene).into_iter();
    Plan::Calls(calls.map(|call| call.expect(Expect::ErrorBody(aspect.clone()))).collect())
}

fn keeps_secrets(scene: &Scene<'_>) -> Plan {
    let secret = encode(SECRET, Spelling::Standard);
    let token = scene.token();
    let signature = token.rsplit('.').next().unwrap_or(token);
    let expired = scene.claiming("exp", json!(1));
    let text = String::from_utf8_lossy(SECRET).into_owned();
    let mut kept = vec![text.clone(), secret.clone(), signature.to_owned()];
    kept.extend(expired.rsplit('.').next().map(str::to_owned));
    let calls = [
        scene.wrap(SECRET).by([expired]),
        scene.wrap(SECRET).to(format!("/{}:wrap", scene.facts.unknown_key_path)),
        scene.call("wrap").raw(format!("{{\"plaintext\": \"{secret}\", \"additionalAuthenticatedData\": 5}}")),
        scene.call("wrap").raw(format!("{{\"plaintext\": \"{text}\"}}")),
        scene.call("wrap").raw(format!("{{\"plaintext\": \"{secret}\"")),
        scene.call("unwrap").with(&json!({"wrappedBlob": secret})),
    ];
    let keeps = |call: Call| call.expect(Expect::ErrorBody(Aspect::KeepsSecret(kept.clone())));
    Plan::Calls(calls.map(keeps).into())
}
