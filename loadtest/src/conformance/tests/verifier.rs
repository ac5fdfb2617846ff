//! How the honest EKM believes a token: shape, signature, issuer, audience, times, e-mail, in this order, each with the defects
//! that leave a part of it out.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::Value;

use super::super::scene::GOOGLE_ISSUER;
use super::defects::Defect;
use super::honest::{Refused, refused, unique_members};

const TOKEN_BYTES_MAX: usize = 8192;
const LEEWAY_SECONDS: f64 = 60.0;
const LIFETIME_MAX_SECONDS: f64 = 3660.0;

/// Whom the honest EKM believes.
pub struct Verifier {
    pub key: RsaPublicKeyComponents<Vec<u8>>,
    /// The key as SPKI, which one defect takes for a secret.
    pub spki: Vec<u8>,
    pub kid: String,
    pub audience: String,
    pub email: String,
    /// Seconds since 1970.
    pub now: u64,
    /// By signature; for one defect.
    seen: Mutex<HashMap<String, Claims>>,
}

type Claims = HashMap<String, Value>;

impl Verifier {
    pub fn new(issuer: &crate::issuer::Issuer, audience: &str, email: &str, now: u64) -> Self {
        let [spki, ..] = issuer.public_encodings();
        Self {
            key: issuer.public_key(),
            spki,
            kid: issuer.key_id().to_owned(),
            audience: audience.to_owned(),
            email: email.to_owned(),
            now,
            seen: Mutex::default(),
        }
    }

    /// Whether the call may be served.
    pub fn verify(&self, headers: &HeaderMap, path: &str, defect: Option<Defect>) -> Result<(), Refused> {
        let has = |one| defect == Some(one);
        let Some(token) = presented(headers, path, defect)? else { return Ok(()) };
        if token.len() > TOKEN_BYTES_MAX && !has(Defect::TokensOfAnyLength) {
            return Err(unauthenticated("The token is too long."));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(match defect {
                Some(Defect::MalformedTokenIs500) => refused(500, 13, "The key manager failed."),
                Some(Defect::BadTokenIs403) => refused(403, 7, "The token is malformed."),
                _ => unauthenticated("The token is malformed."),
            });
        };
        let claims = self.signed(header, payload, signature, defect)?;
        self.meant_for_us(&claims, defect)?;
        self.in_time(&claims, defect)?;
        self.granted(&claims, defect)
    }

