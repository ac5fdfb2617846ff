//! The admin listener's routes, as a table. The router is made from it, and so is the document that describes the API.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use replication::clock::Clock;

use crate::edge::leftovers::Leftovers;
use crate::edge::service::Service;
use crate::edge::tls::ServerTls;
use crate::health::Readiness;
use crate::keystore::KeyStore;
use crate::operations::Journey;

use super::failure::refused;
use super::handlers;
use super::openapi::{self, Shape, page_of, shape};
use super::wire::{
    Answer, CALLERS_PATH, CLUSTER_INIT_PATH, CLUSTER_STATUS_PATH, CallerBody, ClusterStatus, CryptoSpaceBody,
    DENY_ENTRIES_PATH, DenyEntryBody, EXPLAIN_PATH, ExplainRequest, Explanation, FailureCode, Founded, ImportKeyBody,
    InitRequest, KeyBody, OPENAPI_PATH, OPERATORS_PATH, OwnedVersionBody, PersonBody, REQUESTS_PATH, SEEN_PATH,
    SHARDS_PATH, STATUS_PATH, SeenBody, ShardStatus, Status, TENANTS_PATH, TenantBody, VERSIONS_PATH,
};

/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// What the handlers share.
#[derive(Clone)]
pub struct Admin {
    /// What carries requests out.
    pub store: Arc<KeyStore>,
    /// Whether this machine serves.
    pub readiness: Arc<Readiness>,
    /// What callers are answered with.
    pub plane: Plane,
    /// Bodies of refused requests.
    pub leftovers: Leftovers,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the listeners present, by their names.
    pub certificates: Arc<[(&'static str, ServerTls)]>,
    /// How long a body may take to arrive; [`BODY_TIME_MAX`] but in tests.
    pub body_time_max: Duration,
}

/// Where callers are answered.
#[derive(Clone)]
pub enum Plane {
    /// In this process, by this service.
    Here(Arc<Service>),
    /// In other processes. What they would decide can be told all the same.
    Elsewhere(Arc<Journey>),
}

impl Plane {
    /// The way that a request takes.
    pub(super) fn journey(&self) -> &Journey {
        match self {
            Self::Here(service) => &service.journey,
            Self::Elsewhere(journey) => journey,
        }
    }

    /// What answers callers, if it is in this process.
    pub(super) fn service(&self) -> Option<&Service> {
        match self {
            Self::Here(service) => Some(service),
            Self::Elsewhere(_) => None,
        }
    }
}

/// What a route takes beside what stands in its path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// Which page of a list.
    Page,
    /// A request, signed in the headers.
    Signed(Shape),
    /// A body.
    Body(Shape),
}

/// One row.
pub(super) struct Endpoint {
    pub(super) path: String,
    /// Its name in the document, and that of the method that a generated client gets.
    pub(super) id: &'static str,
    pub(super) says: &'static str,
    pub(super) takes: Takes,
    pub(super) gives: Shape,
    /// How it can fail beside as every route does.
    pub(super) fails: &'static [FailureCode],
    handler: MethodRouter<Admin>,
}

impl Endpoint {
    /// Whether it is a POST; otherwise it is a GET.
    pub(super) const fn is_post(&self) -> bool {
        matches!(self.takes, Takes::Signed(_) | Takes::Body(_))
    }
}

const LISTS: &[FailureCode] = &[FailureCode::Invalid];
const FINDS: &[FailureCode] = &[FailureCode::Invalid, FailureCode::NotFound];
const READS: &[FailureCode] = &[FailureCode::Invalid, FailureCode::TooLarge, FailureCode::TooSlow];
const FOUNDS: &[FailureCode] = &[
    FailureCode::Invalid,
    FailureCode::Conflict,
    FailureCode::TooLarge,
    FailureCode::TooSlow,
    FailureCode::Unavailable,
    FailureCode::Unknown,
];
const CHANGES: &[FailureCode] = &[
    FailureCode::Invalid,
    FailureCode::NotFound,
    FailureCode::Conflict,
    FailureCode::TooLarge,
    FailureCode::TooSlow,
    FailureCode::Unavailable,
    FailureCode::NoRoom,
    FailureCode::Unknown,
    FailureCode::Internal,
];

/// The table.
#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    use handlers as h;
    let tenant = |rest: &str| format!("{TENANTS_PATH}/{{tenant}}{rest}");
    let below = |path: &str, name: &str| format!("{path}/{{{name}}}");
    let get = |path: String, id, says, gives, fails, handler| Endpoint { path, id, says, takes: Takes::Nothing, gives, fails, handler };
    let list = |path: String, id, says, gives, fails, handler| Endpoint { path, id, says, takes: Takes::Page, gives: page_of(gives), fails, handler };
    let signed = shape::<replication::machine::request::Request>();
    vec![
        Endpoint {
            path: REQUESTS_PATH.to_owned(), id: "execute", says: "Has a signed request carried out.",
            takes: Takes::Signed(signed), gives: shape::<Answer>(), fails: CHANGES, handler: post(h::execute),
        },
        Endpoint {
            path: EXPLAIN_PATH.to_owned(), id: "explain", says: "What would be decided now, and by which rule.",
            takes: Takes::Body(shape::<ExplainRequest>()), gives: shape::<Explanation>(), fails: READS, handler: post(h::explain),
        },
        Endpoint {
            path: CLUSTER_INIT_PATH.to_owned(), id: "init_cluster", says: "Founds the cluster, once, on a replica that belongs to none.",
            takes: Takes::Body(shape::<InitRequest>()), gives: shape::<Founded>(), fails: FOUNDS, handler: post(h::init),
        },
        get(CLUSTER_STATUS_PATH.to_owned(), "cluster_status", "Which replicas the cluster has, and how its groups stand.", shape::<ClusterStatus>(), &[], self::get(h::cluster_status)),
        get(STATUS_PATH.to_owned(), "status", "What the cluster is and how it stands.", shape::<Status>(), &[], self::get(h::status)),
        list(SHARDS_PATH.to_owned(), "list_shards", "The shards of the cluster.", shape::<ShardStatus>(), LISTS, self::get(h::shards)),
        list(TENANTS_PATH.to_owned(), "list_tenants", "The tenants within reach.", shape::<TenantBody>(), LISTS, self::get(h::tenants)),
        get(tenant(""), "get_tenant", "One tenant.", shape::<TenantBody>(), FINDS, self::get(h::tenant)),
        list(tenant("/cryptospaces"), "list_crypto_spaces", "A tenant's crypto spaces.", shape::<CryptoSpaceBody>(), FINDS, self::get(h::crypto_spaces)),
        get(tenant("/cryptospaces/{name}"), "get_crypto_space", "One crypto space.", shape::<CryptoSpaceBody>(), FINDS, self::get(h::crypto_space)),
        list(tenant("/keys"), "list_keys", "A tenant's keys.", shape::<KeyBody>(), FINDS, self::get(h::keys)),
        get(tenant("/keys/{name}"), "get_key", "One key.", shape::<KeyBody>(), FINDS, self::get(h::key)),
        list(tenant("/import-keys"), "list_import_keys", "A tenant's import keys.", shape::<ImportKeyBody>(), FINDS, self::get(h::import_keys)),
        get(tenant("/import-keys/{import_key}"), "get_import_key", "One import key.", shape::<ImportKeyBody>(), FINDS, self::get(h::import_key)),
        get(below(VERSIONS_PATH, "version"), "get_version", "One key version, by the id in its path or in that of an alias.", shape::<OwnedVersionBody>(), FINDS, self::get(h::version)),
        list(below(CALLERS_PATH, "caller"), "list_caller_rules", "The rules that name a caller.", shape::<CallerBody>(), LISTS, self::get(h::caller)),
        get(below(SEEN_PATH, "request"), "get_request_seen", "The audit record of a request of late.", shape::<SeenBody>(), FINDS, self::get(h::seen)),
        list(below(DENY_ENTRIES_PATH, "tenant"), "list_deny_entries", "Whom officers shut out of a tenant.", shape::<DenyEntryBody>(), FINDS, self::get(h::deny_entries)),
        list(OPERATORS_PATH.to_owned(), "list_people", "The people who are enrolled.", shape::<PersonBody>(), LISTS, self::get(h::operators)),
        get(below(OPERATORS_PATH, "person"), "get_person", "One person.", shape::<PersonBody>(), FINDS, self::get(h::operator)),
        get(OPENAPI_PATH.to_owned(), "openapi", "This document.", Shape::ANY, &[], self::get(h::document)),
    ]
}

/// The admin API of a key store. Serve it behind mutual TLS only: handlers demand the peer's certificate.
pub fn router(admin: Admin) -> Router {
    let routes = endpoints().into_iter();
    routes
        .fold(Router::new(), |router, endpoint| router.route(&endpoint.path, endpoint.handler))
        .fallback(|| async {
            let message = "there is no such path in the admin API; its paths stand in /admin/v1/openapi.json";
            refused(FailureCode::NotFound, message)
        })
        .method_not_allowed_fallback(|| async {
            let message = "this path does not take that method; the header allow lists those it takes";
            refused(FailureCode::Method, message)
        })
        .layer(Extension(handlers::Document(openapi::text().into())))
        .with_state(admin)
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod reach;

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
