//! The attacks that servers of this kind fell to, as one table: each row is a good token or request with one thing wrong.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use replication::machine::policy::Principal;

use super::probe::{PROBE_AUDIENCE, ProbeIssuer};
use super::refusal::AuthnError;
use super::testing::{
    AUDIENCE, EMAIL, ISSUER, ManualClock, NOW, bearer, claims_json, good_token, header_json, second_key, signing_key,
    trust, verifier,
};
use super::verify::{Caller, ClockHealth};

/// What a row presents and what it gets: the error, or `None` for the e-mail of the good token.
struct Attack {
    name: String,
    headers: HeaderMap,
    expected: Option<AuthnError>,
}

fn attack(name: &str, headers: HeaderMap, expected: AuthnError) -> Attack {
    Attack { name: name.to_owned(), headers, expected: Some(expected) }
}

fn control(name: &str, headers: HeaderMap) -> Attack {
    Attack { name: format!("control: {name}"), headers, expected: None }
}

/// Correctly signed, with this header in place of the good one.
fn with_header(header: &str) -> HeaderMap {
    bearer(&signing_key().sign_json(header, &claims_json()))
}

/// Correctly signed, with one piece of the good claims exchanged.
fn with_claim(from: &str, to: &str) -> HeaderMap {
    let good = claims_json();
    assert!(good.contains(from), "{from} is no part of {good}");
    with_claims(&good.replacen(from, to, 1))
}

fn with_claims(claims: &str) -> HeaderMap {
    bearer(&signing_key().sign_json(&header_json(), claims))
}

fn header_with(member: &str) -> String {
    header_json().replacen('{', &format!("{{{member},"), 1)
}

fn kid_row(name: &str, kid: &str, expected: AuthnError) -> Attack {
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":{kid}}}"#);
    attack(name, with_header(&header), expected)
}

/// The same header and claims under an HMAC whose secret is what everybody can read.
fn hmac_signed(alg: &str, secret: &[u8]) -> HeaderMap {
    let header = header_json().replace("RS256", alg);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims_json()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    bearer(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())))
}

fn swapped_case(text: &str) -> String {
    let swapped = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(swapped).collect()
}

