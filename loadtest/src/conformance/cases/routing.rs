//! Cases of which call a path is: the last colon, the host, neighbouring paths, what is not offered.

use http::Method;

use super::super::call::{Call, HostForm};
use super::super::case::{Case, Group, Mark, Plan, Severity};
use super::super::expect::{Expect, Refusal};
use super::super::scene::Scene;
use super::{PLAINTEXT, after_wrap};

/// The rows.
pub const CASES: &[Case] = &[
    Case {
        name: "encoded-colon",
        group: Group::Routing,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "an unwrap with `%3Aunwrap` and with `%3aunwrap` for `:unwrap`",
        right: "the same call",
        why: "A client or a proxy may encode the colon; RFC 3986 lets it.",
        remedy: "look for the last `:`, `%3A` or `%3a` of the path",
        plan: |scene| {
            let spelled = |colon: &str| scene.unwrap(0).to(format!("/{}{colon}unwrap", scene.facts.key_path));
            after_wrap(scene, ["%3A", "%3a"].map(|colon| spelled(colon).gives(PLAINTEXT)))
        },
    },
    Case {
        name: "host-forms",
        group: Group::Routing,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps whose `Host` has no port, the port of the address, and 443",
        right: "taken: the port is not looked at",
        why: "The port comes from Service Directory; Host may or may not carry it, and a mismatch would refuse every call.",
        remedy: "compare the host name alone, or do not look at Host",
        plan: |scene| {
            let hosts = [HostForm::WithoutPort, HostForm::WithPort, HostForm::WithPort443];
            after_wrap(scene, hosts.map(|host| Call { host, ..scene.unwrap(0) }.gives(PLAINTEXT)))
        },
    },
    Case {
        name: "unknown-key",
        group: Group::Routing,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a right wrap and a right unwrap of a key that is not there",
        right: "404, NOT_FOUND",
        why: "403 for a key that is unknown disables the customer's key version in Cloud KMS, and hides that the path is mistyped.",
        remedy: "resolve the path first and answer 404; give --unknown-key-path if the kit's made-up path is special here",
        plan: |scene| {
            let at = |verb: &str| format!("/{}:{verb}", scene.facts.unknown_key_path);
            let calls = [scene.wrap(PLAINTEXT).to(at("wrap")), scene.unwrap(0).to(at("unwrap"))];
            after_wrap(scene, calls.map(|call| call.refused(Refusal::UNKNOWN)))
        },
    },
    Case {
        name: "neighbouring-paths",
        group: Group::Routing,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "unwraps of paths that are nearly the key's: longer, cut, with a segment after it or before it",
        right: "none is served: 404, 400 or 403",
        why: "An EKM that matches paths by their beginning or end lets one key's grant open another's data.",
        remedy: "compare the whole path",
        plan: |scene| {
            after_wrap(
                scene,
                neighbours(scene)
                    .map(|path| scene.unwrap(0).to(format!("/{path}:unwrap")).refused(Refusal::NO_SUCH_PATH)),
            )
        },
    },
    Case {
        name: "unknown-verb",
        group: Group::Routing,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "POST of the key with `:levitate`",
        right: "501, UNIMPLEMENTED",
        why: "404 says that the key is gone, and 403 that the caller may not use it; both are read as the end of the key.",
        remedy: "answer 501 to verbs that are not known",
        plan: |scene| Plan::Calls(vec![scene.call("levitate").refused(Refusal::NOT_OFFERED)]),
    },
    Case {
        name: "wrong-method",
        group: Group::Routing,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "GET and PUT of `:wrap`",
        right: "501 with `Allow: POST`",
        why: "404 would say that the key is gone; 405 is no code that Google's APIs use.",
        remedy: "answer 501 and name the method that is served in Allow",
        plan: |scene| {
            let methods = [Method::GET, Method::PUT];
            let calls = methods.map(|method| Call { method, ..scene.call("wrap") }.expect(Expect::WrongMethod));
            Plan::Calls(calls.into())
        },
    },
    Case {
        name: "method-not-for-this-key",
        group: Group::Routing,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "`:asymmetricSign` and `:getPublicKey` of a key that wraps",
        right: "501, UNIMPLEMENTED, if they are not offered; 400 if they are",
        why: "404 or 403 would speak about a key that is perfectly well.",
        remedy: "answer 501 to Google's methods that are not offered",
        plan: |scene| {
            let calls = ["asymmetricSign", "getPublicKey"].map(|verb| scene.call(verb));
            Plan::Calls(calls.map(|call| call.refused(Refusal::NOT_FOR_THIS_KEY)).into())
        },
    },
];

fn neighbours(scene: &Scene<'_>) -> [String; 4] {
    let path = &scene.facts.key_path;
    let cut = path.strip_suffix(|_: char| true).unwrap_or(path);
    [format!("{path}0"), cut.to_owned(), format!("{path}/x"), format!("x/{path}")]
}
