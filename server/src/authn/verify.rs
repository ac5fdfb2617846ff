//! The order in which a token is believed: shape, key, signature, issuer and audience, e-mail, times.
//!
//! The only maker of a [`Caller`]. Works on memory alone: never fetches, never waits, never takes a claim before the
//! signature over the received bytes has been verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey};
use replication::clock::{Clock, Timestamp};
use replication::machine::policy::Principal;
use replication::machine::rows::Trust;

use super::cache::{TokenKey, VerifiedClaims, VerifiedTokens};
use super::keyset::KeySet;
use super::probe::{PROBE_AUDIENCE, ProbeVerifier};
use super::refusal::AuthnError;
use super::sightings::{Missing, Sightings};
use super::source::KeySetReader;
use super::token::{AuthorizationHeader, Claims, ParsedToken};

/// How far the caller's clock and ours may differ, in seconds.
pub const LEEWAY_SECONDS: u64 = 60;
/// Longest life of a token, in seconds, to which the leeway is added.
pub const TOKEN_LIFETIME_MAX: u64 = 3600;

/// Whether the own wall clock can be relied on to judge a token's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockHealth {
    /// It agrees with the peers' within 30 seconds, or there are no peers.
    Agrees,
    /// It does not, or that is not known.
    InDoubt,
}

/// What was last found out about the own clock. Clones share it.
#[derive(Debug, Clone)]
pub struct ClockVerdict(Arc<AtomicBool>);

impl ClockVerdict {
    /// There is nobody whose clock it could disagree with.
    pub fn alone() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Nobody has been asked yet.
    pub fn unknown() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// Notes what was found out.
    pub fn note(&self, health: ClockHealth) {
        self.0.store(health == ClockHealth::Agrees, Ordering::Relaxed);
    }

    /// The last word.
    pub fn health(&self) -> ClockHealth {
        if self.0.load(Ordering::Relaxed) { ClockHealth::Agrees } else { ClockHealth::InDoubt }
    }
}

/// Proof that a request comes from this principal. Made by [`Verifier::verify`] only.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    principal: Principal,
}

