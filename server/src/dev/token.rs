//! Tokens of the dev issuer: the token file, renewed while the server runs, and further ones on demand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use replication::clock::{Clock, Timestamp};
use replication::ids::Email;

use crate::authn::mint::{IssuerKeyError, TokenIssuer, TokenRequest};
use crate::clock::SystemClock;

use super::file::{DevFile, DevFileError};
use crate::process::files::{self, FileError, Readers};

/// How long the token in the token file lives; no verifier takes a longer one.
const TOKEN_TTL: Duration = Duration::from_hours(1);
/// The age at which the token file is renewed.
const RENEW_AFTER: Duration = Duration::from_mins(30);
/// How often its age is looked at: timers stand still while a machine sleeps, the wall clock does not.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Why a token cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// `dev.json` cannot be used.
    #[error(transparent)]
    Dev(#[from] DevFileError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The issuer's key is not there.
    #[error("{} does not exist; start ekm dev on that folder first", .0.display())]
    NoIssuer(PathBuf),
    /// The issuer's key cannot be used.
    #[error(
        "{} holds no RSA key; put it back from a copy, or remove it to have another made: tokens made before are refused then",
        path.display()
    )]
    Issuer {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: IssuerKeyError,
    },
}

/// What a further token should say.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The caller; the demo grant's if absent.
    pub email: Option<Email>,
    /// For which server; this one if absent.
    pub audience: Option<String>,
    /// For how long.
    pub ttl: Duration,
}

/// Makes a token with the issuer key of a data directory. The server need not run.
///
/// # Errors
/// See [`TokenError`].
pub fn mint(options: &TokenOptions) -> Result<String, TokenError> {
    let dev = DevFile::load(&options.data_dir)?;
    let issuer = load(&dev.issuer_key_file)?.ok_or_else(|| TokenError::NoIssuer(dev.issuer_key_file.clone()))?;
    let email = options.email.clone().unwrap_or_else(demo_caller);
    let audience = options.audience.clone().unwrap_or(dev.audience);
    Ok(issuer.mint(&TokenRequest { email, audience, issued_at: SystemClock.wall(), ttl: options.ttl }))
}

/// The caller that the demo grant admits.
pub fn demo_caller() -> Email {
    super::CALLER.parse().expect("the demo caller is an e-mail address")
}

/// The issuer of a data directory, made if it is not there, with its public keys written beside it.
pub fn ensure_issuer(key_file: &Path, jwks_file: &Path) -> Result<TokenIssuer, TokenError> {
    let failed = |source| TokenError::Issuer { path: key_file.to_owned(), source };
    let issuer = if let Some(issuer) = load(key_file)? {
        issuer
    } else {
        let issuer = TokenIssuer::generate().map_err(failed)?;
        files::write(key_file, issuer.to_pem().map_err(failed)?.as_bytes(), Readers::Owner)?;
        issuer
    };
    files::keep(jwks_file, issuer.jwks().as_bytes(), Readers::All)?;
    Ok(issuer)
}

fn load(key_file: &Path) -> Result<Option<TokenIssuer>, TokenError> {
    let Some(pem) = files::read(key_file)? else { return Ok(None) };
    let failed = |source| TokenError::Issuer { path: key_file.to_owned(), source };
    TokenIssuer::load(&zeroize::Zeroizing::new(pem)).map(Some).map_err(failed)
}

/// When a token was issued, as it says itself.
fn issued_at(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["iat"].as_u64()?.checked_mul(1000).map(Timestamp)
}

/// The token file and what it is made with.
pub struct TokenFile {
    pub(super) issuer: TokenIssuer,
    pub(super) path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
}

impl TokenFile {
    /// A token that begins at `issued_at`: the same one every time.
    fn token(&self, issued_at: Timestamp) -> String {
        let audience = super::AUDIENCE.to_owned();
        self.issuer.mint(&TokenRequest { email: demo_caller(), audience, issued_at, ttl: TOKEN_TTL })
    }

    /// Writes a token that begins now, unless the file holds one of this issuer that is young.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn renew(&self) -> Result<(), FileError> {
        let now = self.clock.wall();
        let held = std::fs::read_to_string(&self.path).unwrap_or_default();
        let is_ours = |issued_at: &Timestamp| self.token(*issued_at) == held;
        let is_young = |issued_at: &Timestamp| u128::from(now.0.abs_diff(issued_at.0)) < RENEW_AFTER.as_millis();
        match issued_at(&held).filter(|issued_at| is_young(issued_at) && is_ours(issued_at)) {
            Some(_) => Ok(()),
            None => files::write(&self.path, self.token(now).as_bytes(), Readers::Owner),
        }
    }

    /// Renews the file until the future is dropped. A trouble is told once, and again when it comes back.
    pub async fn keep(self) {
        let mut is_told = false;
        loop {
            let renewed = self.renew();
            if let (Err(error), false) = (&renewed, is_told) {
                tracing::warn!(%error, "the token file cannot be renewed, so the printed calls will get 401 within the hour; tried again every minute");
            }
            is_told = renewed.is_err();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Wall(AtomicU64);

    impl Clock for Wall {
        fn now(&self) -> replication::clock::Moment {
            replication::clock::Moment::default()
        }

        fn wall(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_young_token_of_our_own_is_kept_and_every_other_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("token");
        let wall = Arc::new(Wall(AtomicU64::new(1_790_000_000_123)));
        let issuer = || TokenIssuer::generate().expect("a key can be made");
        let of = |issuer| TokenFile { issuer, path: path.clone(), clock: Arc::clone(&wall) as _ };
        let file = of(issuer());
        let renewed = |file: &TokenFile| {
            file.renew().expect("the folder is writable");
            std::fs::read_to_string(&path).expect("it was written")
        };
        let first = renewed(&file);
        wall.0.fetch_add(29 * 60_000, Ordering::Relaxed);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).expect("a mode");
        assert_eq!(renewed(&file), first, "29 minutes are young");
        wall.0.fetch_add(60_000, Ordering::Relaxed);
        let second = renewed(&file);
        assert_ne!(second, first, "half an hour is not");
        wall.0.fetch_sub(3_600_000, Ordering::Relaxed);
        let third = renewed(&file);
        assert_ne!(third, second, "nor is a token of the future");
        let foreign = renewed(&of(issuer()));
        assert_ne!(foreign, third, "a token of another issuer is none of ours");
        for torn in ["", "a.b.c", &foreign[..foreign.len() - 1]] {
            std::fs::remove_file(&path).and_then(|()| std::fs::write(&path, torn)).expect("the folder is writable");
            assert_eq!(renewed(&file), third, "{torn}");
        }
    }
}