fn algorithms() -> Vec<Attack> {
    use AuthnError::AlgorithmForeign;
    let public_pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(signing_key().jwk()));
    let mut rows = vec![
        control("RS256", bearer(&good_token())),
        control("type in small letters", with_header(&header_json().replace("JWT", "jwt"))),
        control("no type", with_header(&header_json().replace(r#","typ":"JWT""#, ""))),
        attack(
            "HS256 with the public key set as the secret",
            hmac_signed("HS256", signing_key().jwk().as_bytes()),
            AlgorithmForeign,
        ),
        attack("HS256 with a PEM as the secret", hmac_signed("HS256", public_pem.as_bytes()), AlgorithmForeign),
        attack(
            "RS256 with an HMAC as the signature",
            hmac_signed("RS256", signing_key().jwk().as_bytes()),
            AuthnError::SignatureInvalid,
        ),
        attack(
            "no algorithm",
            with_header(&header_json().replace(r#""alg":"RS256","#, "")),
            AuthnError::HeaderMalformed,
        ),
        attack(
            "a list of algorithms",
            with_header(&header_json().replace(r#""RS256""#, r#"["RS256"]"#)),
            AuthnError::HeaderMalformed,
        ),
        attack("another type", with_header(&header_json().replace("JWT", "at+jwt")), AuthnError::TypeForeign),
    ];
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256", "RS256 "]
    {
        rows.push(attack(&format!("alg {alg:?}"), with_header(&header_json().replace("RS256", alg)), AlgorithmForeign));
    }
    let none = URL_SAFE_NO_PAD.encode(header_json().replace("RS256", "none"));
    let claims = URL_SAFE_NO_PAD.encode(claims_json());
    rows.push(attack("alg none without a signature", bearer(&format!("{none}.{claims}.")), AuthnError::TokenShape));
    rows
}

fn headers() -> Vec<Attack> {
    use AuthnError::{HeaderForbidden, HeaderMalformed, KidMalformed, KidUnknown};
    let long = format!("\"{}\"", "k".repeat(257));
    let mut rows = vec![
        control("an unknown header member", with_header(&header_with(r#""x":{"y":[1]}"#))),
        attack("no kid", with_header(r#"{"alg":"RS256","typ":"JWT"}"#), KidMalformed),
        attack("kid twice", with_header(&header_with(r#""kid":"a""#)), HeaderMalformed),
        attack("an unknown member twice", with_header(&header_with(r#""x":1,"x":1"#)), HeaderMalformed),
        attack("a header that is a list", with_header(r#"["RS256","JWT","k"]"#), HeaderMalformed),
        attack("bytes after the header", with_header(&format!("{} {{}}", header_json())), HeaderMalformed),
        kid_row("unknown kid", "\"no-such-key\"", KidUnknown),
        kid_row("a kid of another key's", &format!("\"{}\"", second_key().kid()), KidUnknown),
        kid_row("a kid in other case", &format!("\"{}\"", swapped_case(signing_key().kid().as_str())), KidUnknown),
        kid_row("null kid", "null", KidMalformed),
        kid_row("number kid", "1", HeaderMalformed),
        kid_row("list kid", &format!("[\"{}\"]", signing_key().kid()), HeaderMalformed),
        kid_row("empty kid", "\"\"", KidMalformed),
        kid_row("long kid", &long, KidMalformed),
    ];
    for kid in [
        "../../dev/null",
        "/etc/passwd",
        "..",
        "a/b",
        "c:\\\\keys",
        "%2e%2e",
        "a\\u0000",
        "a b",
        "a\\n",
        "k' OR '1'='1",
    ] {
        rows.push(kid_row(&format!("kid {kid}"), &format!("\"{kid}\""), KidMalformed));
    }
    let jwk = signing_key().jwk();
    for member in [
        r#""crit":["exp"]"#.to_owned(),
        r#""crit":null"#.to_owned(),
        r#""cr\u0069t":[]"#.to_owned(),
        r#""jku":"https://evil.example/keys""#.to_owned(),
        format!(r#""jwk":{jwk}"#),
        r#""x5u":"https://evil.example/cert""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        rows.push(attack(&member, with_header(&header_with(&member)), HeaderForbidden));
    }
    rows
}

fn audiences_and_issuers() -> Vec<Attack> {
    use AuthnError::{AudienceForeign, ClaimsMalformed, IssuerForeign};
    let mut rows = vec![
        control("the second audience", with_claim(AUDIENCE, "https://second.example.com")),
        control("the issuer without https", with_claim(ISSUER, "accounts.google.com")),
        attack(
            "a list of the right audience",
            with_claim(&format!("{AUDIENCE:?}"), &format!("[{AUDIENCE:?}]")),
            ClaimsMalformed,
        ),
        attack(
            "a list with the right issuer",
            with_claim(&format!("{ISSUER:?}"), &format!("[{ISSUER:?}]")),
            ClaimsMalformed,
        ),
        attack("no audience", with_claim(&format!(r#""aud":"{AUDIENCE}","#), ""), ClaimsMalformed),
        attack("null audience", with_claim(&format!("{AUDIENCE:?}"), "null"), ClaimsMalformed),
        attack("no issuer", with_claim(&format!(r#""iss":"{ISSUER}","#), ""), ClaimsMalformed),
    ];
    for audience in [
        "https://ekm.example.co",
        "https://ekm.example.com.evil.example",
        "https://ekm.example.com/",
        "https://ekm.example.com:443",
        "https://ekm.example.com/v0",
        "https://EKM.example.com",
        "HTTPS://ekm.example.com",
        "http://ekm.example.com",
        "ekm.example.com",
        " https://ekm.example.com",
        "https://xekm.example.com",
        "https://ekm.example.com,https://second.example.com",
        "https://ekm.example.com\\u0000",
        "*",
        "",
        PROBE_AUDIENCE,
    ] {
        rows.push(attack(&format!("audience {audience}"), with_claim(AUDIENCE, audience), AudienceForeign));
    }
    for issuer in [
        "https://accounts.google.com/",
        "https://accounts.google.com.evil.example",
        "https://evil.example",
        "ACCOUNTS.GOOGLE.COM",
        "",
    ] {
        rows.push(attack(&format!("issuer {issuer}"), with_claim(ISSUER, issuer), IssuerForeign));
    }
    rows
}

fn times() -> Vec<Attack> {
    use AuthnError::{ClaimsMalformed, Expired, LifetimeTooLong, NotYetValid, TimesContradict};
    let at = |iat: &str, exp: &str| {
        with_claim(&format!(r#""iat":{},"exp":{}"#, NOW - 600, NOW + 3000), &format!(r#""iat":{iat},"exp":{exp}"#))
    };
    let seconds = |iat: u64, exp: u64| at(&iat.to_string(), &exp.to_string());
    let nbf = |value: &str| with_claim(r#""sub":"1""#, &format!(r#""nbf":{value}"#));
    let (iat, exp) = ((NOW - 600).to_string(), (NOW + 3000).to_string());
    vec![
        control("expired within the leeway", seconds(NOW - 3600, NOW - 59)),
        control("issued ahead within the leeway", seconds(NOW + 60, NOW + 3600)),
        control("an hour and the leeway long", seconds(NOW - 60, NOW + 3600)),
        control("not before within the leeway", nbf(&(NOW + 60).to_string())),
        attack("expired", seconds(NOW - 3600, NOW - 60), Expired),
        attack("expired long ago", seconds(1, 3601), Expired),
        attack("issued in the future", seconds(NOW + 61, NOW + 3600), NotYetValid),
        attack("not yet valid", nbf(&(NOW + 61).to_string()), NotYetValid),
        attack("not before its own end", nbf(&exp), TimesContradict),
        attack("issued at its own end", seconds(NOW + 10, NOW + 10), TimesContradict),
        attack("issued after its own end", seconds(NOW + 20, NOW + 10), TimesContradict),
        attack("longer than an hour and the leeway", seconds(NOW - 61, NOW + 3600), LifetimeTooLong),
        attack("for ever", seconds(NOW, u64::MAX), LifetimeTooLong),
        attack("from the beginning", seconds(0, NOW + 10), LifetimeTooLong),
        attack("at the end of time", seconds(u64::MAX - 1, u64::MAX), NotYetValid),
        attack("milliseconds", seconds(NOW * 1000, NOW * 1000 + 3600), NotYetValid),
        attack("beyond 64 bits", at(&iat, "18446744073709551616"), ClaimsMalformed),
        attack("negative", at("-1", &exp), ClaimsMalformed),
        attack("float end", at(&iat, &format!("{exp}.0")), ClaimsMalformed),
        attack("float start", at(&format!("{iat}.5"), &exp), ClaimsMalformed),
        attack("exponent", at(&iat, "18e8"), ClaimsMalformed),
        attack("string end", at(&iat, &format!("\"{exp}\"")), ClaimsMalformed),
        attack("null end", at(&iat, "null"), ClaimsMalformed),
        attack("string not-before", nbf("\"1\""), ClaimsMalformed),
        attack("no end", with_claim(&format!(r#","exp":{exp}"#), ""), ClaimsMalformed),
        attack("no start", with_claim(&format!(r#""iat":{iat},"#), ""), ClaimsMalformed),
    ]
}

fn claims_and_callers() -> Vec<Attack> {
    use AuthnError::{ClaimsMalformed, EmailMalformed, EmailUnverified};
    let members: Vec<String> = (0..64).map(|n| format!(r#""m{n}":1"#)).collect();
    let deep = format!(r#""sub":{}{}"#, "[".repeat(500), "]".repeat(500));
    vec![
        control("an unknown claim", with_claim(r#""sub":"1""#, r#""x":{"y":[1.5,null]}"#)),
        control("an unknown claim nested deeply, skipped without recursion", with_claim(r#""sub":"1""#, &deep)),
        attack("issuer twice", with_claim(r#""sub":"1""#, &format!(r#""iss":"{ISSUER}""#)), ClaimsMalformed),
        attack("e-mail twice", with_claim(r#""sub":"1""#, &format!(r#""email":"{EMAIL}""#)), ClaimsMalformed),
        attack(
            "an escaped name twice",
            with_claim(r#""sub":"1""#, &format!(r#""\u0061ud":"{AUDIENCE}""#)),
            ClaimsMalformed,
        ),
        attack("an unknown claim twice", with_claim(r#""sub":"1""#, r#""sub":"1","sub":"2""#), ClaimsMalformed),
        attack("too many claims", with_claim(r#""sub":"1""#, &members.join(",")), ClaimsMalformed),
        attack("a list of claims", with_claims(&format!("[{}]", claims_json())), ClaimsMalformed),
        attack("bytes after the claims", with_claims(&format!("{}{{}}", claims_json())), ClaimsMalformed),
        attack("empty claims", with_claims("{}"), ClaimsMalformed),
        attack("no JSON", with_claims("iss=x"), ClaimsMalformed),
        attack("e-mail not verified", with_claim("true", "false"), EmailUnverified),
        attack("e-mail verified as a string", with_claim("true", "\"true\""), ClaimsMalformed),
        attack("e-mail verified as a number", with_claim("true", "1"), ClaimsMalformed),
        attack("e-mail not said to be verified", with_claim(r#""email_verified":true,"#, ""), ClaimsMalformed),
        attack("no e-mail", with_claim(&format!(r#""email":"{EMAIL}","#), ""), ClaimsMalformed),
        attack("e-mail in a list", with_claim(&format!("{EMAIL:?}"), &format!("[{EMAIL:?}]")), ClaimsMalformed),
        attack("e-mail without @", with_claim(EMAIL, "service-1"), EmailMalformed),
        attack("e-mail with two @", with_claim(EMAIL, "a@b@c"), EmailMalformed),
        attack("e-mail with a line end", with_claim(EMAIL, "a@b\\n"), EmailMalformed),
        attack("the probe by its name", with_claim(EMAIL, "probe"), EmailMalformed),
    ]
}

fn shapes_and_signatures() -> Vec<Attack> {
    use AuthnError::{NotBearer, SignatureInvalid, TokenMissing, TokenRepeated, TokenShape, TokenTooLong};
    let good = good_token();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let one = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).expect("printable"))]);
    let foreign = second_key().sign_json(&header_json(), &claims_json());
    let other_claims = URL_SAFE_NO_PAD.encode(claims_json().replace("service-1", "service-2"));
    let mut twice = bearer(&good);
    twice.append(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {good}")).expect("printable"));
    let mut twice_other = one("Basic YTpi");
    twice_other.append(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {good}")).expect("printable"));
    let cookie = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("token={good}")).expect("printable"))]);
    vec![
        control("scheme in capitals", one(&format!("BEARER {good}"))),
        attack("no header; a token in the query is not looked at", HeaderMap::new(), TokenMissing),
        attack("a token in a cookie", cookie, TokenMissing),
        attack("two equal headers", twice, TokenRepeated),
        attack("two different headers", twice_other, TokenRepeated),
        attack("two tokens in one header", one(&format!("Bearer {good}, Bearer {good}")), TokenShape),
        attack("another scheme", one(&format!("Basic {good}")), NotBearer),
        attack("no scheme", one(&good), NotBearer),
        attack("no token", one("Bearer "), NotBearer),
        attack("two parts", bearer(&format!("{header}.{claims}")), TokenShape),
        attack("five parts", bearer(&format!("{good}.{claims}.{signature}")), TokenShape),
        attack("four parts", bearer(&format!("{good}.")), TokenShape),
        attack("empty header", bearer(&format!(".{claims}.{signature}")), TokenShape),
        attack("empty claims part", bearer(&format!("{header}..{signature}")), TokenShape),
        attack("empty signature", bearer(&format!("{header}.{claims}.")), TokenShape),
        attack("nothing but dots", bearer(".."), TokenShape),
        attack("padded signature", bearer(&format!("{good}==")), TokenShape),
        attack("standard base64", bearer(&format!("{header}.{claims}.+/{}", &signature[2..])), TokenShape),
        attack("a tab after it", one(&format!("Bearer {good}\t")), TokenShape),
        attack("a megabyte", bearer(&format!("{header}.{}.{signature}", "A".repeat(1 << 20))), TokenTooLong),
        attack("a byte too long", bearer(&format!("{good}{}", "A".repeat(8193 - good.len()))), TokenTooLong),
        attack("signed by another key under this kid", bearer(&foreign), SignatureInvalid),
        attack("changed claims", bearer(&format!("{header}.{other_claims}.{signature}")), SignatureInvalid),
        attack(
            "half a signature",
            bearer(&format!("{header}.{claims}.{}", &signature[..signature.len() / 2])),
            SignatureInvalid,
        ),
        attack("a longer signature", bearer(&format!("{good}AAAA")), SignatureInvalid),
        attack(
            "a signature of zeros",
            bearer(&format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 256]))),
            SignatureInvalid,
        ),
    ]
}

/// A token that the probe's key did not sign, or that says more than the probe's do, is nobody's.
fn probes(probe: &ProbeIssuer) -> Vec<Attack> {
    use AuthnError::{AudienceForeign, IssuerForeign, KidUnknown, SignatureInvalid};
    let kid = probe.verifier().kid.as_str().to_owned();
    let header = header_json().replace(signing_key().kid().as_str(), &kid);
    let probe_claims = claims_json().replace(ISSUER, &probe.verifier().issuer).replace(AUDIENCE, PROBE_AUDIENCE);
    let other = ProbeIssuer::generate().expect("the library makes an RSA key");
    let other_token = other.mint(replication::clock::Timestamp(NOW * 1000));
    vec![
        attack("the probe's claims under the issuer's key", with_claims(&probe_claims), IssuerForeign),
        attack("the probe's kid under the issuer's key", with_header(&header), SignatureInvalid),
        attack("another process's probe", bearer(&other_token), KidUnknown),
        attack(
            "the probe as a service account",
            bearer(&probe.signing_key().sign_json(&header, &claims_json())),
            IssuerForeign,
        ),
        attack(
            "the probe for this server's audience",
            bearer(&probe.signing_key().sign_json(&header, &claims_json().replace(ISSUER, &probe.verifier().issuer))),
            AudienceForeign,
        ),
    ]
}

#[test]
fn no_known_attack_proves_a_caller_and_each_gets_its_own_401() {
    let probe = ProbeIssuer::generate().expect("the library makes an RSA key");
    let groups = [
        algorithms(),
        headers(),
        audiences_and_issuers(),
        times(),
        claims_and_callers(),
        shapes_and_signatures(),
        probes(&probe),
    ];
    let verifier = verifier(ManualClock::new()).with_probe(probe.verifier());
    let service_account = Principal::ServiceAccount(EMAIL.parse().expect("the test's caller is an e-mail"));
    let mut wrong = Vec::new();
    for Attack { name, headers, expected } in groups.into_iter().flatten() {
        let got = verifier.verify_headers(&headers, &trust(), ClockHealth::Agrees);
        let fits = match (&got, expected) {
            (Ok(caller), None) => *caller.principal() == service_account,
            (Err(error), Some(expected)) => *error == expected && error.is_final(),
            (Ok(_), Some(_)) | (Err(_), None) => false,
        };
        if !fits {
            wrong.push(format!("{name}: expected {expected:?}, got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let own = bearer(&probe.mint(replication::clock::Timestamp(NOW * 1000)));
    let proven = verifier.verify_headers(&own, &trust(), ClockHealth::Agrees);
    assert_eq!(proven.as_ref().map(Caller::principal), Ok(&Principal::Probe), "control: the probe itself");
}
