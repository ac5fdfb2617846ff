//! An issuer's public keys (a JWK set, RFC 7517), parsed once and immutable from then on.
//!
//! Holds RS256 keys only. Never fetches and never decides when to; knows how old it is and says what that means.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use replication::clock::Moment;
use serde::Deserialize;

use super::token::Kid;

/// Most keys in a set, of whatever type. Google publishes two or three.
pub const KEYS_MAX: usize = 64;
/// Largest key set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Shortest RSA modulus, in bits.
pub const MODULUS_BITS_MIN: usize = 2048;
/// Longest RSA modulus, in bits.
pub const MODULUS_BITS_MAX: usize = 4096;
/// Longest RSA public exponent, in bytes.
const EXPONENT_BYTES_MAX: usize = 4;

/// Why a document is no key set, or not one that may replace the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Longer than [`KEY_SET_BYTES_MAX`].
    #[error("the key set is longer than {KEY_SET_BYTES_MAX} bytes")]
    TooLong,
    /// No JSON object with a list of keys, or a key whose members are of the wrong type.
    #[error("the document is not a JSON Web Key Set")]
    Malformed,
    /// More than [`KEYS_MAX`] keys.
    #[error("the key set holds more than {KEYS_MAX} keys")]
    TooMany,
    /// One `kid` names two keys.
    #[error("the key set names one key id twice")]
    DuplicateKid,
    /// No key that could verify an RS256 token.
    #[error("the key set holds no RS256 key")]
    Empty,
    /// Fewer than half as many keys as the last set, or none of its key ids.
    #[error("the key set lost most of the keys that the last one held")]
    Shrunken,
}

/// Where a set came from, which decides how far its silence about a `kid` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// A file of the operator's: current for as long as it can be read, since whoever writes it decides what is in it.
    File,
    /// Fetched from the issuer; current for as long as the issuer said.
    Fetched {
        /// How long from the fetch on.
        lifetime: Duration,
    },
    /// Kept from before, on disk by an earlier process or in memory from a file that cannot be read any more. It may have
    /// been replaced since, so it is never current: its keys verify, but what it does not hold is not thereby unknown.
    Restored,
}

/// The keys alone, before they are dated and numbered.
#[derive(Debug, Clone)]
pub struct Keys(HashMap<Box<str>, DecodingKey>);

impl Keys {
    /// Parses a JWK set. Keys of other types, for other uses or algorithms, without a usable `kid` or of another length
    /// than 2048 to 4096 bits are skipped.
    ///
    /// # Errors
    ///
    /// A document that is no such set, too large, names a `kid` twice, or leaves no key.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLong);
        }
        let document: Document = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys = HashMap::new();
        for jwk in &document.keys {
            if let Some((kid, key)) = jwk.usable()?
                && keys.insert(kid.as_str().into(), key).is_some()
            {
                return Err(KeySetError::DuplicateKid);
            }
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self(keys)) }
    }

    /// How many keys.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether both hold the same keys under the same ids.
    pub fn same_as(&self, other: &Self) -> bool {
        self.count() == other.count()
            && self
                .0
                .iter()
                .all(|(kid, key)| other.0.get(kid).is_some_and(|theirs| components(key) == components(theirs)))
    }

    /// Whether these may follow `last` without further proof. Google rotates about daily: one key leaves and one enters,
    /// so of its two or three at least one stays and the count changes by one at most. Fewer than half, or none of the
    /// ids that were known, is no rotation but a fault at the issuer or on the way.
    ///
    /// # Errors
    ///
    /// [`KeySetError::Shrunken`].
    pub fn may_follow(&self, last: &Self) -> Result<(), KeySetError> {
        let kept = last.0.keys().any(|kid| self.0.contains_key(kid));
        if kept && self.count() * 2 >= last.count() { Ok(()) } else { Err(KeySetError::Shrunken) }
    }
}

/// One published key set.
#[derive(Debug)]
pub struct KeySet {
    keys: Keys,
    epoch: u64,
    fetched_at: Moment,
    provenance: Provenance,
}