impl Caller {
    /// Who it is.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Verifies tokens against the published key set.
#[derive(Debug)]
pub struct Verifier {
    keys: KeySetReader,
    clock: ClockHandle,
    probe: Option<ProbeVerifier>,
    sightings: Sightings,
    verified: VerifiedTokens,
}

struct ClockHandle(Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Verifier {
    /// A verifier that knows no probe.
    pub fn new(keys: KeySetReader, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            clock: ClockHandle(clock),
            probe: None,
            sightings: Sightings::default(),
            verified: VerifiedTokens::default(),
        }
    }

    /// The same verifier, which also knows this process's own probe.
    #[must_use]
    pub fn with_probe(mut self, probe: ProbeVerifier) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Who sent these headers. The same as [`Self::verify`] of their `Authorization`.
    ///
    /// # Errors
    ///
    /// Every [`AuthnError`].
    pub fn verify_headers(&self, headers: &HeaderMap, trust: &Trust, clock: ClockHealth) -> Result<Caller, AuthnError> {
        self.verify(AuthorizationHeader::from_headers(headers), trust, clock)
    }

    /// Who presents this token.
    ///
    /// # Errors
    ///
    /// Every [`AuthnError`]; [`AuthnError::is_final`] tells a 401 from a 503.
    pub fn verify(
        &self,
        authorization: AuthorizationHeader<'_>,
        trust: &Trust,
        clock: ClockHealth,
    ) -> Result<Caller, AuthnError> {
        let token = authorization.token()?;
        let keys = self.keys.current();
        let cached = keys.as_deref().map(|keys| TokenKey::new(token, keys.epoch()));
        if let Some(claims) = cached.as_ref().and_then(|key| self.verified.find(key)) {
            judge(&claims, trust, self.clock.0.wall(), clock)?;
            return Ok(Caller { principal: Principal::ServiceAccount(claims.email.clone()) });
        }
        let parsed = ParsedToken::parse(token)?;
        if let Some(probe) = self.probe.as_ref().filter(|probe| probe.kid == *parsed.kid()) {
            return self.verify_probe(probe, &parsed, clock);
        }
        let (Some(keys), Some(cached)) = (keys.as_deref(), cached) else { return Err(AuthnError::NoKeySet) };
        self.check_signature(keys, &parsed)?;
        let claims = Arc::new(accept(parsed.claims()?)?);
        judge(&claims, trust, self.clock.0.wall(), clock)?;
        let principal = Principal::ServiceAccount(claims.email.clone());
        self.verified.remember(cached, claims);
        Ok(Caller { principal })
    }

    /// The verified-token cache, for its counters.
    pub const fn verified_tokens(&self) -> &VerifiedTokens {
        &self.verified
    }

    /// Where the key set is read, for readiness and for its counters.
    pub const fn key_sets(&self) -> &KeySetReader {
        &self.keys
    }

    fn check_signature(&self, keys: &KeySet, token: &ParsedToken<'_>) -> Result<(), AuthnError> {
        let now = self.clock.0.now();
        match keys.find(token.kid()) {
            Some(key) if signed_by(key, token) => Ok(()),
            Some(_) if keys.is_current(now) => Err(AuthnError::SignatureInvalid),
            // an issuer that gave an old id to a new key: rare, but a final answer rests on a current set or on none
            Some(_) => Err(AuthnError::KeySetStale),
            None => match self.sightings.judge(token.kid(), keys, now) {
                Missing::ForGood => Err(AuthnError::KidUnknown),
                Missing::Perhaps => {
                    self.keys.ask_refetch();
                    Err(AuthnError::KidNotYetKnown)
                }
            },
        }
    }

    fn verify_probe(
        &self,
        probe: &ProbeVerifier,
        token: &ParsedToken<'_>,
        clock: ClockHealth,
    ) -> Result<Caller, AuthnError> {
        if !signed_by(&probe.key, token) {
            return Err(AuthnError::SignatureInvalid);
        }
        let claims = accept(token.claims()?)?;
        if claims.issuer != probe.issuer {
            return Err(AuthnError::IssuerForeign);
        }
        if claims.audience != PROBE_AUDIENCE {
            return Err(AuthnError::AudienceForeign);
        }
        judge_times(&claims, self.clock.0.wall(), clock)?;
        Ok(Caller { principal: Principal::Probe })
    }
}

fn signed_by(key: &DecodingKey, token: &ParsedToken<'_>) -> bool {
    // an error is a signature that is no base64url or a key that no longer parses: neither verifies
    jsonwebtoken::crypto::verify(token.signature(), token.signed(), key, Algorithm::RS256).unwrap_or(false)
}

/// What does not change from call to call: the e-mail, and times that contradict each other.
fn accept(claims: Claims) -> Result<VerifiedClaims, AuthnError> {
    if !claims.email_verified {
        return Err(AuthnError::EmailUnverified);
    }
    let email = claims.email.parse().map_err(|_| AuthnError::EmailMalformed)?;
    if claims.iat >= claims.exp || claims.nbf.is_some_and(|nbf| nbf >= claims.exp) {
        return Err(AuthnError::TimesContradict);
    }
    if claims.exp - claims.iat > TOKEN_LIFETIME_MAX + LEEWAY_SECONDS {
        return Err(AuthnError::LifetimeTooLong);
    }
    Ok(VerifiedClaims {
        issuer: claims.iss,
        audience: claims.aud,
        email,
        issued_at: claims.iat,
        not_before: claims.nbf,
        expires_at: claims.exp,
    })
}

/// What is judged on every call, also for a token that was verified before.
fn judge(claims: &VerifiedClaims, trust: &Trust, now: Timestamp, clock: ClockHealth) -> Result<(), AuthnError> {
    if !trust.issuers.contains(&claims.issuer) {
        return Err(AuthnError::IssuerForeign);
    }
    if !trust.audiences.contains(&claims.audience) {
        return Err(AuthnError::AudienceForeign);
    }
    judge_times(claims, now, clock)
}

fn judge_times(claims: &VerifiedClaims, now: Timestamp, clock: ClockHealth) -> Result<(), AuthnError> {
    if clock == ClockHealth::InDoubt {
        return Err(AuthnError::ClockInDoubt);
    }
    let now = now.seconds();
    if claims.expires_at.saturating_add(LEEWAY_SECONDS) <= now {
        return Err(AuthnError::Expired);
    }
    let latest = now.saturating_add(LEEWAY_SECONDS);
    if claims.issued_at > latest || claims.not_before.is_some_and(|nbf| nbf > latest) {
        return Err(AuthnError::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authn::keyset::Provenance;
    use crate::authn::source::key_set_channel;
    use crate::authn::testing::{
        AUDIENCE, EMAIL, ManualClock, bearer, good_token, jwks, jwks_of, second_key, signing_key, trust, verifier,
        verifier_of,
    };

    fn verify(verifier: &Verifier, trust: &Trust) -> Result<String, AuthnError> {
        let caller = verifier.verify_headers(&bearer(&good_token()), trust, ClockHealth::Agrees)?;
        Ok(caller.principal().to_string())
    }

    #[test]
    fn a_remembered_token_is_judged_anew_on_every_call() {
        let clock = ManualClock::new();
        let verifier = verifier(Arc::clone(&clock));
        assert_eq!(verify(&verifier, &trust()).as_deref(), Ok(EMAIL));
        assert_eq!(verify(&verifier, &trust()).as_deref(), Ok(EMAIL));
        let counts = |verifier: &Verifier| (verifier.verified_tokens().hits(), verifier.verified_tokens().misses());
        assert_eq!(counts(&verifier), (1, 1));

        let elsewhere = Trust { audiences: vec![format!("{AUDIENCE}.example")], ..trust() };
        assert_eq!(verify(&verifier, &elsewhere), Err(AuthnError::AudienceForeign));
        let others = Trust { issuers: Vec::new(), ..trust() };
        assert_eq!(verify(&verifier, &others), Err(AuthnError::IssuerForeign));
        let in_doubt = verifier.verify_headers(&bearer(&good_token()), &trust(), ClockHealth::InDoubt);
        assert_eq!(in_doubt, Err(AuthnError::ClockInDoubt));
        clock.advance(Duration::from_secs(3000 + LEEWAY_SECONDS - 1));
        assert_eq!(verify(&verifier, &trust()).as_deref(), Ok(EMAIL));
        clock.advance(Duration::from_secs(1));
        assert_eq!(verify(&verifier, &trust()), Err(AuthnError::Expired));
        assert_eq!(counts(&verifier), (6, 1), "every one of these was remembered");
    }

    #[test]
    fn a_token_is_forgotten_with_the_keys_that_verified_it() {
        let clock = ManualClock::new();
        let (reader, mut publisher) = key_set_channel();
        let verifier = Verifier::new(reader, clock.clone());
        for (keys, expected) in [
            (jwks(), Ok(EMAIL.to_owned())),
            (jwks_of(&[second_key()]), Err(AuthnError::KidUnknown)),
            (jwks_of(&[signing_key(), second_key()]), Ok(EMAIL.to_owned())),
        ] {
            publisher.publish(keys.as_bytes(), clock.now(), Provenance::File).expect("sound test key sets");
            assert_eq!(verify(&verifier, &trust()), expected);
        }
        assert_eq!(verifier.verified_tokens().hits(), 0);
    }

    #[test]
    fn trouble_of_ours_is_never_final() {
        let clock = ManualClock::new();
        let (reader, _publisher) = key_set_channel();
        let unloaded = Verifier::new(reader, clock.clone());
        assert_eq!(verify(&unloaded, &trust()), Err(AuthnError::NoKeySet));
        let lacking = verifier_of(&jwks_of(&[second_key()]), Provenance::Restored, clock.clone());
        assert_eq!(verify(&lacking, &trust()), Err(AuthnError::KidNotYetKnown));
        let expiring = verifier_of(&jwks(), Provenance::Fetched { lifetime: Duration::from_secs(9) }, clock.clone());
        let forged = bearer(&format!("{}AAAA", good_token()));
        let forge = || expiring.verify_headers(&forged, &trust(), ClockHealth::Agrees).expect_err("forged");
        assert_eq!((forge(), forge().is_final()), (AuthnError::SignatureInvalid, true));
        clock.advance(Duration::from_secs(9));
        assert_eq!((forge(), forge().is_final()), (AuthnError::KeySetStale, false));
        assert_eq!(verify(&expiring, &trust()).as_deref(), Ok(EMAIL), "a known key serves on");
        for error in [AuthnError::NoKeySet, AuthnError::KidNotYetKnown, AuthnError::ClockInDoubt] {
            assert!(!error.is_final());
        }
    }

    #[test]
    fn no_refusal_quotes_the_token() {
        let verifier = verifier(ManualClock::new());
        let token = good_token();
        let stranger = Trust { issuers: Vec::new(), audiences: Vec::new() };
        let error =
            verifier.verify_headers(&bearer(&token), &stranger, ClockHealth::Agrees).expect_err("nobody is trusted");
        let said = format!("{error} {error:?} {verifier:?}");
        assert!(token.split('.').all(|part| !said.contains(part)) && !said.contains(EMAIL) && !said.contains(AUDIENCE));
    }
}
