//! The handlers, a few lines each: who asks, what is asked, one body back.

use axum::body::Body;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use replication::ids::{CryptoSpaceName, ImportKeyId, KeyName, KeyVersionId, ShardId, SignerId, TenantId};
use replication::machine::outcome::Refusal;
use replication::machine::policy::Principal;
use replication::machine::request::{REQUEST_BYTES_MAX, SignedRequest};
use replication::machine::state::State;

use crate::wire::RequestId;

use super::across::Across;
use super::asked::{DenyEntryReader, Enrolled, Named, PeopleReader, Reader, Within, whole};
use super::cluster::InitError;
use super::failure::{not_done, refused};
use super::pages::{PageAsked, cut};
use super::person::Person;
use super::routes::Admin;
use super::wire::{
    Answer, CallerBody, ClusterStatus, CryptoSpaceBody, DenyEntryBody, Explanation, FailureBody, FailureCode, Founded,
    ImportKeyBody, KeyBody, OwnedVersionBody, Page, PersonBody, SIGNATURE_HEADER, SIGNER_HEADER, SeenBody, ShardStatus,
    Status, TenantBody,
};
use super::{callers, cluster, deny_entries, explain, people, queries, standing};

/// What every handler gives.
type Asked<T> = Result<Json<T>, FailureBody>;

impl Admin {
    async fn body(&self, body: Body) -> Result<Bytes, FailureBody> {
        let within = Within { bytes_max: REQUEST_BYTES_MAX, time_max: self.body_time_max, leftovers: &self.leftovers };
        whole(body, within).await
    }

    /// The state of the shard that a tenant lives in. One out of the person's reach lives nowhere.
    fn of(&self, tenant: &TenantId, person: &Person) -> Result<State, FailureBody> {
        let unknown = || not_done(&Refusal::UnknownTenant { tenant: tenant.clone() }.into());
        let placed = self.store.placed(tenant).filter(|_| person.reaches(tenant)).ok_or_else(unknown)?;
        self.store.shown_in(placed).map_err(|down| not_done(&down.into()))
    }
}

pub(super) async fn execute(
    Shared(admin): Shared<Admin>,
    Enrolled(person): Enrolled,
    headers: HeaderMap,
    body: Body,
) -> Asked<Answer> {
    let body = admin.body(body).await?;
    let asked = signed(&headers, &person, &body)?;
    admin.store.execute(asked).await.map(Json).map_err(|error| not_done(&error))
}

/// The signed request that headers and body make.
fn signed(headers: &HeaderMap, person: &Person, body: &[u8]) -> Result<SignedRequest, FailureBody> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(signer) = text(SIGNER_HEADER).and_then(|name| name.parse::<SignerId>().ok()) else {
        let message = "the header ekm-signer must name the operator who signed";
        return Err(refused(FailureCode::Invalid, message));
    };
    if signer != person.id {
        let message = "the request is signed by another operator than the client certificate's; sign with its own key";
        return Err(refused(FailureCode::Denied, message));
    }
    let Some(signature) = text(SIGNATURE_HEADER).and_then(|value| STANDARD.decode(value).ok()) else {
        let message = "the header ekm-signature must hold the request's Ed25519 signature in base64";
        return Err(refused(FailureCode::Invalid, message));
    };
    Ok(SignedRequest { bytes: body.to_vec(), signer, signature })
}

pub(super) async fn init(Shared(admin): Shared<Admin>, Enrolled(_): Enrolled, body: Body) -> Asked<Founded> {
    cluster::read(&admin.body(body).await?)?;
    Err(refused(FailureCode::Conflict, InitError::Founded.to_string()))
}

pub(super) async fn cluster_status(Shared(admin): Shared<Admin>, Enrolled(_): Enrolled) -> Asked<ClusterStatus> {
    Ok(Json(ClusterStatus {
        frontends: Some(cluster::fed(&admin.store)),
        ..cluster::cluster_status(admin.store.host())
    }))
}

pub(super) async fn status(Shared(admin): Shared<Admin>, Enrolled(person): Enrolled) -> Asked<Status> {
    Ok(Json(standing::status(&admin, &person)))
}

pub(super) async fn shards(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    page: PageAsked,
) -> Asked<Page<ShardStatus>> {
    let list = "shards";
    let after = page.after::<ShardId>(list)?;
    let rest = standing::shards(&admin.store, &person).into_iter().filter(|one| after.is_none_or(|at| one.shard > at));
    Ok(Json(cut(list, page.size(), rest.map(|one| (one.shard, one)))))
}

pub(super) async fn tenants(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    page: PageAsked,
) -> Asked<Page<TenantBody>> {
    queries::tenants(&Across::of(&admin.store), &page, &person).map(Json)
}

pub(super) async fn tenant(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(tenant): Named<TenantId>,
) -> Asked<TenantBody> {
    queries::tenant(&admin.of(&tenant, &person)?, &tenant, &person).map(Json)
}