    fn signed(&self, header: &str, payload: &str, signature: &str, defect: Option<Defect>) -> Result<Claims, Refused> {
        let has = |one| defect == Some(one);
        let wrong = || unauthenticated("The token is not signed by a key that is trusted.");
        if let Some(claims) = self.seen.lock().expect("no holder panics").get(signature)
            && has(Defect::RemembersSignature)
        {
            return Ok(claims.clone());
        }
        let bytes = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| wrong());
        let head = unique_members(&bytes(header)?).ok_or_else(wrong)?;
        let claims = bytes(payload)?;
        let claims = match unique_members(&claims) {
            None if has(Defect::LastClaimWins) => serde_json::from_slice::<Claims>(&claims).map_err(|_| wrong())?,
            found => found.ok_or_else(wrong)?,
        };
        let sig = bytes(signature)?;
        let message = format!("{header}.{payload}");
        let text = |name: &str| head.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_known = text("kid") == self.kid;
        let mut key = &self.key;
        let brought;
        if let Some(jwk) = head.get("jwk").filter(|_| has(Defect::KeyOfHeader)) {
            let part = |name: &str| bytes(jwk[name].as_str().unwrap_or_default());
            brought = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
            key = &brought;
        }
        let is_believed = match text("alg") {
            alg if alg.eq_ignore_ascii_case("none") => has(Defect::TakesUnsigned),
            "HS256" => {
                has(Defect::HmacWithPublicKey)
                    && hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.spki), message.as_bytes(), &sig).is_ok()
            }
            _ if head.contains_key("crit") && !has(Defect::IgnoresCritical) => false,
            alg if alg != "RS256" && !has(Defect::IgnoresAlgorithm) => false,
            _ if !is_known => has(Defect::UnknownIdIsTrusted),
            _ if sig.is_empty() && has(Defect::TakesEmptySignature) => true,
            _ if has(Defect::SignatureUnchecked) => true,
            _ => key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &sig).is_ok(),
        };
        if !is_believed {
            return Err(wrong());
        }
        self.seen.lock().expect("no holder panics").insert(signature.to_owned(), claims.clone());
        Ok(claims)
    }

    fn meant_for_us(&self, claims: &Claims, defect: Option<Defect>) -> Result<(), Refused> {
        let has = |one| defect == Some(one);
        let right = self.audience.as_str();
        let audience_fits = match claims.get("aud") {
            None => has(Defect::NoAudienceFits),
            Some(Value::String(aud)) => {
                aud == right
                    || has(Defect::AudienceByPrefix) && aud.starts_with(right)
                    || has(Defect::AudienceWithoutSlash) && aud.trim_end_matches('/') == right
            }
            Some(Value::Array(list)) => has(Defect::AudienceOfList) && list.iter().any(|aud| aud == right),
            Some(_) => false,
        };
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let issuer_fits = issuer == GOOGLE_ISSUER
            || issuer == "accounts.google.com" && !has(Defect::IssuerWithSchemeOnly)
            || has(Defect::IssuerByPrefix) && issuer.starts_with(GOOGLE_ISSUER);
        if audience_fits && issuer_fits {
            Ok(())
        } else {
            Err(unauthenticated("The token is not for this key manager."))
        }
    }

    fn in_time(&self, claims: &Claims, defect: Option<Defect>) -> Result<(), Refused> {
        let has = |one| defect == Some(one);
        let wrong = || match defect {
            Some(Defect::BadTokenIs403) => refused(403, 7, "The token is not valid now."),
            _ => unauthenticated("The token is not valid now."),
        };
        let leeway = if has(Defect::NoLeeway) { 0.0 } else { LEEWAY_SECONDS };
        let now = f64::from(u32::try_from(self.now).expect("this century"));
        let number = |name: &str| claims.get(name).and_then(Value::as_f64);
        let (issued, begins) = (number("iat").ok_or_else(wrong)?, number("nbf").unwrap_or(0.0));
        if !has(Defect::IgnoresBegin) && issued.max(begins) > now + leeway {
            return Err(wrong());
        }
        let expires = match claims.get("exp") {
            None | Some(Value::Null) if has(Defect::NoExpiryIsForEver) => return Ok(()),
            Some(Value::Number(_)) => number("exp").ok_or_else(wrong)?,
            Some(Value::Null) | None => return Err(wrong()),
            Some(_) if has(Defect::OddExpiryIsForEver) => return Ok(()),
            Some(_) => return Err(wrong()),
        };
        let is_over = expires + leeway <= now && !has(Defect::IgnoresExpiry);
        let is_long = expires - issued > LIFETIME_MAX_SECONDS && !has(Defect::AnyLifetime);
        if is_over || is_long { Err(wrong()) } else { Ok(()) }
    }

    fn granted(&self, claims: &Claims, defect: Option<Defect>) -> Result<(), Refused> {
        let has = |one| defect == Some(one);
        let email = match claims.get("email") {
            Some(Value::String(email)) if !email.is_empty() => email.as_str(),
            _ if has(Defect::SubjectForEmail) => claims.get("sub").and_then(Value::as_str).unwrap_or_default(),
            _ => return Err(unauthenticated("The token names no caller.")),
        };
        if claims.get("email_verified") != Some(&Value::Bool(true)) && !has(Defect::UnverifiedEmail) {
            return Err(unauthenticated("The caller's address is not verified."));
        }
        let is_granted = email == self.email
            || has(Defect::GrantsSuffix) && email.ends_with("@gcp-sa-ekms.iam.gserviceaccount.com")
            || has(Defect::GrantsPrefix) && email.starts_with(&self.email);
        if is_granted { Ok(()) } else { Err(refused(403, 7, "The caller may not use this key.")) }
    }
}

/// The token that the call shows; `None` if a defect serves it without.
fn presented(headers: &HeaderMap, path: &str, defect: Option<Defect>) -> Result<Option<String>, Refused> {
    let has = |one| defect == Some(one);
    let values: Vec<&str> = headers.get_all("authorization").iter().filter_map(|value| value.to_str().ok()).collect();
    let value = match values[..] {
        [] if has(Defect::ServesWithoutToken) => return Ok(None),
        [] => match path.split_once("access_token=") {
            Some((_, token)) if has(Defect::TokenOfQuery) => return Ok(Some(token.to_owned())),
            _ => return Err(unauthenticated("The token is missing.")),
        },
        [value] => value,
        [first, ..] if has(Defect::FirstTokenCounts) => first,
        [..] => return Err(unauthenticated("There are several tokens.")),
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let fits = if has(Defect::SchemeAsWritten) { scheme == "Bearer" } else { scheme.eq_ignore_ascii_case("bearer") };
    match fits {
        true => Ok(Some(token.to_owned())),
        false if has(Defect::AnyScheme) => Ok(Some(if token.is_empty() { scheme } else { token }.to_owned())),
        false => Err(unauthenticated("The token is no bearer token.")),
    }
}

fn unauthenticated(message: &str) -> Refused {
    refused(401, 16, message)
}
