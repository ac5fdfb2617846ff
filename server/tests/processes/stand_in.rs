//! A stand-in for the admin API that says what a real one says only in bad moments: it answers a status, and every change with one
//! failure. It counts the changes, and holds that all of them were the same request.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::harness::{Dev, Ended, ekmctl_json, finish};

/// How changes are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says {
    /// It may have been carried out.
    Unknown,
    /// Not now.
    Unavailable,
}

/// A running stand-in; it ends when this goes away.
pub(crate) struct StandIn {
    port: u16,
    changes: Arc<Mutex<Vec<Bytes>>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    says: Says,
    status: Arc<Value>,
    changes: Arc<Mutex<Vec<Bytes>>>,
}

impl StandIn {
    /// Starts one with the certificate of a running server, and that server's status.
    pub(crate) async fn start(dev: &Dev, says: Says) -> Self {
        let status = Arc::new(ekmctl_json(&dev.folder, &["status"]).await);
        let changes: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let router = Router::new()
            .route(
                "/admin/v1/status",
                get(|State(shared): State<Shared>| async move { axum::Json((*shared.status).clone()) }),
            )
            .route("/admin/v1/requests", post(refuse))
            .with_state(Shared { says, status, changes: Arc::clone(&changes) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let acceptor = TlsAcceptor::from(Arc::new(config(dev)));
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
                tokio::spawn(async move {
                    // one that breaks off is the client's affair
                    if let Ok(stream) = acceptor.accept(socket).await {
                        drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
                    }
                });
            }
        });
        Self { port, changes, serving }
    }

    /// How many changes were asked for; all of them must have been one and the same request.
    pub(crate) fn changes(&self) -> usize {
        let changes = self.changes.lock();
        assert!(changes.windows(2).all(|two| two[0] == two[1]), "another request, or another id");
        changes.len()
    }

    /// `ekmctl` against it, as the operator of a server.
    pub(crate) async fn ekmctl(&self, dev: &Dev, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
        command.arg("--url").arg(format!("https://localhost:{}", self.port)).arg("--ca").arg(&dev.file.ca_file);
        command.arg("--cert").arg(&dev.file.operator_cert_file).arg("--cert-key").arg(&dev.file.operator_key_file);
        finish(command.args(args)).await
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn refuse(State(shared): State<Shared>, body: Bytes) -> (StatusCode, axum::Json<Value>) {
    shared.changes.lock().push(body);
    let (status, code) = match shared.says {
        Says::Unknown => (StatusCode::GATEWAY_TIMEOUT, "unknown"),
        Says::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    (status, axum::Json(json!({"error": {"code": code, "message": "the stand-in says so"}})))
}

fn config(dev: &Dev) -> ServerConfig {
    let pki: PathBuf = dev.folder.join("pki");
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(pki.join("server.pem")).expect("the server's certificate is there").collect();
    let key = PrivateKeyDer::from_pem_file(pki.join("server-key.pem")).expect("the server's key is there");
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("PEM"), key)
        .expect("the server's own pair fits")
}
