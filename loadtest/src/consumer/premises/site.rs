//! What a scenario must know of an `ekm dev`: where it listens, and the key of the issuer that plays Google's. Read once; never
//! written, and the operator's key is left to `ekmctl`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use thiserror::Error;

use crate::client::{self, ClientError};
use crate::clock;
use crate::dev::{self, DevDescription, DevError, DevServer};
use crate::issuer::{Issuer, IssuerError};

/// Tokens live as long as Google's do at most.
const TOKEN_TTL: Duration = Duration::from_hours(1);

/// Why a site cannot be used.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The folder does not describe a server.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// It lacks what only this command needs.
    #[error("dev.json in {} does not say which issuer's key and audience to use", folder.display())]
    NoIssuerKey { folder: PathBuf },
    /// The issuer's key is unusable.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The demo token does not say who issues tokens there.
    #[error("the token of the development server does not say who issued it")]
    NoIssuer,
    /// `data_url` leads to no address.
    #[error(transparent)]
    Address(#[from] ClientError),
}

impl SiteError {
    /// Whether the server is somewhere, and not to be reached.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Address(ClientError::Unresolved { .. } | ClientError::NoAddress { .. }))
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

impl Site {
    /// Reads `<folder>/dev.json` and what it names.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub async fn read(folder: &Path) -> Result<Self, SiteError> {
        let DevDescription { server, audience, issuer_key_file, .. } = dev::describe(folder)?;
        let key = issuer_key_file.filter(|_| !audience.is_empty());
        let key = key.ok_or_else(|| SiteError::NoIssuerKey { folder: folder.to_owned() })?;
        let issuer = Issuer::load(&key, None)?;
        let issuer_name = issuer_of(&server.token).ok_or(SiteError::NoIssuer)?;
        let address = client::address_of(&server).await?;
        Ok(Self { server, address, issuer, issuer_name, audience })
    }

    /// A token as Google gives it to Cloud KMS for this caller.
    pub fn token(&self, email: &str) -> String {
        let now = clock::unix_seconds();
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
