//! Tokens of the dev issuer: the token file, renewed while the server runs, and further ones on demand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use replication::clock::{Clock, Timestamp};
use replication::ids::Email;

use crate::authn::mint::{IssuerKeyError, TokenIssuer, TokenRequest};
use crate::clock::SystemClock;

use super::file::{DevFile, DevFileError};
use super::files::{self, FileError, Readers};

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
    #[error("{} holds no RSA key", path.display())]
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
    files::write(jwks_file, issuer.jwks().as_bytes(), Readers::All)?;
    Ok(issuer)
}

fn load(key_file: &Path) -> Result<Option<TokenIssuer>, TokenError> {
    let Some(pem) = files::read(key_file)? else { return Ok(None) };
    let failed = |source| TokenError::Issuer { path: key_file.to_owned(), source };
    TokenIssuer::load(&zeroize::Zeroizing::new(pem)).map(Some).map_err(failed)
}

/// The token file and what it is made with.
pub struct TokenFile {
    pub(super) issuer: TokenIssuer,
    pub(super) path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
}

impl TokenFile {
    /// Writes a token that begins now, and gives when that was.
    pub fn write(&self) -> Result<Timestamp, FileError> {
        let issued_at = self.clock.wall();
        let request =
            TokenRequest { email: demo_caller(), audience: super::AUDIENCE.to_owned(), issued_at, ttl: TOKEN_TTL };
        files::write(&self.path, self.issuer.mint(&request).as_bytes(), Readers::Owner)?;
        Ok(issued_at)
    }

    /// Renews the file until the future is dropped.
    pub async fn keep(self, mut written: Timestamp) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let age = self.clock.wall().0.abs_diff(written.0);
            if u128::from(age) < RENEW_AFTER.as_millis() {
                continue;
            }
            match self.write() {
                Ok(at) => written = at,
                Err(error) => {
                    tracing::error!(%error, "the token file cannot be renewed; the printed calls will get 401");
                }
            }
        }
    }
}
