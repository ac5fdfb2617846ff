//! One HTTPS connection to the server under test. It sends a call, waits for the whole answer and says how long that took.
//! It judges nothing, retries nothing, and trusts only the authority it was given.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Serialize;
use thiserror::Error;

use crate::clock;
use crate::dev::DevServer;

/// Longer than any answer may take; a server that needs more counts as unreachable.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);

const HTTPS_PORT: u16 = 443;

/// A call on the demo key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Wrap,
    Unwrap,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
        }
    }
}

/// Who the call says it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// The caller that the demo key admits.
    Granted,
    /// Nobody: the call carries no token.
    Absent,
}

/// What came back, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// From the first byte sent to the last byte read, the making of a connection included.
    pub latency: Duration,
}

/// Why there is no answer to judge.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The folder's certificate authority is no PEM certificate.
    #[error("the certificate authority of the development server is unusable")]
    Authority(#[source] reqwest::Error),
    /// The folder's certificate authority is a file without a certificate.
    #[error("the certificate authority of the development server holds no certificate")]
    NoAuthority,
    /// The client could not be set up.
    #[error("no TLS client can be made")]
    Setup(#[source] reqwest::Error),
    /// The name in `data_url` leads to no address.
    #[error("{host} cannot be resolved")]
    Unresolved {
        host: String,
        #[source]
        cause: io::Error,
    },
    /// The name in `data_url` is known and has no address.
    #[error("{host} has no address")]
    NoAddress { host: String },
    /// The connection failed, or the answer did not come in time.
    #[error("no answer from {url}")]
    Unreachable {
        url: String,
        #[source]
        cause: reqwest::Error,
    },
}

/// A client with its own connection: two clients never share one.
pub struct Client {
    http: reqwest::Client,
    key_url: String,
    authorization: String,
}

impl Client {
    /// Sets the client up; nothing is sent yet.
    ///
    /// # Errors
    /// If the authority is unusable or the address in `data_url` cannot be found.
    pub async fn new(server: &DevServer) -> Result<Self, ClientError> {
        let authority = reqwest::Certificate::from_pem_bundle(&server.ca_pem).map_err(ClientError::Authority)?;
        if authority.is_empty() {
            return Err(ClientError::NoAuthority);
        }
        let mut builder =
            reqwest::Client::builder().tls_certs_only(authority).no_proxy().https_only(true).timeout(CALL_TIME_MAX);
        if let Some(address) = other_address(server).await? {
            builder = builder.resolve(&server.hostname, address);
        }
        Ok(Self {
            http: builder.build().map_err(ClientError::Setup)?,
            key_url: format!("https://{}:{}/{}", server.hostname, port(&server.data_url), server.key_path),
            authorization: format!("Bearer {}", server.token),
        })
    }

    /// Sends one call and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// If no answer arrives.
    pub async fn call(&self, verb: Verb, bearer: Bearer, body: &impl Serialize) -> Result<Answer, ClientError> {
        let url = format!("{}:{}", self.key_url, verb.name());
        let body = serde_json::to_vec(body).expect("bodies of plain strings always become JSON");
        let mut request = self.http.post(&url).header(CONTENT_TYPE, "application/json").body(body);
        if bearer == Bearer::Granted {
            request = request.header(AUTHORIZATION, &self.authorization);
        }
        let sent_at = clock::now();
        let unreachable =
            |cause: reqwest::Error| ClientError::Unreachable { url: url.clone(), cause: cause.without_url() };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(unreachable)?.to_vec();
        Ok(Answer { status, body, latency: sent_at.elapsed() })
    }
}

/// The address that `data_url` leads to.
///
/// # Errors
/// If it leads to none.
pub async fn address_of(server: &DevServer) -> Result<SocketAddr, ClientError> {
    match other_address(server).await? {
        Some(address) => Ok(address),
        None => first_address(&server.hostname, port(&server.data_url)).await,
    }
}

/// `host:port` as a caller names the server.
pub fn authority_of(server: &DevServer) -> String {
    format!("{}:{}", server.hostname, port(&server.data_url))
}

/// The address to connect to when the certificate's name does not lead there by itself.
async fn other_address(server: &DevServer) -> Result<Option<SocketAddr>, ClientError> {
    let host = server.data_url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = port(&server.data_url);
    if host == server.hostname {
        return Ok(None);
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Some(SocketAddr::new(ip, port)));
    }
    first_address(host, port).await.map(Some)
}

async fn first_address(host: &str, port: u16) -> Result<SocketAddr, ClientError> {
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|cause| ClientError::Unresolved { host: host.to_owned(), cause })?;
    found.next().ok_or_else(|| ClientError::NoAddress { host: host.to_owned() })
}

fn port(url: &Uri) -> u16 {
    url.port_u16().unwrap_or(HTTPS_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn address(data_url: &'static str, hostname: &str) -> Option<SocketAddr> {
        let server = DevServer {
            data_url: Uri::from_static(data_url),
            hostname: hostname.to_owned(),
            ca_pem: Vec::new(),
            token: String::new(),
            key_path: String::new(),
        };
        other_address(&server).await.expect("an address literal needs no resolver")
    }

    #[tokio::test]
    async fn the_certificates_name_is_led_to_the_address_in_data_url() {
        assert_eq!(address("https://localhost:8443", "localhost").await, None);
        assert_eq!(address("https://127.0.0.1:8443", "localhost").await, Some(([127, 0, 0, 1], 8443).into()));
        assert_eq!(address("https://127.0.0.1", "localhost").await, Some(([127, 0, 0, 1], 443).into()));
        let v6 = address("https://[::1]:8443", "ekm.example").await.expect("an address was given");
        assert!(v6.is_ipv6() && v6.port() == 8443);
    }
}