impl KeySet {
    /// Dates and numbers a set. `fetched_at` is when the question was sent, not when the answer came; `epoch` grows
    /// whenever the keys differ from those published before, and only then.
    pub const fn new(keys: Keys, epoch: u64, fetched_at: Moment, provenance: Provenance) -> Self {
        Self { keys, epoch, fetched_at, provenance }
    }

    /// The key of this id.
    pub fn find(&self, kid: &Kid) -> Option<&DecodingKey> {
        self.keys.0.get(kid.as_str())
    }

    /// The keys alone.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Which set of keys this is, within this process.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When it was asked for.
    pub const fn fetched_at(&self) -> Moment {
        self.fetched_at
    }

    /// Where it came from.
    pub const fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// Whether final refusals may rest on it.
    pub fn is_current(&self, now: Moment) -> bool {
        match self.provenance {
            Provenance::File => true,
            Provenance::Fetched { lifetime } => now.since(self.fetched_at) < lifetime,
            Provenance::Restored => false,
        }
    }

    /// Whether it was asked for after `moment`; a file always counts as just read.
    pub fn was_fetched_after(&self, moment: Moment) -> bool {
        match self.provenance {
            Provenance::File => true,
            Provenance::Fetched { .. } => self.fetched_at > moment,
            Provenance::Restored => false,
        }
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
}

impl Jwk {
    fn usable(&self) -> Result<Option<(Kid, DecodingKey)>, KeySetError> {
        let for_us = self.kty == "RSA"
            && self.alg.as_deref().is_none_or(|alg| alg == "RS256")
            && self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let Some(kid) = self.kid.as_deref().and_then(Kid::parse).filter(|_| for_us) else {
            return Ok(None);
        };
        let modulus = decode_integer(self.n.as_deref())?;
        let exponent = decode_integer(self.e.as_deref())?;
        let bits = modulus.len() * 8 - usize::try_from(modulus[0].leading_zeros()).expect("a byte has eight bits");
        let odd = exponent.last().is_some_and(|byte| byte % 2 == 1) && exponent != [1];
        let usable =
            (MODULUS_BITS_MIN..=MODULUS_BITS_MAX).contains(&bits) && exponent.len() <= EXPONENT_BYTES_MAX && odd;
        Ok(usable.then(|| (kid, DecodingKey::from_rsa_raw_components(&modulus, &exponent))))
    }
}

/// A positive integer as base64url of its bytes, most significant first, without leading zero bytes (RFC 7518 section 2;
/// some issuers prefix one zero byte all the same, which is dropped).
fn decode_integer(text: Option<&str>) -> Result<Vec<u8>, KeySetError> {
    let bytes = URL_SAFE_NO_PAD.decode(text.ok_or(KeySetError::Malformed)?).map_err(|_| KeySetError::Malformed)?;
    let first = bytes.iter().position(|byte| *byte != 0).ok_or(KeySetError::Malformed)?;
    Ok(bytes[first..].to_vec())
}

fn components(key: &DecodingKey) -> (&[u8], &[u8]) {
    match key.kind() {
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } => (n, e),
        jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => (der, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::testing;

    fn jwk(kid: &str, bits: usize, more: &str) -> String {
        let mut modulus = vec![0xff; bits / 8];
        modulus[0] = 0x80;
        format!(r#"{{"kty":"RSA","kid":"{kid}","n":"{}","e":"AQAB"{more}}}"#, URL_SAFE_NO_PAD.encode(modulus))
    }

    fn parse(keys: &[String]) -> Result<Keys, KeySetError> {
        Keys::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn only_rs256_keys_of_a_sound_length_are_held() {
        let good = || jwk("good", 2048, r#","alg":"RS256","use":"sig""#);
        let skipped = [
            jwk("a", 2040, ""),
            jwk("b", 4104, ""),
            jwk("c", 2048, r#","alg":"RS512""#),
            jwk("d", 2048, r#","use":"enc""#),
            jwk("../e", 2048, ""),
            jwk("f", 2048, "").replace("AQAB", "AQ"),
            jwk("g", 2048, "").replace("AQAB", "Ag"),
            jwk("h", 2048, "").replace("AQAB", "AQAAAAAB"),
            jwk("i", 2048, "").replace("\"kid\":\"i\",", ""),
            r#"{"kty":"EC","kid":"j","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
            r#"{"kty":"oct","kid":"k","k":"AA"}"#.to_owned(),
        ];
        for odd in skipped {
            assert_eq!(parse(std::slice::from_ref(&odd)).map(|k| k.count()), Err(KeySetError::Empty), "{odd}");
            assert_eq!(parse(&[odd.clone(), good()]).map(|k| k.count()), Ok(1), "{odd}");
        }
        assert_eq!(parse(&[jwk("x", 2048, ""), jwk("y", 4096, "")]).map(|k| k.count()), Ok(2));
    }

    #[test]
    fn a_document_that_is_no_key_set_is_refused_by_name() {
        let many: Vec<String> = (0..=KEYS_MAX).map(|n| jwk(&format!("k{n}"), 2048, "")).collect();
        let table = [
            (String::new(), KeySetError::Malformed),
            ("<html>".to_owned(), KeySetError::Malformed),
            ("[]".to_owned(), KeySetError::Malformed),
            ("{}".to_owned(), KeySetError::Malformed),
            (r#"{"keys":[]}"#.to_owned(), KeySetError::Empty),
            (r#"{"keys":[],"keys":[]}"#.to_owned(), KeySetError::Malformed),
            (r#"{"keys":[{"kty":"RSA","kid":"a"}]}"#.to_owned(), KeySetError::Malformed),
            (r#"{"keys":[{"kty":"RSA","kid":"a","n":"!","e":"AQAB"}]}"#.to_owned(), KeySetError::Malformed),
            (r#"{"keys":[{"kty":"RSA","kid":"a","n":"AAAA","e":"AQAB"}]}"#.to_owned(), KeySetError::Malformed),
            (format!(r#"{{"keys":[{}]}}"#, many.join(",")), KeySetError::TooMany),
            (" ".repeat(KEY_SET_BYTES_MAX + 1), KeySetError::TooLong),
        ];
        for (document, expected) in table {
            let start: String = document.chars().take(60).collect();
            assert_eq!(Keys::parse(document.as_bytes()).map(|k| k.count()), Err(expected), "{start}");
        }
        assert_eq!(parse(&[jwk("a", 2048, ""), jwk("a", 3072, "")]).map(|k| k.count()), Err(KeySetError::DuplicateKid));
    }

    #[test]
    fn a_daily_rotation_may_follow_and_a_loss_of_keys_may_not() {
        let keys = |kids: &[&str]| {
            let list: Vec<String> = kids.iter().map(|kid| jwk(kid, 2048, "")).collect();
            parse(&list).expect("the table holds usable keys")
        };
        let last = keys(&["a", "b", "c"]);
        for good in [&["a", "b", "c"][..], &["b", "c", "d"], &["b", "c"], &["c", "d"], &["a", "b", "c", "d"]] {
            assert_eq!(keys(good).may_follow(&last), Ok(()), "{good:?}");
        }
        for bad in [&["c"][..], &["d", "e", "f"], &["d"]] {
            assert_eq!(keys(bad).may_follow(&last), Err(KeySetError::Shrunken), "{bad:?}");
        }
        assert!(keys(&["a", "b"]).same_as(&keys(&["b", "a"])));
        assert!(!keys(&["a", "b"]).same_as(&keys(&["a", "c"])));
    }

    #[test]
    fn a_set_is_current_for_its_lifetime_a_file_for_ever_a_restored_one_never() {
        let at = |seconds| Moment::since_origin(Duration::from_secs(seconds));
        let set = |provenance| {
            KeySet::new(
                Keys::parse(testing::jwks().as_bytes()).expect("the test issuer's set parses"),
                1,
                at(100),
                provenance,
            )
        };
        let fetched = set(Provenance::Fetched { lifetime: Duration::from_mins(1) });
        assert!(fetched.is_current(at(159)) && !fetched.is_current(at(160)));
        assert!(fetched.was_fetched_after(at(99)) && !fetched.was_fetched_after(at(100)));
        assert!(
            set(Provenance::File).is_current(at(u64::MAX)) && set(Provenance::File).was_fetched_after(at(u64::MAX))
        );
        assert!(!set(Provenance::Restored).is_current(at(100)) && !set(Provenance::Restored).was_fetched_after(at(0)));
    }
}
