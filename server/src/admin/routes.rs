//! The admin listener's routes. Each handler is a few lines: who asks, what is asked, one body back.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use replication::ids::{IdError, KeyVersionId, SignerId, TenantId};
use replication::machine::outcome::Refusal;
use replication::machine::request::{REQUEST_BYTES_MAX, SignedRequest};
use replication::raft::group::ProposeError;

use crate::edge::peer::PeerCertificate;
use crate::health::Readiness;
use crate::keystore::{ExecuteError, KeyStore};

use super::operator::{self, Operator};
use super::queries;
use super::wire::{
    Failure, FailureBody, FailureCode, REQUESTS_PATH, SIGNATURE_HEADER, SIGNER_HEADER, STATUS_PATH, TENANTS_PATH,
    VERSIONS_PATH,
};

/// What the handlers share.
#[derive(Clone)]
struct Admin {
    store: Arc<KeyStore>,
    readiness: Arc<Readiness>,
}

/// The admin API of a key store. Serve it behind mutual TLS only: handlers demand the peer's certificate.
pub fn router(store: Arc<KeyStore>, readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route(REQUESTS_PATH, post(execute))
        .route(STATUS_PATH, get(status))
        .route(TENANTS_PATH, get(tenants))
        .route(&format!("{TENANTS_PATH}/{{tenant}}/cryptospaces"), get(crypto_spaces))
        .route(&format!("{TENANTS_PATH}/{{tenant}}/keys"), get(keys))
        .route(&format!("{VERSIONS_PATH}/{{version}}"), get(version))
        .fallback(|| async { refuse(FailureCode::NotFound, "there is no such path in the admin API") })
        .method_not_allowed_fallback(|| async { refuse(FailureCode::Invalid, "this path does not take that method") })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(Admin { store, readiness })
}

type Peer = Option<Extension<PeerCertificate>>;

async fn execute(Shared(admin): Shared<Admin>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    let asked = admin.operator(peer).and_then(|operator| signed(&headers, &operator, &body));
    match asked {
        Ok(asked) => match admin.store.execute(asked).await {
            Ok(answer) => Json(answer).into_response(),
            Err(error) => failure(&error),
        },
        Err(response) => *response,
    }
}

async fn status(Shared(admin): Shared<Admin>, peer: Peer) -> Response {
    match admin.operator(peer) {
        Ok(operator) => Json(queries::status(&admin.store, &admin.readiness, &operator)).into_response(),
        Err(response) => *response,
    }
}

async fn tenants(Shared(admin): Shared<Admin>, peer: Peer) -> Response {
    match admin.operator(peer) {
        Ok(operator) => Json(queries::tenants(&admin.store.shard_state(), &operator)).into_response(),
        Err(response) => *response,
    }
}

async fn crypto_spaces(Shared(admin): Shared<Admin>, peer: Peer, Path(tenant): Path<String>) -> Response {
    match admin.operator(peer).and_then(|operator| Ok((operator, legal::<TenantId>(&tenant)?))) {
        Ok((operator, tenant)) => {
            listed(&tenant, queries::crypto_spaces(&admin.store.shard_state(), &tenant, &operator))
        }
        Err(response) => *response,
    }
}

async fn keys(Shared(admin): Shared<Admin>, peer: Peer, Path(tenant): Path<String>) -> Response {
    match admin.operator(peer).and_then(|operator| Ok((operator, legal::<TenantId>(&tenant)?))) {
        Ok((operator, tenant)) => listed(&tenant, queries::keys(&admin.store.shard_state(), &tenant, &operator)),
        Err(response) => *response,
    }
}

async fn version(Shared(admin): Shared<Admin>, peer: Peer, Path(version): Path<String>) -> Response {
    let asked = admin.operator(peer).and_then(|operator| Ok((operator, legal::<KeyVersionId>(&version)?)));
    match asked.map(|(operator, id)| queries::version(&admin.store.shard_state(), id, &operator)) {
        Ok(Some(version)) => Json(version).into_response(),
        Ok(None) => refuse(FailureCode::NotFound, &format!("there is no key version v0/keys/{version}")),
        Err(response) => *response,
    }
}

impl Admin {
    /// The enrolled operator behind the client certificate.
    fn operator(&self, peer: Peer) -> Result<Operator, Box<Response>> {
        peer.and_then(|Extension(certificate)| operator::enrolled(&self.store.shard_state(), &certificate)).ok_or_else(
            || Box::new(refuse(FailureCode::Denied, "the client certificate belongs to no enrolled operator")),
        )
    }
}

/// The signed request that headers and body make.
fn signed(headers: &HeaderMap, operator: &Operator, body: &[u8]) -> Result<SignedRequest, Box<Response>> {
    let refused = |code, text: &str| Err(Box::new(refuse(code, text)));
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(signer) = text(SIGNER_HEADER).and_then(|name| name.parse::<SignerId>().ok()) else {
        return refused(FailureCode::Invalid, "the header ekm-signer must name the operator who signed");
    };
    if signer != operator.id {
        return refused(FailureCode::Denied, "the request is signed by another operator than the client certificate's");
    }
    let Some(signature) = text(SIGNATURE_HEADER).and_then(|value| STANDARD.decode(value).ok()) else {
        return refused(
            FailureCode::Invalid,
            "the header ekm-signature must hold the request's Ed25519 signature in base64",
        );
    };
    Ok(SignedRequest { bytes: body.to_vec(), signer, signature })
}

