//! A world of one EKM on loopback, plain HTTP, and the kit that looks at it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::super::case::Case;
use super::super::run::{self, Parties, Seen, Verdict};
use super::super::scene::{Facts, GOOGLE_ISSUER};
use super::super::sender::{Address, Sender};
use super::defects::Defect;
use super::honest::{DISABLED_KEY, Honest, KEY, Received, SECOND_KEY, UNKNOWN_KEY};
use super::verifier::Verifier;
use crate::issuer::Issuer;

/// The time of these tests, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;
const EMAIL: &str = "service-1@gcp-sa-ekms.iam.gserviceaccount.com";
const HOST: &str = "localhost";

/// Two signers and what is known of the EKM; the same for many worlds, since RSA keys take time.
pub struct Signers {
    pub issuer: Issuer,
    pub forger: Issuer,
    pub facts: Facts,
}

impl Signers {
    pub fn new() -> Self {
        let facts = Facts {
            key_path: KEY.to_owned(),
            second_key_path: Some(SECOND_KEY.to_owned()),
            disabled_key_path: Some(DISABLED_KEY.to_owned()),
            unknown_key_path: UNKNOWN_KEY.to_owned(),
            audience: format!("https://{HOST}"),
            issuer: GOOGLE_ISSUER.to_owned(),
            email: EMAIL.to_owned(),
        };
        Self { issuer: Issuer::unknown("test-1"), forger: Issuer::unknown("test-1"), facts }
    }

    pub fn parties(&self) -> Parties<'_> {
        Parties { facts: &self.facts, issuer: &self.issuer, forger: &self.forger }
    }
}

/// An EKM that ends with its world.
pub struct World {
    pub sender: Sender,
    server: AbortHandle,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl World {
    pub async fn with(signers: &Signers, defect: Option<Defect>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let verifier = Verifier::new(&signers.issuer, &signers.facts.audience, EMAIL, NOW);
        let ekm = Arc::new(Honest::new(verifier, address.port(), defect));
        let server = tokio::spawn(serve(listener, ekm)).abort_handle();
        let address = Address { host: HOST.to_owned(), port: address.port(), instead: Some(address) };
        Self { sender: Sender::danger_plain(address), server }
    }

    pub async fn tried(&mut self, signers: &Signers, cases: &[&'static Case]) -> (Vec<Verdict>, Seen) {
        run::run(&mut self.sender, &signers.parties(), cases, || NOW).await
    }
}

async fn serve(listener: TcpListener, ekm: Arc<Honest>) {
    // dropped with the server, and the connections with it
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("loopback accepts");
        connections.spawn(connection(stream, Arc::clone(&ekm)));
    }
}

async fn connection(stream: TcpStream, ekm: Arc<Honest>) {
    let is_http1_only = ekm.defect == Some(Defect::Http1Only);
    let believed = Arc::new(AtomicBool::new(false));
    let service = service_fn(move |request| answered(request, Arc::clone(&ekm), Arc::clone(&believed)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if is_http1_only {
        builder = builder.http1_only();
    }
    // a client that goes away early is no fault of the server's
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

async fn answered(
    request: Request<Incoming>,
    ekm: Arc<Honest>,
    connection: Arc<AtomicBool>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let received = Received { method: head.method, path, headers: head.headers, body, connection };
    let reply = ekm.answer(&received);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(reply.body))).expect("a reply is writable HTTP"))
}
