//! Whom a load is for: the address, the keys and the callers, from the folder of a development server or piece by piece from the
//! command line. It reads files that it was told of, and sends nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderValue, Uri};
use thiserror::Error;

use super::tokens::{GOOGLE, Identity, Source, TokenError, Tokens, issuer_of};
use crate::client::{self, ClientError};
use crate::clock;
use crate::dev::{self, DevError, DevServer};
use crate::issuer::{Issuer, IssuerError};
use crate::line::{Route, RouteError};

/// The longest lifetime of a token, which no verifier exceeds, in seconds.
const TOKEN_SECONDS_MAX: i64 = 3600;

/// Where the load goes, and in whose name.
#[derive(clap::Args)]
#[command(next_help_heading = "Target")]
pub struct TargetArgs {
    /// Data folder of a running `ekm dev` or cluster: gives everything below that is not given
    #[arg(long, value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    dev: Option<PathBuf>,
    /// Address of the server, `https://host:port`
    #[arg(long, value_name = "URL", requires_all = ["ca", "key_path"])]
    url: Option<Uri>,
    /// The certificate authority to trust, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name on the server's certificate; default: the host of the URL
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Path of a key, as it is registered with Cloud KMS; give it several times, the hot key first. `=EMAIL` behind it names the
    /// one caller of this key
    #[arg(long, value_name = "PATH[=EMAIL]")]
    key_path: Vec<KeyArg>,
    /// A file with a token that somebody renews
    #[arg(long, value_name = "FILE", conflicts_with = "issuer_key")]
    token_file: Option<PathBuf>,
    /// Sign tokens with this RSA key (PEM), whose public half the server trusts; for several callers
    #[arg(long, value_name = "FILE")]
    issuer_key: Option<PathBuf>,
    /// The `kid` of that key; default: half the SHA-256 of its public half, as `ekm dev` names it
    #[arg(long, value_name = "ID", requires = "issuer_key")]
    key_id: Option<String>,
    /// The issuer that signed tokens name; default: that of the token of `ekm dev`, else Google's
    #[arg(long, value_name = "URL", requires = "issuer_key")]
    issuer: Option<String>,
    /// The audience of signed tokens; default: `https://` and the host name
    #[arg(long, value_name = "URL", requires = "issuer_key")]
    audience: Option<String>,
    /// A caller of signed tokens; give it several times. Keys without a caller of their own are called by all of these
    #[arg(long, value_name = "EMAIL", requires = "issuer_key")]
    email: Vec<String>,
    /// Lifetime of signed tokens in seconds; they are renewed at half of it
    #[arg(long, value_name = "SECONDS", default_value_t = TOKEN_SECONDS_MAX,
          value_parser = clap::value_parser!(i64).range(2..=TOKEN_SECONDS_MAX))]
    token_lifetime: i64,
}

/// A key on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyArg {
    path: String,
    email: Option<String>,
}

impl FromStr for KeyArg {
    type Err = KeyArgError;

    fn from_str(text: &str) -> Result<Self, KeyArgError> {
        let (path, email) = text.split_once('=').map_or((text, None), |(path, email)| (path, Some(email.to_owned())));
        let path = path.trim_start_matches('/').to_owned();
        if path.is_empty() || format!("/{path}:wrap").parse::<Uri>().is_err() {
            return Err(KeyArgError::Path { text: text.to_owned() });
        }
        match email {
            Some(email) if !email.contains('@') => Err(KeyArgError::Email { text: text.to_owned() }),
            email => Ok(Self { path, email }),
        }
    }
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyArgError {
    /// The path cannot stand in a URL.
    #[error("`{text}` is no key path such as v0/keys/abc")]
    Path { text: String },
    /// What follows the equals sign is no caller.
    #[error("what follows the = in `{text}` is no e-mail address")]
    Email { text: String },
}

/// Why there is no target.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The folder does not describe a server.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The URL has another scheme, or no host.
    #[error("{url} is not an https address with a host")]
    Url { url: String },
    /// Neither a token nor a key to sign one.
    #[error("no token: give --token-file FILE, or --issuer-key FILE with --email EMAIL")]
    NoToken,
    /// Nobody to sign for.
    #[error("{path} has no caller: write --key-path {path}=EMAIL, or give --email EMAIL")]
    NoCaller { path: String },
    /// A caller without a signing key.
    #[error("{path} names a caller, and only --issuer-key FILE can make a token for it")]
    NoIssuer { path: String },
    /// The issuer's key cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A token cannot be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server's name leads nowhere.
    #[error(transparent)]
    Address(#[from] ClientError),
    /// It cannot be trusted.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A name or a path cannot stand in a request.
    #[error("{text} cannot stand in a request")]
    Unsendable { text: String },
}

impl TargetError {
    /// Whether the name of the server is the trouble, and not what was given here.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Address(ClientError::Unresolved { .. } | ClientError::NoAddress { .. }))
    }
}

/// One key under load.
pub struct Key {
    pub wrap: Uri,
    pub unwrap: Uri,
    /// Who may call it, as places among the tokens.
    pub callers: Vec<usize>,
}

