//! Google's dialect on the data listener: admission, deadline, body, operation, answer, in this order.
//!
//! Every request is counted, audited and answered with its id, whatever becomes of it. The only maker of an [`Admitted`].

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response as HttpResponse, Uri};
use replication::clock::Moment;

use crate::audit::{RequestId, Response, Trail};
use crate::error::ServiceError;
use crate::metrics::{CodeLabel, OperationLabel};
use crate::operations::{self, Service};

use super::admission::Permit;
use super::body;
use super::deadline::Deadline;
use super::path::{Named, split_verb};
use super::respond::{code_label, malformed, respond};
use super::routes::{self, Call, Found, Route};

/// The data listener's router.
pub fn router(service: Arc<Service>) -> Router {
    // key paths have any number of segments, so one handler looks the verb up in our own table
    Router::new().fallback(answer).with_state(service)
}

/// A request that was let in, within its limits. The permit is given back when it is dropped.
pub struct Admitted {
    _permit: Permit,
    arrived: Arrival,
    deadline: Deadline,
    named: Named,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Admitted {
    /// When its answer is of no use any more.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// What its path names.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body, whole.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A trail that begins with what is known of it.
    pub fn trail(&self, operation: &'static str) -> Trail<'_> {
        Trail::new(self.arrived.id, self.arrived.started, operation, shown(&self.uri))
    }
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> HttpResponse<Body> {
    let arrived = Arrival { id: RequestId::draw(service.entropy.as_ref()), started: service.clock.now() };
    let (head, body) = request.into_parts();
    let (label, route) = match routes::find(&head.method, head.uri.path(), &service.settings.info_paths) {
        Found::Route(route, call, named) => (route.label, Ok((route, call, Named::parse(named)))),
        Found::Nothing(what, label) => (label, Err(ServiceError::NotOffered(what))),
    };
    let counted = Counted::begin(&service, label, arrived.started);
    let response = match route {
        Ok((route, call, named)) => match admit(&service, arrived, route, named, head, body).await {
            Ok(admitted) => operate(call, &admitted, &service),
            Err((error, uri)) => refuse(&service, arrived, label, &uri, error),
        },
        Err(error) => refuse(&service, arrived, label, &head.uri, error),
    };
    counted.end(&response);
    respond(response, service.settings.error_shape)
}

#[derive(Clone, Copy)]
struct Arrival {
    id: RequestId,
    started: Moment,
}

async fn admit(
    service: &Service,
    arrived: Arrival,
    route: &Route,
    named: Named,
    head: Parts,
    body: Body,
) -> Result<Admitted, (ServiceError, Uri)> {
    let Some(permit) = service.admission.try_admit() else {
        return Err((ServiceError::Overloaded, head.uri));
    };
    let body = match body::read(body, route.body_bytes_max, service.settings.body_time_max).await {
        Ok(body) => body,
        Err(error) => return Err((error, head.uri)),
    };
    let deadline = Deadline::after(arrived.started, route.budget);
    Ok(Admitted { _permit: permit, arrived, deadline, named, uri: head.uri, headers: head.headers, body })
}

fn operate(call: Call, admitted: &Admitted, service: &Service) -> Response {
    match call {
        Call::Wrap => operations::wrap(admitted, service),
        Call::Unwrap => operations::unwrap(admitted, service),
        Call::GetInfo => operations::get_info(admitted, service),
    }
}

fn refuse(service: &Service, arrived: Arrival, label: OperationLabel, uri: &Uri, error: ServiceError) -> Response {
    operations::refuse(&Trail::new(arrived.id, arrived.started, label.text(), shown(uri)), error, service)
}

/// What the audit shows of a path: without the leading slash and the verb.
fn shown(uri: &Uri) -> &str {
    let path = uri.path();
    let named = split_verb(path).map_or(path, |(named, _)| named);
    named.strip_prefix('/').unwrap_or(named)
}

/// Counts a request's beginning and its end: also when its connection goes away while its body is being read.
struct Counted<'a> {
    service: &'a Service,
    label: OperationLabel,
    started: Moment,
    is_counted: bool,
}

impl<'a> Counted<'a> {
    fn begin(service: &'a Service, label: OperationLabel, started: Moment) -> Self {
        service.metrics.request_started(label);
        Self { service, label, started, is_counted: false }
    }

    fn end(mut self, response: &Response) {
        self.is_counted = true;
        let metrics = &self.service.metrics;
        let outcome = response.outcome().map(|_| ());
        metrics.request_finished(self.label, code_label(outcome), response.latency());
        let Err(error) = outcome else { return };
        if let Some(reason) = malformed(error) {
            metrics.malformed(reason);
        }
        if error.is_alarm() {
            tracing::error!(request = %response.request(), message = %error.public().message, "a request met trouble of ours");
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.is_counted {
            let took = self.service.clock.now().since(self.started);
            self.service.metrics.request_finished(self.label, CodeLabel::Cancelled, took);
        }
    }
}

#[cfg(test)]
#[path = "google_tests.rs"]
mod tests;
