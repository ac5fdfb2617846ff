//! Google's dialect on the data listener: admission, deadline, body, operation, answer, in this order.
//!
//! Every request is counted, audited and answered with its id, whatever becomes of it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use http::request::Parts;
use http::{Response as HttpResponse, Uri};
use replication::clock::Moment;

use crate::audit::Response;
use crate::crypto::Draw;
use crate::error::ServiceError;
use crate::metrics::{CodeLabel, OperationLabel};
use crate::operations::{self, Outcome, Trail};
use crate::wire::RequestId;

use super::admitted::{Admitted, Arrival};
use super::body;
use super::deadline::Deadline;
use super::path::{Named, shown};
use super::respond::{code_label, malformed, respond};
use super::routes::{self, Call, Found, Route};
use super::service::Service;

/// The data listener's router.
pub fn router(service: Arc<Service>) -> Router {
    // key paths have any number of segments, so one handler looks the verb up in our own table
    Router::new().fallback(answer).with_state(service)
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> HttpResponse<Body> {
    let arrived = arrive(&service);
    let (head, body) = request.into_parts();
    let (label, route) = match routes::find(&head.method, head.uri.path(), &service.settings.info_paths) {
        Found::Route(route, call, named) => (route.label, Ok(Called { route, call, named: Named::parse(named) })),
        Found::Nothing(what, label) => (label, Err(ServiceError::NotOffered(what))),
    };
    let counted = Counted::begin(&service, label, arrived.at);
    let response = match route {
        Ok(called) => match admit(&service, arrived, called, head, body).await {
            Ok((call, admitted)) => operate(call, &admitted, &service),
            Err((error, uri)) => refuse(&service, arrived, label, &uri, error),
        },
        Err(error) => refuse(&service, arrived, label, &head.uri, error),
    };
    counted.end(&response);
    respond(response, service.settings.error_shape)
}

/// What a request calls, and on what.
struct Called {
    route: &'static Route,
    call: Call,
    named: Named,
}

/// Without randomness the id is all zeros; the request itself then fails where it needs a nonce.
fn arrive(service: &Service) -> Arrival {
    let mut id = [0; 16];
    let drawn = service.journey.entropy.fill(Draw::Id, &mut id);
    let request = RequestId::new(if drawn.is_ok() { id } else { [0; 16] });
    Arrival { request, at: service.journey.clock.now() }
}

async fn admit(
    service: &Service,
    arrived: Arrival,
    called: Called,
    head: Parts,
    body: Body,
) -> Result<(Call, Admitted), (ServiceError, Uri)> {
    let Called { route, call, named } = called;
    let Some(permit) = service.admission.try_admit() else {
        return Err((ServiceError::Overloaded, head.uri));
    };
    let body = match body::read(body, route.body_bytes_max, service.settings.body_time_max).await {
        Ok(body) => body,
        Err(error) => return Err((error, head.uri)),
    };
    let deadline = Deadline::after(arrived.at, route.budget);
    let Parts { uri, headers, .. } = head;
    Ok((call, Admitted { _permit: permit, arrival: arrived, deadline, named, uri, headers, body }))
}

fn operate(call: Call, admitted: &Admitted, service: &Service) -> Response {
    let outcome = match call {
        Call::Wrap => operations::wrap(admitted, &service.journey),
        Call::Unwrap => operations::unwrap(admitted, &service.journey),
        Call::GetInfo => operations::get_info(admitted, &service.journey),
    };
    service.audit.record(outcome)
}

fn refuse(service: &Service, arrived: Arrival, label: OperationLabel, uri: &Uri, error: ServiceError) -> Response {
    let trail = Trail::new(arrived, label.text(), shown(uri.path()));
    service.audit.record(Outcome::refused(trail, error))
}

/// Counts a request's beginning and its end: also when its connection goes away while its body is being read.
struct Counted<'a> {
    service: &'a Service,
    label: OperationLabel,
    started: Moment,
    is_ended: bool,
}

impl<'a> Counted<'a> {
    fn begin(service: &'a Service, label: OperationLabel, started: Moment) -> Self {
        service.metrics.request_started(label);
        Self { service, label, started, is_ended: false }
    }

    fn end(mut self, response: &Response) {
        self.is_ended = true;
        let metrics = &self.service.metrics;
        let result = response.result().map(|_| ());
        metrics.request_finished(self.label, code_label(result), response.latency());
        let Err(error) = result else { return };
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
        if !self.is_ended {
            let took = self.service.journey.clock.now().since(self.started);
            self.service.metrics.request_finished(self.label, CodeLabel::Cancelled, took);
        }
    }
}

#[cfg(test)]
#[path = "google_tests/mod.rs"]
mod tests;