/// Where the load goes.
pub struct Target {
    pub route: Route,
    pub host: HeaderValue,
    pub keys: Vec<Key>,
    pub tokens: Tokens,
}

/// What the folder of a development server gives, or the command line instead.
struct Given {
    server: DevServer,
    token_file: Option<PathBuf>,
    audience: String,
    email: Option<String>,
    /// The issuer's key, where no server renews the token file.
    own_issuer_key: Option<PathBuf>,
}

impl TargetArgs {
    /// Reads the files and puts the target together.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub async fn resolve(&self) -> Result<Target, TargetError> {
        let given = self.given()?;
        let args = if self.key_path.is_empty() {
            vec![KeyArg { path: given.server.key_path.clone(), email: None }]
        } else {
            self.key_path.clone()
        };
        let (source, callers) = self.source(&given, &args)?;
        let address = client::address_of(&given.server).await?;
        let authority = client::authority_of(&given.server);
        let keys = args.iter().zip(callers).map(|(arg, callers)| key(&arg.path, callers));
        Ok(Target {
            route: Route::new(address, &given.server.hostname, &given.server.ca_pem)?,
            host: HeaderValue::from_str(&authority).map_err(|_| TargetError::Unsendable { text: authority })?,
            keys: keys.collect::<Result<_, _>>()?,
            tokens: Tokens::new(source, clock::now(), clock::unix_seconds())?,
        })
    }

    fn given(&self) -> Result<Given, TargetError> {
        if let Some(folder) = &self.dev {
            let mut told = dev::describe(folder)?;
            if let Some(hostname) = &self.hostname {
                told.server.hostname.clone_from(hostname);
            }
            if let Some(ca) = &self.ca {
                told.server.ca_pem = bytes_of(ca)?;
            }
            let email = (!told.caller_email.is_empty()).then_some(told.caller_email);
            return Ok(Given {
                server: told.server,
                token_file: Some(told.token_file),
                audience: told.audience,
                email,
                own_issuer_key: told.own_issuer_key,
            });
        }
        let url = self.url.clone().unwrap_or_default();
        let host = url.host().filter(|_| url.scheme_str() == Some("https"));
        let host = host.ok_or_else(|| TargetError::Url { url: url.to_string() })?;
        let hostname = self.hostname.clone().unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        let ca = self.ca.as_deref().expect("clap asks for it beside the URL");
        let server = DevServer {
            hostname: hostname.clone(),
            ca_pem: bytes_of(ca)?,
            token: String::new(),
            key_path: String::new(),
            data_url: url,
        };
        Ok(Given {
            server,
            token_file: None,
            audience: format!("https://{hostname}"),
            email: None,
            own_issuer_key: None,
        })
    }

    /// Where tokens come from, and the callers of each key.
    fn source(&self, given: &Given, keys: &[KeyArg]) -> Result<(Source, Vec<Vec<usize>>), TargetError> {
        let own = given.own_issuer_key.as_ref().filter(|_| self.token_file.is_none());
        let Some(issuer_key) = self.issuer_key.as_ref().or(own) else {
            if let Some(key) = keys.iter().find(|key| key.email.is_some()) {
                return Err(TargetError::NoIssuer { path: key.path.clone() });
            }
            let file = self.token_file.clone().or_else(|| given.token_file.clone()).ok_or(TargetError::NoToken)?;
            return Ok((Source::File(file), vec![vec![0]; keys.len()]));
        };
        let mut emails = self.email.clone();
        if emails.is_empty() {
            emails.extend(given.email.clone());
        }
        let shared: Vec<usize> = (0..emails.len()).collect();
        let mut callers = Vec::new();
        for key in keys {
            callers.push(match &key.email {
                None if shared.is_empty() => return Err(TargetError::NoCaller { path: key.path.clone() }),
                None => shared.clone(),
                Some(email) => vec![place_of(email, &mut emails)],
            });
        }
        let source = Source::Signed {
            issuer: Box::new(Issuer::load(issuer_key, self.key_id.clone())?),
            identity: Identity {
                issuer: self
                    .issuer
                    .clone()
                    .or_else(|| issuer_of(&given.server.token))
                    .unwrap_or_else(|| GOOGLE.to_owned()),
                audience: self.audience.clone().unwrap_or_else(|| given.audience.clone()),
            },
            emails,
            lifetime: Duration::from_secs(self.token_lifetime.unsigned_abs()),
        };
        Ok((source, callers))
    }
}

/// The place of a caller in the list, which it joins if it is new.
fn place_of(email: &str, emails: &mut Vec<String>) -> usize {
    emails.iter().position(|one| one == email).unwrap_or_else(|| {
        emails.push(email.to_owned());
        emails.len() - 1
    })
}

fn key(path: &str, callers: Vec<usize>) -> Result<Key, TargetError> {
    let uri = |verb: &str| {
        let text = format!("/{path}:{verb}");
        text.parse::<Uri>().map_err(|_| TargetError::Unsendable { text })
    };
    Ok(Key { wrap: uri("wrap")?, unwrap: uri("unwrap")?, callers })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, TargetError> {
    fs::read(path).map_err(|cause| TargetError::Unreadable { path: path.to_owned(), cause })
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
