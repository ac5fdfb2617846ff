//! What a request asks, taken out of it: who, of what, which page, which body. Each refuses in JSON with what to do instead.
//!
//! Who asks comes first: whoever is not enrolled learns nothing else.

use std::fmt;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use bytes::Bytes;
use http::request::Parts;
use replication::machine::roles::{Permission, may};
use serde::de::DeserializeOwned;

use crate::edge::body;
use crate::edge::leftovers::Leftovers;
use crate::edge::peer::PeerCertificate;

use super::failure::{body_not_read, refused};
use super::pages::{PageAsked, PageQuery};
use super::person::{self, Person};
use super::routes::Admin;
use super::wire::{FailureBody, FailureCode};

/// The enrolled person behind the client certificate.
pub(super) struct Enrolled(pub(super) Person);

impl FromRequestParts<Admin> for Enrolled {
    type Rejection = FailureBody;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, FailureBody> {
        let peer = Extension::<PeerCertificate>::from_request_parts(parts, admin).await.ok();
        peer.and_then(|Extension(certificate)| person::enrolled(&admin.store.system_state(), &certificate))
            .map(Self)
            .ok_or_else(|| {
                refused(
                    FailureCode::Denied,
                    "the client certificate belongs to nobody who is enrolled; use that of somebody who is, or have a security officer enrol \
                     this one's key",
                )
            })
    }
}

/// A person whose role lets them look at tenants.
pub(super) struct Reader(pub(super) Person);

impl FromRequestParts<Admin> for Reader {
    type Rejection = FailureBody;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, FailureBody> {
        let Enrolled(person) = Enrolled::from_request_parts(parts, admin).await?;
        person.permitted(Permission::ReadTenants).map(Self)
    }
}

/// A person whose role lets them look at who is enrolled.
pub(super) struct PeopleReader;

impl FromRequestParts<Admin> for PeopleReader {
    type Rejection = FailureBody;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, FailureBody> {
        let Enrolled(person) = Enrolled::from_request_parts(parts, admin).await?;
        person.permitted(Permission::ReadPeople).map(|_| Self)
    }
}

/// A person whose role lets them look at tenants, or at who is enrolled: both may look at who is shut out.
pub(super) struct DenyEntryReader(pub(super) Person);

impl FromRequestParts<Admin> for DenyEntryReader {
    type Rejection = FailureBody;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, FailureBody> {
        let Enrolled(person) = Enrolled::from_request_parts(parts, admin).await?;
        let sees_people = may(&person.roles, Permission::ReadPeople);
        person.permitted(if sees_people { Permission::ReadPeople } else { Permission::ReadTenants }).map(Self)
    }
}

/// The names and ids in a path, parsed.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Admin> for Named<T> {
    type Rejection = FailureBody;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, FailureBody> {
        match Path::<T>::from_request_parts(parts, admin).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(PathRejection::FailedToDeserializePathParams(fault)) => Err(bad_path(fault.kind())),
            Err(other) => Err(bad_path(&other)),
        }
    }
}

fn bad_path(fault: &dyn fmt::Display) -> FailureBody {
    refused(FailureCode::Invalid, format!("the path names nothing: {fault}"))
}

impl FromRequestParts<Admin> for PageAsked {
    type Rejection = FailureBody;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, FailureBody> {
        let query: Result<Query<PageQuery>, QueryRejection> = Query::from_request_parts(parts, admin).await;
        match query {
            Ok(Query(query)) => Self::parse(query),
            Err(fault) => Err(refused(
                FailureCode::Invalid,
                format!("the query takes page_size and page_token, each once at most: {}", reason(&fault)),
            )),
        }
    }
}

fn reason(fault: &QueryRejection) -> String {
    std::error::Error::source(fault).map_or_else(|| fault.to_string(), ToString::to_string)
}

/// The whole body, within its limit and its time.
pub(super) async fn whole(mut body: Body, within: Within<'_>) -> Result<Bytes, FailureBody> {
    let read = match body::check_length(&body, within.bytes_max) {
        Ok(()) => body::read(&mut body, within.bytes_max, within.time_max).await,
        Err(error) => Err(error),
    };
    read.map_err(|error| {
        // some clients drop an answer while they still write
        within.leftovers.take(body);
        body_not_read(&error)
    })
}

/// How much of a body is read, for how long, and who takes the rest.
pub(super) struct Within<'a> {
    pub(super) bytes_max: usize,
    pub(super) time_max: Duration,
    pub(super) leftovers: &'a Leftovers,
}
