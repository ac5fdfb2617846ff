//! The operator's side of the admin API: signs requests, sends them over mTLS, and reads what comes back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use replication::ids::{IdempotencyId, LineageId, PublicKey, SignerId};
use replication::machine::request::{AdminOperation, REQUEST_FORMAT, Request, SignedRequest};
use replication::machine::signing::{SigningKey, SigningKeyError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::wire::{
    Answer, Failure, FailureBody, Page, REQUESTS_PATH, SIGNATURE_HEADER, SIGNER_HEADER, STATUS_PATH, Status,
};

/// How long one call to the admin API may take, activation included.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// Why a call to the admin API came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no PEM of the kind that is needed.
    #[error("{} holds no {what} in PEM; put back the one that was issued to you", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The operator's key is not Ed25519.
    #[error("{}: an operator's key is Ed25519 in PKCS#8", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SigningKeyError,
    },
    /// The operator's certificate does not name an operator.
    #[error("{}: the certificate's common name names no operator", path.display())]
    Name {
        /// Which file.
        path: PathBuf,
    },
    /// The connection cannot be prepared.
    #[error("the certificates cannot be used for a connection")]
    Prepare(#[source] reqwest::Error),
    /// The server could not be reached, or broke off.
    #[error("the admin API at {url} does not answer; `ekmctl doctor` looks for the reason")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{}", .0.message)]
    Refused(FailureBody),
    /// The server answered with something that is no answer of the admin API.
    #[error("status {status} with a body that is none of the admin API's")]
    NotOurs {
        /// The HTTP status.
        status: u16,
    },
    /// There is no randomness for an idempotency id.
    #[error("there is no randomness for an idempotency id")]
    Entropy(#[source] getrandom::Error),
}

/// An operator's identity: a certificate and the key behind it, which also signs requests.
pub struct Operator {
    key: SigningKey,
    identity: Zeroizing<Vec<u8>>,
}

impl Operator {
    /// Reads certificate and key, PEM. The certificate's common name is the operator's name.
    ///
    /// # Errors
    /// [`ClientError::Read`], [`ClientError::Pem`], [`ClientError::Key`], [`ClientError::Name`], each naming the file.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, ClientError> {
        let certificate_pem = read(certificate_file)?;
        let key_pem = read(key_file)?;
        let pem = |path: &Path, what| ClientError::Pem { path: path.to_owned(), what };
        let certificate =
            CertificateDer::from_pem_slice(&certificate_pem).map_err(|_| pem(certificate_file, "certificate"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&key_pem).map_err(|_| pem(key_file, "private key"))?;
        let name = common_name(&certificate).ok_or_else(|| ClientError::Name { path: certificate_file.to_owned() })?;
        let key = SigningKey::from_pkcs8(name, key.secret_pkcs8_der())
            .map_err(|source| ClientError::Key { path: key_file.to_owned(), source })?;
        let identity = Zeroizing::new([certificate_pem.as_slice(), b"\n", key_pem.as_slice()].concat());
        Ok(Self { key, identity })
    }

    /// The operator's public key and name, as a group enrols them.
    pub fn enrolment(&self) -> (SignerId, PublicKey) {
        (self.key.signer().clone(), self.key.public_key())
    }

    /// A signed request under an id of the caller's.
    pub fn request(
        &self,
        lineage: LineageId,
        idempotency_id: IdempotencyId,
        operation: AdminOperation,
    ) -> SignedRequest {
        let request = Request { format: REQUEST_FORMAT, lineage, idempotency_id, operation };
        self.key.sign_request(serde_json::to_vec(&request).expect("a request holds only what JSON can write"))
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<SignerId> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    name.parse().ok()
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let bytes = std::fs::read(path).map_err(|source| ClientError::Read { path: path.to_owned(), source })?;
    Ok(Zeroizing::new(bytes))
}

/// A random idempotency id.
///
/// # Errors
/// [`ClientError::Entropy`].
pub fn new_idempotency_id() -> Result<IdempotencyId, ClientError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(ClientError::Entropy)?;
    Ok(IdempotencyId::from_bytes(bytes))
}

/// A connection to one admin API as one operator.
pub struct AdminClient {
    operator: Operator,
    http: reqwest::Client,
    url: String,
}

impl AdminClient {
    /// Prepares calls to `url` (`https://host:port`), trusting the certificates in `ca_file`.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn new(url: &str, ca_file: &Path, operator: Operator) -> Result<Self, ClientError> {
        let ca = reqwest::Certificate::from_pem(&read(ca_file)?).map_err(ClientError::Prepare)?;
        let identity = reqwest::Identity::from_pem(&operator.identity).map_err(ClientError::Prepare)?;
        let http = reqwest::Client::builder()
            .tls_certs_only([ca])
            .identity(identity)
            .https_only(true)
            .no_proxy()
            .timeout(CALL_DEADLINE)
            .build()
            .map_err(ClientError::Prepare)?;
        Ok(Self { operator, http, url: url.trim_end_matches('/').to_owned() })
    }

    /// What the cluster is and how it is.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Refused`], [`ClientError::NotOurs`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get(STATUS_PATH).await
    }

    /// The same with the server's `Date`, as it wrote it.
    ///
    /// # Errors
    /// As [`AdminClient::status`].
    pub async fn status_with_date(&self) -> Result<(Status, Option<String>), ClientError> {
        let response = self.sent(self.http.get(format!("{}{STATUS_PATH}", self.url))).await?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok((self.answer(response).await?, date))
    }

    /// What a path of the admin API gives.
    ///
    /// # Errors
    /// As [`AdminClient::status`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(self.http.get(format!("{}{path}", self.url))).await
    }

    /// The whole of one of the admin API's lists, page by page.
    ///
    /// # Errors
    /// As [`AdminClient::status`].
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        let (mut items, mut query) = (Vec::new(), String::from("page_size=1000"));
        loop {
            let page: Page<T> = self.get(&format!("{path}?{query}")).await?;
            items.extend(page.items);
            match page.next_page_token {
                Some(token) => query = format!("page_size=1000&page_token={token}"),
                None => return Ok(items),
            }
        }
    }

    /// The answer to a question that is too long for a path.
    ///
    /// # Errors
    /// As [`AdminClient::status`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.call(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// The operator's name.
    pub fn name(&self) -> &SignerId {
        self.operator.key.signer()
    }

    /// The operator's public key.
    pub fn public_key(&self) -> PublicKey {
        self.operator.key.public_key()
    }

    /// A signed request, not sent: for somebody else to carry on.
    pub fn signed(&self, lineage: LineageId, id: IdempotencyId, operation: AdminOperation) -> SignedRequest {
        self.operator.request(lineage, id, operation)
    }

    /// Has an operation carried out, under a given id.
    ///
    /// # Errors
    /// As [`AdminClient::status`].
    pub async fn execute(
        &self,
        lineage: LineageId,
        id: IdempotencyId,
        operation: AdminOperation,
    ) -> Result<Answer, ClientError> {
        let signed = self.operator.request(lineage, id, operation);
        let call = self
            .http
            .post(format!("{}{REQUESTS_PATH}", self.url))
            .header(SIGNER_HEADER, signed.signer.as_str())
            .header(SIGNATURE_HEADER, STANDARD.encode(&signed.signature))
            .header("content-type", "application/json")
            .body(signed.bytes);
        self.call(call).await
    }

    async fn call<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let response = self.sent(call).await?;
        self.answer(response).await
    }

    async fn sent(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, ClientError> {
        call.send().await.map_err(|source| self.unreachable(source))
    }

    async fn answer<T: DeserializeOwned>(&self, response: reqwest::Response) -> Result<T, ClientError> {
        let status = response.status();
        let body = response.bytes().await.map_err(|source| self.unreachable(source))?;
        let not_ours = |_| ClientError::NotOurs { status: status.as_u16() };
        if status.is_success() {
            serde_json::from_slice(&body).map_err(not_ours)
        } else {
            let failure: Failure = serde_json::from_slice(&body).map_err(not_ours)?;
            Err(ClientError::Refused(failure.error))
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.url.clone(), source }
    }
}
