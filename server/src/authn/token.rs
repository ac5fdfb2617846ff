//! A bearer token's shape: the header that carries it, its three parts, its own header and its claims.
//!
//! Reads bytes a stranger wrote, so every length is bounded and every name and type is checked. Never decides whether
//! to believe a token; that is `verify`'s.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::refusal::AuthnError;

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `kid`, in bytes.
pub const KID_BYTES_MAX: usize = 256;
/// Most members in a token's header or claims.
pub const MEMBERS_MAX: usize = 64;

/// Header members by which a token would bring its own keys or rules.
const FORBIDDEN_HEADER_MEMBERS: [&str; 5] = ["crit", "jku", "jwk", "x5u", "x5c"];

/// What a request carries in `Authorization`, unread.
#[derive(Clone, Copy)]
pub struct AuthorizationHeader<'a>(Presented<'a>);

#[derive(Clone, Copy)]
enum Presented<'a> {
    Nothing,
    One(&'a HeaderValue),
    Several,
}

impl<'a> AuthorizationHeader<'a> {
    /// Looks at nothing but the `Authorization` headers: a token in the query or in a cookie is no token.
    pub fn from_headers(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        Self(match (values.next(), values.next()) {
            (None, _) => Presented::Nothing,
            (Some(value), None) => Presented::One(value),
            (Some(_), Some(_)) => Presented::Several,
        })
    }

    /// The token's text: after the scheme `Bearer` (in any case, RFC 9110 section 11.1) and one or more spaces.
    ///
    /// # Errors
    ///
    /// No header, several, another scheme, or a token longer than [`TOKEN_BYTES_MAX`].
    pub fn token(self) -> Result<&'a str, AuthnError> {
        let value = match self.0 {
            Presented::Nothing => return Err(AuthnError::TokenMissing),
            Presented::Several => return Err(AuthnError::TokenRepeated),
            Presented::One(value) => value,
        };
        let text = value.to_str().map_err(|_| AuthnError::NotBearer)?;
        let (scheme, rest) = text.split_once(' ').ok_or(AuthnError::NotBearer)?;
        let token = rest.trim_start_matches(' ');
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(AuthnError::NotBearer);
        }
        if token.len() > TOKEN_BYTES_MAX { Err(AuthnError::TokenTooLong) } else { Ok(token) }
    }
}

/// A key id that a key set can hold: printable ASCII of at most [`KID_BYTES_MAX`] bytes, with nothing that a path would
/// read meaning into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kid(Box<str>);

impl Kid {
    /// The id, or `None` if no key set of ours can hold it.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = (1..=KID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"/\\%\"".contains(&b))
            && !text.contains("..")
            && text != ".";
        legal.then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token of the right shape with a legal header; its signature and claims are unread.
#[derive(Debug)]
pub struct ParsedToken<'a> {
    kid: Kid,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> ParsedToken<'a> {
    /// Splits a token and reads its header.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the shape or the header; all of them final.
    pub fn parse(token: &'a str) -> Result<Self, AuthnError> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AuthnError::TokenShape);
        };
        if ![header, payload, signature].into_iter().all(is_base64url) {
            return Err(AuthnError::TokenShape);
        }
        let kid = read_header(header)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        Ok(Self { kid, signed, payload, signature })
    }

    /// Which key is said to have signed.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The bytes that were signed, as received.
    pub fn signed(&self) -> &'a [u8] {
        self.signed.as_bytes()
    }

    /// The signature, still in base64url.
    pub fn signature(&self) -> &'a str {
        self.signature
    }

    /// Reads the claims. Only for a token whose signature has been verified.
    ///
    /// # Errors
    ///
    /// [`AuthnError::ClaimsMalformed`] unless the claims are one JSON object of unique names and the expected types.
    pub fn claims(&self) -> Result<Claims, AuthnError> {
        let json = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| AuthnError::ClaimsMalformed)?;
        serde_json::from_slice::<MemberNames>(&json).map_err(|_| AuthnError::ClaimsMalformed)?;
        serde_json::from_slice(&json).map_err(|_| AuthnError::ClaimsMalformed)
    }
}

