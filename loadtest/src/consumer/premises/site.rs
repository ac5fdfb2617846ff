//! What a scenario must know of an `ekm dev`: where it listens, and the key of the issuer that plays Google's. Read once; never
//! written, and the operator's key is left to `ekmctl`.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::dev::{self, DevError, DevServer};
use crate::issuer::{Issuer, IssuerError};

/// Tokens live as long as Google's do at most.
const TOKEN_TTL: Duration = Duration::from_hours(1);
const HTTPS_PORT: u16 = 443;

/// Why a site cannot be used.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The folder does not describe a server.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// `dev.json` cannot be read again.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It lacks what only this command needs.
    #[error("{} does not say which issuer's key and audience to use", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    /// The issuer's key is unusable.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The demo token does not say who issues tokens there.
    #[error("the token of the development server does not say who issued it")]
    NoIssuer,
    /// The name leads nowhere.
    #[error("{host} cannot be resolved")]
    Unresolved {
        host: String,
        #[source]
        cause: io::Error,
    },
    /// The name is known and has no address.
    #[error("{host} has no address")]
    NoAddress { host: String },
}

impl SiteError {
    /// Whether the server is somewhere, and not to be reached.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unresolved { .. } | Self::NoAddress { .. })
    }
}

/// A development server, and Google's issuer beside it.
pub struct Site {
    /// How callers see it.
    pub server: DevServer,
    /// Where its data listener is.
    pub address: SocketAddr,
    issuer: Issuer,
    issuer_name: String,
    audience: String,
}

#[derive(Deserialize)]
struct Further {
    audience: String,
    issuer_key_file: PathBuf,
}

impl Site {
    /// Reads `<folder>/dev.json` and what it names.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub async fn read(folder: &Path) -> Result<Self, SiteError> {
        let server = dev::read(folder)?;
        let path = folder.join("dev.json");
        let text = fs::read(&path).map_err(|cause| SiteError::Unreadable { path: path.clone(), cause })?;
        let further: Further = serde_json::from_slice(&text).map_err(|cause| SiteError::Malformed { path, cause })?;
        let issuer = Issuer::load(&folder.join(further.issuer_key_file), None)?;
        let issuer_name = issuer_of(&server.token).ok_or(SiteError::NoIssuer)?;
        let address = address_of(&server).await?;
        Ok(Self { server, address, issuer, issuer_name, audience: further.audience })
    }

    /// A token as Google gives it to Cloud KMS for this caller.
    #[expect(clippy::disallowed_methods, reason = "a token is for now, by the clock of this machine")]
    pub fn token(&self, email: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": self.issuer_name, "aud": self.audience, "email": email, "email_verified": true, "sub": email, "azp": email,
            "iat": now, "exp": now + TOKEN_TTL.as_secs(),
        });
        self.issuer.sign(&self.issuer.header(), &claims)
    }
}

/// The issuer as a token names it: every `ekm dev` trusts one of its own beside Google's.
fn issuer_of(token: &str) -> Option<String> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

async fn address_of(server: &DevServer) -> Result<SocketAddr, SiteError> {
    let host = server.data_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = server.data_url.port_u16().unwrap_or(HTTPS_PORT);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let unresolved = |cause| SiteError::Unresolved { host: host.to_owned(), cause };
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(unresolved)?;
    found.next().ok_or_else(|| SiteError::NoAddress { host: host.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_read_from_the_demo_token() {
        let token = |claims: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(issuer_of(&token(r#"{"iss":"https://issuer.example"}"#)).as_deref(), Some("https://issuer.example"));
        for odd in [token("{}"), token("no JSON"), "no token".to_owned(), String::new()] {
            assert_eq!(issuer_of(&odd), None, "{odd}");
        }
    }
}
