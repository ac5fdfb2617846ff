//! The tokens that calls show: read from a file that somebody renews, or signed here with an issuer's key that the command line
//! named. Each is used for many calls, as Google does, and renewed in time. Never prints a token.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use serde_json::{Value, json};
use thiserror::Error;

use crate::issuer::Issuer;

/// The issuer of Google's tokens.
pub const GOOGLE: &str = "https://accounts.google.com";
/// A file is read again this often; it costs nothing.
const FILE_READ_EVERY: Duration = Duration::from_mins(1);
/// A renewal that failed is tried again after this.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It holds what cannot stand in a header.
    #[error("{} holds no token", path.display())]
    NoToken {
        path: PathBuf,
        #[source]
        cause: InvalidHeaderValue,
    },
}

/// Where tokens come from.
pub enum Source {
    /// One token, for whomever it names.
    File(PathBuf),
    /// One for each caller, signed here.
    Signed { issuer: Box<Issuer>, identity: Identity, emails: Vec<String>, lifetime: Duration },
}

/// What all signed tokens have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who says that they issued it.
    pub issuer: String,
    /// For which server.
    pub audience: String,
}

/// The tokens of all callers, as they are now.
pub struct Tokens {
    source: Source,
    current: Vec<HeaderValue>,
    due_at: Instant,
    failures: u64,
}

impl Tokens {
    /// The first tokens.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn new(source: Source, now: Instant, unix_seconds: u64) -> Result<Self, TokenError> {
        let (current, renew_after) = source.make(unix_seconds)?;
        Ok(Self { source, current, due_at: now + renew_after, failures: 0 })
    }

    /// What a caller puts behind `Authorization`. Callers beyond those that there are begin again with the first.
    pub fn authorization(&self, caller: usize) -> HeaderValue {
        self.current[caller % self.current.len()].clone()
    }

    /// Renews all of them if it is time. If that fails the old ones stay, and it is tried again soon.
    pub fn renew_if_due(&mut self, now: Instant, unix_seconds: impl Fn() -> u64) {
        if now < self.due_at {
            return;
        }
        if let Ok((current, renew_after)) = self.source.make(unix_seconds()) {
            self.current = current;
            self.due_at = now + renew_after;
        } else {
            self.failures += 1;
            self.due_at = now + TRY_AGAIN_AFTER;
        }
    }

    /// Renewals that failed.
    pub const fn failures(&self) -> u64 {
        self.failures
    }
}

impl Source {
    /// The tokens now, and when they should be made again.
    fn make(&self, unix_seconds: u64) -> Result<(Vec<HeaderValue>, Duration), TokenError> {
        match self {
            Self::File(path) => {
                let text =
                    fs::read_to_string(path).map_err(|cause| TokenError::Unreadable { path: path.clone(), cause })?;
                let header = bearer(text.trim()).map_err(|cause| TokenError::NoToken { path: path.clone(), cause })?;
                Ok((vec![header], FILE_READ_EVERY))
            }
            Self::Signed { issuer, identity, emails, lifetime } => {
                let sign = |email: &String| {
                    bearer(&signed(issuer, identity, email, unix_seconds, *lifetime))
                        .expect("base64 and dots may stand in a header")
                };
                Ok((emails.iter().map(sign).collect(), *lifetime / 2))
            }
        }
    }
}

/// One token, of Google's for Cloud KMS.
pub fn signed(issuer: &Issuer, identity: &Identity, email: &str, issued_at: u64, lifetime: Duration) -> String {
    issuer.sign(&issuer.header(), &claims(identity, email, issued_at, lifetime))
}

fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Who a token says issued it; `None` if it is no token.
pub fn issuer_of(token: &str) -> Option<String> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["iss"].as_str().map(ToOwned::to_owned)
}

/// The claims of a token of Google's for Cloud KMS.
fn claims(identity: &Identity, email: &str, issued_at: u64, lifetime: Duration) -> Value {
    json!({
        "iss": identity.issuer,
        "aud": identity.audience,
        "azp": email,
        "email": email,
        "email_verified": true,
        "sub": "100000000000000000001",
        "iat": issued_at,
        "exp": issued_at + lifetime.as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    #[test]
    fn a_file_is_read_again_when_it_is_time_and_kept_if_it_is_gone() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("token");
        fs::write(&path, "first\n").expect("a fresh folder is writable");
        let start = now();
        let mut tokens = Tokens::new(Source::File(path.clone()), start, 0).expect("the file holds a token");
        fs::write(&path, "second").expect("a fresh folder is writable");
        tokens.renew_if_due(start + FILE_READ_EVERY / 2, || 0);
        assert_eq!(tokens.authorization(0), "Bearer first");
        tokens.renew_if_due(start + FILE_READ_EVERY, || 0);
        assert_eq!(tokens.authorization(3), "Bearer second");
        fs::remove_file(&path).expect("the file was written above");
        tokens.renew_if_due(start + FILE_READ_EVERY * 2, || 0);
        assert_eq!((tokens.authorization(0).as_bytes(), tokens.failures()), (&b"Bearer second"[..], 1));
    }

    #[test]
    fn a_missing_or_foul_file_is_told_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("token");
        let told = |path: &PathBuf| Tokens::new(Source::File(path.clone()), now(), 0).err();
        assert!(matches!(told(&path), Some(TokenError::Unreadable { .. })));
        fs::write(&path, "two\nlines").expect("a fresh folder is writable");
        assert!(matches!(told(&path), Some(TokenError::NoToken { .. })));
    }

    #[test]
    fn a_token_says_who_issued_it_and_other_texts_say_nothing() {
        let token = format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"https://dev.invalid"}"#));
        assert_eq!(issuer_of(&token).as_deref(), Some("https://dev.invalid"));
        for text in ["", "a.b.c", "a", "e30.e30.x"] {
            assert_eq!(issuer_of(text), None, "{text}");
        }
    }

    #[test]
    fn claims_are_those_of_google() {
        let identity = Identity { issuer: GOOGLE.to_owned(), audience: "https://localhost".to_owned() };
        let claims = claims(&identity, "a@b.example", 1000, Duration::from_hours(1));
        assert_eq!(claims["iss"], "https://accounts.google.com");
        assert_eq!((&claims["aud"], &claims["exp"]), (&json!("https://localhost"), &json!(4600)));
        assert_eq!((&claims["email"], &claims["email_verified"]), (&json!("a@b.example"), &json!(true)));
    }
}