/// The claims we read, in the only types we take them in; others are ignored. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience: one, never a list.
    pub aud: String,
    /// Issued at.
    pub iat: u64,
    /// Expires at.
    pub exp: u64,
    /// Not valid before.
    #[serde(default)]
    pub nbf: Option<u64>,
    /// The caller.
    pub email: String,
    /// Whether the issuer vouches for the e-mail.
    pub email_verified: bool,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

fn is_base64url(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn read_header(part: &str) -> Result<Kid, AuthnError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthnError::TokenShape)?;
    let names: MemberNames = serde_json::from_slice(&json).map_err(|_| AuthnError::HeaderMalformed)?;
    if names.0.iter().any(|name| FORBIDDEN_HEADER_MEMBERS.contains(&name.as_str())) {
        return Err(AuthnError::HeaderForbidden);
    }
    let header: Header = serde_json::from_slice(&json).map_err(|_| AuthnError::HeaderMalformed)?;
    if header.alg != "RS256" {
        return Err(AuthnError::AlgorithmForeign);
    }
    if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(AuthnError::TypeForeign);
    }
    header.kid.as_deref().and_then(Kid::parse).ok_or(AuthnError::KidMalformed)
}

/// The names in one JSON object, each there once. serde itself refuses a repeated name only if it is one it reads; two
/// parsers that disagree about which of two wins are how tokens are forged, so here no name may repeat.
struct MemberNames(Vec<String>);

impl<'de> Deserialize<'de> for MemberNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MemberNamesVisitor)
    }
}

struct MemberNamesVisitor;

impl<'de> Visitor<'de> for MemberNamesVisitor {
    type Value = MemberNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MEMBERS_MAX} members with unique names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MemberNames, A::Error> {
        let mut names: Vec<String> = Vec::new();
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            if names.len() == MEMBERS_MAX || names.contains(&name) {
                return Err(A::Error::invalid_length(names.len() + 1, &self));
            }
            names.push(name);
        }
        Ok(MemberNames(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_is_printable_and_no_path() {
        for good in ["a", "0f3b...".trim_end_matches('.'), "key-1_A.b=", &"k".repeat(KID_BYTES_MAX)] {
            assert!(Kid::parse(good).is_some(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "%2e", "a..b", "a b", "a\n", "ä", &"k".repeat(KID_BYTES_MAX + 1)] {
            assert!(Kid::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_bearer_token_is_taken_in_any_case_of_the_scheme_and_only_as_one() {
        let table: [(&[&str], Result<&str, AuthnError>); 10] = [
            (&["Bearer a.b.c"], Ok("a.b.c")),
            (&["bEARER   a.b.c"], Ok("a.b.c")),
            (&[], Err(AuthnError::TokenMissing)),
            (&["Bearer a.b.c", "Bearer a.b.c"], Err(AuthnError::TokenRepeated)),
            (&["Basic YTpi"], Err(AuthnError::NotBearer)),
            (&["Bearer"], Err(AuthnError::NotBearer)),
            (&["Bearer "], Err(AuthnError::NotBearer)),
            (&["Bearera.b.c"], Err(AuthnError::NotBearer)),
            (&[""], Err(AuthnError::NotBearer)),
            (&[" Bearer a.b.c"], Err(AuthnError::NotBearer)),
        ];
        for (lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers
                    .append(AUTHORIZATION, HeaderValue::from_str(line).expect("the table holds legal header values"));
            }
            assert_eq!(AuthorizationHeader::from_headers(&headers).token(), expected, "{lines:?}");
        }
    }

    #[test]
    fn member_names_are_unique_and_bounded() {
        let many = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"m{n}\":[{{}}]")).collect();
            format!("{{{}}}", members.join(","))
        };
        for good in ["{}", r#"{"a":1,"b":{"a":1,"a":2}}"#, &many(MEMBERS_MAX)] {
            assert!(serde_json::from_str::<MemberNames>(good).is_ok(), "{good}");
        }
        for bad in ["[]", "1", r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, "{} {}", &many(MEMBERS_MAX + 1)] {
            assert!(serde_json::from_str::<MemberNames>(bad).is_err(), "{bad}");
        }
    }
}