pub(super) async fn crypto_spaces(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(tenant): Named<TenantId>,
    page: PageAsked,
) -> Asked<Page<CryptoSpaceBody>> {
    queries::crypto_spaces(&admin.of(&tenant, &person)?, &tenant, &page, &person).map(Json)
}

pub(super) async fn crypto_space(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(named): Named<(TenantId, CryptoSpaceName)>,
) -> Asked<CryptoSpaceBody> {
    queries::crypto_space(&admin.of(&named.0, &person)?, named, &person).map(Json)
}

pub(super) async fn keys(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(tenant): Named<TenantId>,
    page: PageAsked,
) -> Asked<Page<KeyBody>> {
    queries::keys(&admin.of(&tenant, &person)?, &tenant, &page, &person).map(Json)
}

pub(super) async fn key(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(named): Named<(TenantId, KeyName)>,
) -> Asked<KeyBody> {
    queries::key(&admin.of(&named.0, &person)?, named, &person).map(Json)
}

pub(super) async fn version(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(version): Named<KeyVersionId>,
) -> Asked<OwnedVersionBody> {
    queries::version(&Across::of(&admin.store), version, &person).map(Json)
}

pub(super) async fn explain(Shared(admin): Shared<Admin>, Reader(person): Reader, body: Body) -> Asked<Explanation> {
    let question = explain::question(&admin.body(body).await?)?;
    Ok(Json(explain::explanation(question, admin.plane.journey(), &person)))
}

pub(super) async fn caller(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(caller): Named<Principal>,
    page: PageAsked,
) -> Asked<Page<CallerBody>> {
    callers::rules(&Across::of(&admin.store), &caller, &page, &person).map(Json)
}

pub(super) async fn seen(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(request): Named<String>,
) -> Asked<SeenBody> {
    let Some(id) = RequestId::parse(&request) else {
        let message =
            "a request id is 32 lower-case hexadecimal digits, as in x-request-id and in the details of an error";
        return Err(refused(FailureCode::Invalid, message));
    };
    let Some(service) = admin.plane.service() else {
        let message = "this process answers no callers and keeps no audit records; look in the audit file of the frontend that answered";
        return Err(refused(FailureCode::NotFound, message));
    };
    let record = service.audit.seen().find(&id).map(|line| serde_json::from_slice::<SeenBody>(&line));
    match record {
        Some(Ok(record)) if reaches(&person, &record) => Ok(Json(record)),
        Some(Err(error)) => {
            tracing::error!(request = %id, %error, "a record of this machine's own cannot be read");
            Err(refused(FailureCode::Internal, "this machine cannot read its own record; look in the audit file"))
        }
        Some(Ok(_)) | None => Err(refused(
            FailureCode::NotFound,
            "this machine has no record of that request in memory any more, or had none; look in the audit files",
        )),
    }
}

/// A request that came to no key is shown to those alone who may see everybody's.
fn reaches(person: &Person, record: &SeenBody) -> bool {
    let tenant = record.tenant.as_ref().map(|tenant| tenant.parse::<TenantId>());
    tenant.map_or_else(|| person.reaches_all(), |tenant| tenant.is_ok_and(|tenant| person.reaches(&tenant)))
}

pub(super) async fn import_keys(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(tenant): Named<TenantId>,
    page: PageAsked,
) -> Asked<Page<ImportKeyBody>> {
    queries::import_keys(&admin.of(&tenant, &person)?, &tenant, &page, &person).map(Json)
}

pub(super) async fn import_key(
    Shared(admin): Shared<Admin>,
    Reader(person): Reader,
    Named(named): Named<(TenantId, ImportKeyId)>,
) -> Asked<ImportKeyBody> {
    queries::import_key(&admin.of(&named.0, &person)?, named, &person).map(Json)
}

pub(super) async fn deny_entries(
    Shared(admin): Shared<Admin>,
    DenyEntryReader(person): DenyEntryReader,
    Named(tenant): Named<TenantId>,
    page: PageAsked,
) -> Asked<Page<DenyEntryBody>> {
    let (book, system) = (admin.store.deny_entries(), admin.store.system_state());
    deny_entries::deny_entries((book, &system, admin.clock.wall()), &tenant, &page, &person).map(Json)
}

pub(super) async fn operators(
    Shared(admin): Shared<Admin>,
    _: PeopleReader,
    page: PageAsked,
) -> Asked<Page<PersonBody>> {
    people::people(&admin.store.system_state(), &page).map(Json)
}

pub(super) async fn operator(
    Shared(admin): Shared<Admin>,
    _: PeopleReader,
    Named(name): Named<SignerId>,
) -> Asked<PersonBody> {
    people::person(&admin.store.system_state(), &name).map(Json)
}

/// What describes the API, as it is served.
#[derive(Clone)]
pub(super) struct Document(pub(super) Bytes);

pub(super) async fn document(Enrolled(_): Enrolled, Extension(Document(text)): Extension<Document>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}
