//! Cases of what a rightly signed token says: who, for whom, from when to when.

use serde_json::{Value, json};

use super::super::case::{Case, Group, Lack, Mark, Plan, Severity};
use super::super::expect::Refusal;
use super::super::scene::GOOGLE_ISSUER;
use super::{refuses_tokens, takes_tokens};

/// Beyond any leeway, in seconds.
const FAR: u64 = 600;
/// Within the leeway of a minute, in seconds.
const NEAR: u64 = 20;
/// A service agent of Cloud EKM that nobody granted anything: the project number is too large to exist.
const STRANGER: &str = "service-999999999999999@gcp-sa-ekms.iam.gserviceaccount.com";

/// The rows.
pub const CASES: &[Case] = &[
    Case {
        name: "expired",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "tokens that ended ten minutes and a year ago",
        right: "401, UNAUTHENTICATED",
        why: "A token that leaked once would open everything for ever; 403 would disable the customer's key version.",
        remedy: "check `exp` on every call, also of a token that was verified before, and answer 401",
        plan: |scene| {
            let ended = |ago: u64| {
                scene.bearer(|_, claims| {
                    claims["exp"] = json!(scene.now.saturating_sub(ago));
                    claims["iat"] = json!(scene.now.saturating_sub(ago + 3000));
                })
            };
            refuses_tokens(scene, [ended(FAR), ended(365 * 86_400)], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "not-yet-valid",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "a token that begins in ten minutes",
        right: "401, UNAUTHENTICATED",
        why: "Its `nbf` says that it must not be taken yet (RFC 7519, section 4.1.5).",
        remedy: "check `nbf`, and `iat` too",
        plan: |scene| {
            let token = scene.bearer(|_, claims| {
                claims["nbf"] = json!(scene.now + FAR);
                claims["iat"] = json!(scene.now + FAR);
                claims["exp"] = json!(scene.now + FAR + 3000);
            });
            refuses_tokens(scene, [token], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "no-expiry",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "tokens without `exp`, and with null for it",
        right: "401, UNAUTHENTICATED",
        why: "Without an end it would be good for ever, and Google's tokens have one.",
        remedy: "insist on `exp`",
        plan: |scene| {
            refuses_tokens(scene, [scene.without("exp"), scene.claiming("exp", Value::Null)], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "odd-expiry",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "`exp` in the past as a fraction and as a text, and as a list, `true`, and a negative number",
        right: "401, UNAUTHENTICATED, each time",
        why: "A reader that takes what is no number for nought or for the end of time takes tokens that ended.",
        remedy: "take `exp` as a number alone, and refuse the rest",
        plan: |scene| {
            let past = scene.now.saturating_sub(FAR);
            let fraction: Value = serde_json::from_str(&format!("{past}.5")).expect("that is a number");
            let values = [fraction, json!(past.to_string()), json!([past]), json!(true), json!(-1), json!({})];
            refuses_tokens(scene, values.map(|value| scene.claiming("exp", value)), Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "clocks-differ",
        group: Group::Claims,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "tokens that ended 20 s ago, and that begin in 20 s",
        right: "taken: a minute of leeway",
        why: "Clocks differ. Without leeway a skew of a second refuses fresh tokens, which is final to the caller.",
        remedy: "allow 60 s on both sides",
        plan: |scene| {
            let ended = scene.claiming("exp", json!(scene.now.saturating_sub(NEAR)));
            let begins = scene.claiming("iat", json!(scene.now + NEAR));
            takes_tokens(scene, [ended, begins])
        },
    },
    Case {
        name: "long-lived",
        group: Group::Claims,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "a token that lives a month",
        right: "401, UNAUTHENTICATED",
        why: "Google's tokens live for an hour at most; one that lives longer was made by somebody else.",
        remedy: "refuse tokens whose `exp` is more than an hour and the leeway after `iat`",
        plan: |scene| {
            refuses_tokens(scene, [scene.claiming("exp", json!(scene.now + 30 * 86_400))], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "audience-of-another",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Live,
        sends: "audiences of other hosts, some of which begin or end as the right one, and none at all",
        right: "401, UNAUTHENTICATED, each time",
        why: "Whoever runs another EKM gets Google's tokens for it, and could show them here.",
        remedy: "compare `aud` as a whole with the configured audiences",
        plan: |scene| {
            let right = &scene.facts.audience;
            let host = right.trim_start_matches("https://");
            let others = [
                "https://ekm.example.com".to_owned(),
                format!("{right}.example.com"),
                format!("https://x{host}"),
                format!("https://example.com/{host}"),
                format!("https://{host}@example.com"),
                "*".to_owned(),
                String::new(),
            ];
            let mut values = others.map(|other| scene.claiming("aud", other.into())).to_vec();
            values.extend([scene.without("aud"), scene.claiming("aud", json!(true)), scene.claiming("aud", json!([]))]);
            refuses_tokens(scene, values, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "audience-spelled-otherwise",
        group: Group::Claims,
        severity: Severity::Recommended,
        mark: Mark::Live,
        sends: "the right audience with a port, a slash or a path at the end, in upper case, and with http",
        right: "401, UNAUTHENTICATED, each time",
        why: "Google sends exactly `https://` and the host name, also where the port is another; whoever compares by parts compares too little.",
        remedy: "compare the texts for equality, without normalising",
        plan: |scene| {
            let right = &scene.facts.audience;
            let spellings = [
                format!("{right}:8443"),
                format!("{right}/"),
                format!("{right}/v0"),
                right.to_uppercase(),
                right.replacen("https:", "http:", 1),
            ];
            let values = spellings.map(|other| scene.claiming("aud", other.into()));
            refuses_tokens(scene, values, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "audience-list",
        group: Group::Claims,
        severity: Severity::Recommended,
        mark: Mark::Inferred,
        sends: "a list of audiences with the right one and another in it",
        right: "401, UNAUTHENTICATED",
        why: "Google sends one text; a token for several hosts can be shown by each of them to the others.",
        remedy: "take `aud` as a text alone",
        plan: |scene| {
            let list = json!(["https://ekm.example.com", scene.facts.audience]);
            refuses_tokens(scene, [scene.claiming("aud", list)], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "issuer-of-another",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Live,
        sends: "issuers that are others, or begin or end as the right one, and none at all",
        right: "401, UNAUTHENTICATED, each time",
        why: "The same keys may sign for several issuers; only Google's says that this is Cloud KMS.",
        remedy: "compare `iss` as a whole with the configured issuers",
        plan: |scene| {
            let right = &scene.facts.issuer;
            let others = [
                "https://issuer.example.com".to_owned(),
                format!("{right}.example.com"),
                format!("{right}/x"),
                format!("x{right}"),
                String::new(),
            ];
            let mut values = others.map(|other| scene.claiming("iss", other.into())).to_vec();
            values.extend([scene.without("iss"), scene.claiming("iss", json!([right]))]);
            refuses_tokens(scene, values, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "issuer-without-scheme",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Live,
        sends: "the issuer as `accounts.google.com`",
        right: "taken",
        why: "Google's tokens name their issuer in both ways.",
        remedy: "configure both spellings as issuers",
        plan: |scene| {
            if scene.facts.issuer != GOOGLE_ISSUER {
                return Plan::Lacks(Lack::GoogleIssuer);
            }
            takes_tokens(scene, [scene.claiming("iss", json!("accounts.google.com"))])
        },
    },
    Case {
        name: "unverified-email",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "the granted e-mail with `email_verified` false, and without it",
        right: "401 or 403",
        why: "An e-mail that the issuer does not vouch for is a claim that anybody can make.",
        remedy: "insist on `email_verified` true",
        plan: |scene| {
            let values = [scene.claiming("email_verified", json!(false)), scene.without("email_verified")];
            refuses_tokens(scene, values, Refusal::STRANGER)
        },
    },
    Case {
        name: "no-email",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "tokens without an e-mail, with an empty one, and with a list; the granted one stands in `sub` and `azp`",
        right: "401 or 403",
        why: "Grants name an e-mail; a token without one belongs to nobody.",
        remedy: "insist on `email`, and read the caller from nothing else",
        plan: |scene| {
            let email = json!(scene.facts.email);
            let edits: [fn(&mut Value, &Value); 3] = [
                |claims, _| drop(claims.as_object_mut().map(|claims| claims.remove("email"))),
                |claims, _| claims["email"] = json!(""),
                |claims, email| claims["email"] = json!([email]),
            ];
            let values = edits.map(|edit| {
                scene.bearer(|_, claims| {
                    edit(claims, &email);
                    claims["sub"] = email.clone();
                    claims["azp"] = email.clone();
                })
            });
            refuses_tokens(scene, values, Refusal::STRANGER)
        },
    },
    Case {
        name: "ungranted-email",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a right token of another project's service agent",
        right: "403, PERMISSION_DENIED",
        why: "That it is Cloud KMS who calls says nothing about for whom: every project of Google Cloud has such an agent.",
        remedy: "grant e-mails by name; the suffix of an address alone authorises nothing",
        plan: |scene| refuses_tokens(scene, [scene.claiming("email", json!(STRANGER))], Refusal::DENIED),
    },
    Case {
        name: "lookalike-email",
        group: Group::Claims,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "e-mails that begin or end as the granted one, have a space, a wildcard or another domain",
        right: "403 or 401, each time",
        why: "Whoever compares a part of an address lets in whoever registers the rest.",
        remedy: "compare the whole address",
        plan: |scene| {
            refuses_tokens(
                scene,
                lookalikes(&scene.facts.email).map(|email| scene.claiming("email", email.into())),
                Refusal::STRANGER,
            )
        },
    },
    Case {
        name: "claims-twice",
        group: Group::Claims,
        severity: Severity::Recommended,
        mark: Mark::Standard,
        sends: "claims with two e-mails, the granted one and another, in both orders",
        right: "401 or 403 (RFC 7519, section 4, lets a reader refuse)",
        why: "Two readers may take two different ones: the one that checks and the one that uses.",
        remedy: "refuse claims with a name that stands there twice",
        plan: |scene| {
            let claims = scene.claims().to_string();
            let other = format!("\"email\":\"{STRANGER}\"");
            let doubled = [
                claims.replacen('{', &format!("{{{other},"), 1),
                format!("{},{other}}}", claims.trim_end_matches('}')),
            ];
            let header = scene.issuer.header().to_string();
            let values = doubled.map(|claims| format!("Bearer {}", scene.issuer.sign_text(&header, &claims)));
            refuses_tokens(scene, values, Refusal::STRANGER)
        },
    },
];

fn lookalikes(email: &str) -> [String; 6] {
    let name = email.split('@').next().unwrap_or_default();
    [
        format!("{email}.example.com"),
        format!("x{email}"),
        format!("{email} "),
        format!("{name}@example.com"),
        "*".to_owned(),
        format!("{email},{STRANGER}"),
    ]
}
