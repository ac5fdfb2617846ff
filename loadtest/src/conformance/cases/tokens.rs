//! Cases of a token's shape, signature and header: the attacks that every verifier of JSON web tokens must bear (RFC 8725).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::case::{Case, Group, Mark, Severity};
use super::super::expect::Refusal;
use super::super::scene::Scene;
use super::{PLAINTEXT, after_wrap, refuses_tokens, takes_tokens};

const FORGED: &str = "Whoever can make such a token is Cloud KMS to this EKM, and opens everything.";
const VERIFY: &str = "verify RS256, and nothing else, over the received bytes with the issuer's key of that kid, before any claim is read; \
                      answer 401";

/// The rows.
pub const CASES: &[Case] = &[
    Case {
        name: "no-token",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Google,
        sends: "a wrap and an unwrap without `Authorization`",
        right: "401, UNAUTHENTICATED",
        why: "Without a token anybody on the network could open everything.",
        remedy: "refuse calls without a token before anything else is looked at",
        plan: |scene| {
            let calls = [scene.unwrap(0), scene.wrap(PLAINTEXT)];
            after_wrap(scene, calls.map(|call| call.by([]).refused(Refusal::UNAUTHENTICATED)))
        },
    },
    Case {
        name: "token-for-each-call",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "a right unwrap, then on the same connection one with an empty token",
        right: "401, UNAUTHENTICATED, for the second",
        why: "Connections are shared, by proxies above all: who spoke before is not who speaks now.",
        remedy: "bind the caller to the request, never to the connection",
        plan: |scene| {
            let empty = scene.unwrap(0).by(["Bearer ".to_owned()]).refused(Refusal::UNAUTHENTICATED);
            after_wrap(scene, [scene.unwrap(0).gives(PLAINTEXT), empty])
        },
    },
    Case {
        name: "malformed-token",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "tokens of one, two, four and five parts, of other characters, of a header that is no JSON, of claims that are no object",
        right: "401, UNAUTHENTICATED, each time",
        why: "A parser that stumbles answers 500, which is tried again for ever, or 403, which disables the key.",
        remedy: "catch every error of the token's parser and answer 401",
        plan: |scene| {
            let token = scene.token();
            let (signed, _) = token.rsplit_once('.').unwrap_or((token, ""));
            let texts = ["{", "[]", "7"].map(|text| scene.issuer.sign_text(&scene.issuer.header().to_string(), text));
            let headers = ["", "{", "[]"].map(|text| scene.issuer.sign_text(text, &scene.claims().to_string()));
            let mut tokens = ["x", "..", "a.b", "%.%.%", signed].map(str::to_owned).to_vec();
            tokens.extend([format!("{token}.{token}"), format!("{token}.")]);
            tokens.extend(texts.into_iter().chain(headers));
            refuses_tokens(scene, tokens.into_iter().map(|token| format!("Bearer {token}")), Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "other-scheme",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "the right token without a scheme, and as Basic, Digest and Bearerx",
        right: "401, UNAUTHENTICATED, each time",
        why: "The header says how it is to be read; whoever ignores that will read something else as a token one day.",
        remedy: "take the scheme Bearer alone",
        plan: |scene| {
            let values = ["", "Basic ", "Digest ", "Bearerx "].map(|scheme| format!("{scheme}{}", scene.token()));
            refuses_tokens(scene, values, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "scheme-in-any-case",
        group: Group::Tokens,
        severity: Severity::Recommended,
        mark: Mark::Standard,
        sends: "the right token with `bearer` and `BEARER`",
        right: "taken (RFC 9110, section 11.1)",
        why: "The case of a scheme has no meaning, and clients differ.",
        remedy: "compare the scheme without regard to case",
        plan: |scene| takes_tokens(scene, ["bearer ", "BEARER "].map(|scheme| format!("{scheme}{}", scene.token()))),
    },
    Case {
        name: "unsigned-token",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "right claims under alg none, None and NONE, without a signature and with any",
        right: "401, UNAUTHENTICATED, each time",
        why: FORGED,
        remedy: VERIFY,
        plan: |scene| {
            let tokens = ["none", "None", "NONE"].into_iter().flat_map(|alg| {
                let signed = unsigned(scene, &json!({"alg": alg, "kid": scene.issuer.key_id(), "typ": "JWT"}));
                [format!("Bearer {signed}."), format!("Bearer {signed}.AAAA")]
            });
            refuses_tokens(scene, tokens.collect::<Vec<_>>(), Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "hmac-with-public-key",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "right claims under HS256, with the issuer's public key, which is no secret, as the secret",
        right: "401, UNAUTHENTICATED, each time",
        why: FORGED,
        remedy: VERIFY,
        plan: |scene| {
            let header = json!({"alg": "HS256", "kid": scene.issuer.key_id(), "typ": "JWT"});
            let signed = unsigned(scene, &header);
            let tokens = scene.issuer.public_encodings().map(|secret| {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
                let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
                format!("Bearer {signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
            });
            refuses_tokens(scene, tokens, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "altered-signature",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "a right token whose signature is empty, cut, or has its first or a middle character changed",
        right: "401, UNAUTHENTICATED, each time",
        why: FORGED,
        remedy: VERIFY,
        plan: |scene| {
            let (signed, signature) = scene.token().rsplit_once('.').unwrap_or_default();
            let changed = |at: usize| {
                let other = if signature[at..].starts_with('A') { "B" } else { "A" };
                format!("{}{other}{}", &signature[..at], &signature[at + 1..])
            };
            let signatures =
                [String::new(), signature[..signature.len() / 2].to_owned(), changed(0), changed(signature.len() / 2)];
            let tokens = signatures.map(|signature| format!("Bearer {signed}.{signature}"));
            refuses_tokens(scene, tokens, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "altered-claims",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "first a right token, then its signature under another header and under other claims",
        right: "401, UNAUTHENTICATED, each time, also after the right one was seen",
        why: "An EKM that remembers tokens by a part of them, or checks the signature over something else, takes forged claims.",
        remedy: "verify the signature over the received bytes, and remember tokens by the hash of all of them",
        plan: |scene| {
            let (signed, signature) = scene.token().rsplit_once('.').unwrap_or_default();
            let (header, claims) = signed.split_once('.').unwrap_or_default();
            let mut later = scene.claims();
            later["exp"] = json!(scene.now + 3200);
            let other = unsigned(scene, &json!({"alg": "RS256", "kid": scene.issuer.key_id(), "typ": "jwt"}));
            let (other_header, _) = other.split_once('.').unwrap_or_default();
            let later = BASE64_URL_SAFE_NO_PAD.encode(later.to_string());
            let tokens = [format!("{header}.{later}.{signature}"), format!("{other_header}.{claims}.{signature}")];
            refuses_tokens(scene, tokens.map(|token| format!("Bearer {token}")), Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "foreign-key-same-id",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "right header and claims, signed by another RSA key",
        right: "401, UNAUTHENTICATED",
        why: FORGED,
        remedy: VERIFY,
        plan: |scene| {
            let token = scene.forger.sign(&scene.issuer.header(), &scene.claims());
            refuses_tokens(scene, [format!("Bearer {token}")], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "foreign-key-foreign-id",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "right claims signed by another RSA key, under ids that no key set has, one of them a path and one a statement of SQL",
        right: "401, UNAUTHENTICATED, or 503 while the key set is looked at anew",
        why: "Ids are text of a stranger: one that is used as a file's name or in a query lets him choose the key.",
        remedy: "look the id up in the key set in memory, and refuse what is not there",
        plan: |scene| {
            let ids = ["of-nobody", "../../../../dev/null", "x' UNION SELECT 'key", ""];
            let tokens = ids.map(|kid| {
                let header = json!({"alg": "RS256", "kid": kid, "typ": "JWT"});
                format!("Bearer {}", scene.forger.sign(&header, &scene.claims()))
            });
            refuses_tokens(scene, tokens, Refusal::UNKNOWN_ISSUER_KEY)
        },
    },
    Case {
        name: "key-in-header",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "right claims signed by another RSA key, which the header brings along: jwk, jku, x5u, x5c",
        right: "401, UNAUTHENTICATED, each time",
        why: FORGED,
        remedy: "take keys from the configured key set alone; ignore or refuse jwk, jku, x5u and x5c, and fetch nothing",
        plan: |scene| {
            // the forger's key set names the trusted issuer's kid
            let jwk = scene.forger.key_set()["keys"][0].take();
            let url = json!("https://keys.invalid/set");
            let members = [("jwk", jwk), ("jku", url.clone()), ("x5u", url), ("x5c", json!(["AAAA"]))];
            let tokens = members.map(|(name, value)| {
                let mut header = scene.issuer.header();
                header[name] = value;
                format!("Bearer {}", scene.forger.sign(&header, &scene.claims()))
            });
            refuses_tokens(scene, tokens, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "critical-header",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Standard,
        sends: "a token of the trusted issuer whose header says that an unknown extension is critical",
        right: "401, UNAUTHENTICATED (RFC 7515, section 4.1.11)",
        why: "`crit` says that whoever does not understand the extension must not take the token.",
        remedy: "refuse tokens with `crit`",
        plan: |scene| {
            let token = scene.bearer(|header, _| {
                header["crit"] = json!(["extension-of-a-later-year"]);
                header["extension-of-a-later-year"] = json!(true);
            });
            refuses_tokens(scene, [token], Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "other-algorithm-named",
        group: Group::Tokens,
        severity: Severity::Recommended,
        mark: Mark::Standard,
        sends: "RS256 signatures of the trusted issuer under headers that name RS512, PS256, ES256, or nothing",
        right: "401, UNAUTHENTICATED, each time",
        why: "A verifier that guesses the algorithm has one more way to guess wrong (RFC 8725, section 3.1).",
        remedy: "refuse every `alg` but RS256",
        plan: |scene| {
            let algorithms = [json!("RS512"), json!("PS256"), json!("ES256"), Value::Null];
            let tokens = algorithms.map(|alg| scene.bearer(|header, _| header["alg"] = alg));
            refuses_tokens(scene, tokens, Refusal::UNAUTHENTICATED)
        },
    },
    Case {
        name: "two-tokens",
        group: Group::Tokens,
        severity: Severity::Recommended,
        mark: Mark::Standard,
        sends: "two `Authorization` headers, the right one and one of nobody, in both orders",
        right: "401, or 400: which of them counts is not said (RFC 9110, section 5.3)",
        why: "A proxy may look at one of them and the EKM at the other.",
        remedy: "refuse calls with several Authorization headers",
        plan: |scene| {
            let (right, other) = (scene.right().to_owned(), "Bearer a.b.c".to_owned());
            let pairs = [[right.clone(), other.clone()], [other, right]];
            after_wrap(scene, pairs.map(|pair| scene.unwrap(0).by(pair).refused(Refusal::TWO_TOKENS)))
        },
    },
    Case {
        name: "token-elsewhere",
        group: Group::Tokens,
        severity: Severity::Required,
        mark: Mark::Inferred,
        sends: "the right token in the query, in a cookie, and in the body, and none in `Authorization`",
        right: "401, UNAUTHENTICATED, each time",
        why: "Queries and cookies end in logs and browsers; a token that counts there will be stolen there.",
        remedy: "look at Authorization alone",
        plan: |scene| {
            let token = scene.token();
            let query = scene.unwrap(0).to(format!("{}?access_token={token}", scene.path("unwrap")));
            let cookie =
                Call { cookie: Some(format!("access_token={token}; Authorization={token}")), ..scene.unwrap(0) };
            let body = scene.unwrap(0).and("access_token", json!(token)).and("authorization", json!(scene.right()));
            let calls = [query, cookie, body];
            after_wrap(scene, calls.map(|call| call.by([]).refused(Refusal::UNAUTHENTICATED)))
        },
    },
];

/// Header and right claims, encoded and joined, without a signature.
fn unsigned(scene: &Scene<'_>, header: &Value) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(&scene.claims()))
}
