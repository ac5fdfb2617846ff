//! Cloud KMS, as far as a server can see it: calls over TLS with a token, and their answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Dev, soon};

/// How often a call is repeated that a test needs a settled answer to.
const SETTLED_TRIES: u32 = 50;
/// The pause before a repetition.
const SETTLED_PAUSE: Duration = Duration::from_millis(100);

/// An answer that arrived whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The text of a field.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("an answer with {field}, not {self:?}"))
    }
}

/// Which of its two protocols a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Google {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Google {
    pub(crate) fn new(dev: &Dev, protocol: Protocol) -> Self {
        let ca = std::fs::read(&dev.file.ca_file).expect("the authority's certificate is there");
        let ca = reqwest::Certificate::from_pem(&ca).expect("it is PEM");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, dev.port()));
        let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().resolve(&dev.file.hostname, address);
        let http = match protocol {
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => builder,
        };
        Self {
            http: http.build().expect("a client can be made"),
            url: dev.file.data_url.clone(),
            token: std::fs::read_to_string(&dev.file.token_file).expect("the token file is there"),
        }
    }

    /// The same client with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Calls a verb on a path; an error if no whole answer came.
    pub(crate) async fn call(&self, path: &str, verb: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        let call = self.http.post(format!("{}/{path}:{verb}", self.url)).bearer_auth(&self.token).json(body);
        soon("an answer", async {
            let response = call.send().await?;
            let status = response.status().as_u16();
            let header = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
            let request = header.unwrap_or_default().to_owned();
            let body = response.bytes().await?;
            Ok(Answer { status, request, body: serde_json::from_slice(&body).unwrap_or_default() })
        })
        .await
    }

    /// Calls until the answer is another than "try again", as Cloud KMS does: a busy machine may run out of time.
    pub(crate) async fn settled(&self, path: &str, verb: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        for _ in 0..SETTLED_TRIES {
            let answer = self.call(path, verb, body).await?;
            if !matches!(answer.status, 503 | 504) {
                return Ok(answer);
            }
            tokio::time::sleep(SETTLED_PAUSE).await;
        }
        self.call(path, verb, body).await
    }

    pub(crate) async fn settled_wrap(&self, path: &str, plaintext: &str) -> Result<Answer, reqwest::Error> {
        self.settled(path, "wrap", &json!({"plaintext": plaintext})).await
    }

    pub(crate) async fn settled_unwrap(&self, path: &str, blob: &str) -> Result<Answer, reqwest::Error> {
        self.settled(path, "unwrap", &json!({"wrappedBlob": blob})).await
    }

    pub(crate) async fn wrap(&self, path: &str, plaintext: &str) -> Result<Answer, reqwest::Error> {
        self.call(path, "wrap", &json!({"plaintext": plaintext})).await
    }

    pub(crate) async fn unwrap(&self, path: &str, blob: &str) -> Result<Answer, reqwest::Error> {
        self.call(path, "unwrap", &json!({"wrappedBlob": blob})).await
    }
}
