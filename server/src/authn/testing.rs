//! What the tests of authentication share: keys made once, a clock set by hand, and a token that is right in everything.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use replication::clock::{Clock, Moment, Timestamp};
use replication::machine::rows::Trust;
use tokio_util::sync::CancellationToken;

use super::keyset::Provenance;
use super::mint::IssuerKey;
use super::source::{KeySetReader, KeySource, key_set_channel, key_set_task};
use super::verify::Verifier;

pub(super) const ISSUER: &str = "https://accounts.google.com";
pub(super) const AUDIENCE: &str = "https://ekm.example.com";
pub(super) const EMAIL: &str = "service-1@gcp-sa-ekms.iam.gserviceaccount.com";
/// The wall clock of every test, in seconds since 1970.
pub(super) const NOW: u64 = 1_800_000_000;

/// The issuer's key. RSA keys take long to make, so one serves all tests.
pub(super) fn signing_key() -> &'static IssuerKey {
    static KEY: OnceLock<IssuerKey> = OnceLock::new();
    KEY.get_or_init(|| IssuerKey::generate().expect("the library makes an RSA key"))
}

/// A key that the issuer publishes only in tests that say so.
pub(super) fn second_key() -> &'static IssuerKey {
    static KEY: OnceLock<IssuerKey> = OnceLock::new();
    KEY.get_or_init(|| IssuerKey::generate().expect("the library makes an RSA key"))
}

/// A third one, for rotations.
pub(super) fn third_key() -> &'static IssuerKey {
    static KEY: OnceLock<IssuerKey> = OnceLock::new();
    KEY.get_or_init(|| IssuerKey::generate().expect("the library makes an RSA key"))
}

pub(super) fn jwks() -> String {
    jwks_of(&[signing_key()])
}

pub(super) fn jwks_of(keys: &[&IssuerKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

pub(super) fn trust() -> Trust {
    Trust {
        issuers: vec![ISSUER.to_owned(), "accounts.google.com".to_owned()],
        audiences: vec![AUDIENCE.to_owned(), "https://second.example.com".to_owned()],
    }
}

pub(super) fn header_json() -> String {
    format!(r#"{{"alg":"RS256","kid":"{}","typ":"JWT"}}"#, signing_key().kid())
}

pub(super) fn claims_json() -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","iat":{},"exp":{},"email":"{EMAIL}","email_verified":true,"sub":"1"}}"#,
        NOW - 600,
        NOW + 3000
    )
}

pub(super) fn good_token() -> String {
    signing_key().sign_json(&header_json(), &claims_json())
}

/// The headers of a request with this token.
pub(super) fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("test tokens are printable");
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(super) struct ManualClock(Mutex<Duration>);

impl ManualClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Duration::from_secs(1000))))
    }

    pub(super) fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment::since_origin(*self.0.lock())
    }

    fn wall(&self) -> Timestamp {
        let elapsed = u64::try_from(self.0.lock().as_millis()).expect("tests advance by hours at most");
        Timestamp(NOW * 1000 + elapsed - 1_000_000)
    }
}

/// A running key-set task and the end to read it by; stopped when dropped.
pub(super) struct Running {
    pub(super) reader: KeySetReader,
    _stop: tokio_util::sync::DropGuard,
}

impl Running {
    pub(super) fn start(source: KeySource, clock: Arc<ManualClock>) -> Self {
        let (reader, publisher) = key_set_channel();
        let cancel = CancellationToken::new();
        tokio::spawn(key_set_task(source, publisher, clock, cancel.clone()));
        Self { reader, _stop: cancel.drop_guard() }
    }

    /// Waits until this many attempts have ended, and says how many of them failed.
    pub(super) async fn attempts(&self, count: u64) -> u64 {
        let mut progress = self.reader.progress();
        let reached = progress.wait_for(|progress| progress.attempts >= count).await.expect("the task runs");
        assert_eq!(reached.attempts, count, "no more attempts than the test caused");
        reached.failures
    }
}

/// A verifier of one unmoving key set: a file, so it is always current.
pub(super) fn verifier(clock: Arc<ManualClock>) -> Verifier {
    verifier_of(&jwks(), Provenance::File, clock)
}

/// A verifier of one unmoving key set of this provenance, asked for at the clock's present moment.
pub(super) fn verifier_of(jwks: &str, provenance: Provenance, clock: Arc<ManualClock>) -> Verifier {
    let (reader, mut publisher) = key_set_channel();
    publisher.publish(jwks.as_bytes(), clock.now(), provenance).expect("test key sets are sound");
    Verifier::new(reader, clock)
}