fn legal<T: FromStr<Err = IdError>>(text: &str) -> Result<T, Box<Response>> {
    text.parse().map_err(|error: IdError| Box::new(refuse(FailureCode::Invalid, &error.to_string())))
}

fn listed<T: serde::Serialize>(tenant: &TenantId, list: Option<Vec<T>>) -> Response {
    match list {
        Some(list) => Json(list).into_response(),
        None => failure(&Refusal::UnknownTenant { tenant: tenant.clone() }.into()),
    }
}

/// The one mapping of what can go wrong to what the operator is told.
fn failure(error: &ExecuteError) -> Response {
    let code = match error {
        ExecuteError::Refused(refusal) => refusal_code(refusal),
        ExecuteError::Transport(_) => FailureCode::Invalid,
        ExecuteError::Propose(ProposeError::Unknown) => FailureCode::Unknown,
        ExecuteError::Propose(ProposeError::NoRoom(_)) => FailureCode::NoRoom,
        ExecuteError::Propose(_) | ExecuteError::Complete(_) => FailureCode::Unavailable,
        ExecuteError::Unexpected => FailureCode::Internal,
    };
    match code {
        FailureCode::Internal => tracing::error!(%error, "an admin request failed by a fault of this program"),
        FailureCode::Unavailable | FailureCode::Unknown => {
            tracing::warn!(%error, "an admin request was not carried out");
        }
        // why there is no room was told when it began
        FailureCode::NoRoom
        | FailureCode::Invalid
        | FailureCode::Denied
        | FailureCode::NotFound
        | FailureCode::Conflict => {
            tracing::info!(%error, "an admin request was refused");
        }
    }
    refuse(code, &error.to_string())
}

const fn refusal_code(refusal: &Refusal) -> FailureCode {
    match refusal {
        Refusal::NoGenesis => FailureCode::Unavailable,
        Refusal::UnknownSigner { .. }
        | Refusal::RevokedSigner { .. }
        | Refusal::BadSignature { .. }
        | Refusal::NotAllowed { .. }
        | Refusal::NotAPerson { .. }
        | Refusal::NotOfficer { .. }
        | Refusal::NeedsSecondOfficer { .. }
        | Refusal::SameOfficer { .. }
        | Refusal::ReservedTenant { .. } => FailureCode::Denied,
        Refusal::UnknownTenant { .. }
        | Refusal::UnknownCryptoSpace { .. }
        | Refusal::UnknownKey { .. }
        | Refusal::UnknownVersion { .. }
        | Refusal::UnknownAlias { .. }
        | Refusal::UnknownImportKey { .. }
        | Refusal::UnknownRule { .. }
        | Refusal::UnknownPerson { .. } => FailureCode::NotFound,
        Refusal::Exists { .. }
        | Refusal::PathTaken
        | Refusal::PersonKnown { .. }
        | Refusal::TooFewOfficers { .. }
        | Refusal::TooMany { .. }
        | Refusal::IllegalStep { .. }
        | Refusal::Conflict { .. }
        | Refusal::PlanUnsettled { .. }
        | Refusal::UnknownPlan
        | Refusal::WrongStage
        | Refusal::IdempotencyReused => FailureCode::Conflict,
        Refusal::WrongLineage
        | Refusal::MalformedRequest { .. }
        | Refusal::NeedsPlan
        | Refusal::NothingToApprove
        | Refusal::NoRole { .. }
        | Refusal::OtherCheckValue { .. }
        | Refusal::BadWindow { .. }
        | Refusal::BadQuota
        | Refusal::BadRule { .. }
        | Refusal::HidesInherited { .. }
        | Refusal::PolicyTooLarge { .. }
        | Refusal::TooLarge { .. } => FailureCode::Invalid,
        Refusal::GenesisRepeated
        | Refusal::NotWhatWasAsked
        | Refusal::RequestMissing
        | Refusal::WrongGroup
        | Refusal::TooEarly { .. }
        | Refusal::BadTick => FailureCode::Internal,
    }
}

fn refuse(code: FailureCode, message: &str) -> Response {
    let status = match code {
        FailureCode::Invalid => StatusCode::BAD_REQUEST,
        FailureCode::Denied => StatusCode::FORBIDDEN,
        FailureCode::NotFound => StatusCode::NOT_FOUND,
        FailureCode::Conflict => StatusCode::CONFLICT,
        FailureCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FailureCode::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        FailureCode::Unknown => StatusCode::GATEWAY_TIMEOUT,
        FailureCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Failure { error: FailureBody { code, message: message.to_owned() } })).into_response()
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
