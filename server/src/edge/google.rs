//! Google's dialect on the data listener: admission, caller, deadline, body, operation, answer, in this order.
//!
//! Every request is counted, audited and answered with its id, whatever becomes of it. No body is awaited from anyone but a
//! proven caller: a stranger must not hold a place that a caller needs.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use http::request::Parts;
use http::{Response as HttpResponse, Uri};
use replication::clock::Moment;
use replication::machine::policy::Principal;

use crate::audit::Response;
use crate::authn::Caller;
use crate::crypto::Draw;
use crate::error::ServiceError;
use crate::metrics::{CodeLabel, OperationLabel};
use crate::operations::{self, Outcome, Trail};
use crate::wire::RequestId;

use super::admitted::{Admitted, Arrival};
use super::body;
use super::deadline::Deadline;
use super::path::{Named, shown};
use super::respond::{code_label, malformed, quota_level, respond};
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
            Ok((call, caller, admitted)) => operate(call, &caller, &admitted, &service),
            Err(turned) => refuse(&service, arrived, label, turned),
        },
        Err(error) => refuse(&service, arrived, label, TurnedAway::over(body, error, head.uri, &service)),
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

/// A request that came to no operation.
struct TurnedAway {
    error: ServiceError,
    uri: Uri,
    /// Who was proven to ask, if it came that far.
    caller: Option<Caller>,
}

impl TurnedAway {
    /// Before anyone was proven, over a body that may still be on its way: it is read out without a place.
    fn over(body: Body, error: ServiceError, uri: Uri, service: &Service) -> Self {
        service.leftovers.take(body);
        Self { error, uri, caller: None }
    }
}

async fn admit(
    service: &Service,
    arrived: Arrival,
    called: Called,
    head: Parts,
    mut body: Body,
) -> Result<(Call, Caller, Admitted), TurnedAway> {
    let Called { route, call, named } = called;
    let Parts { uri, headers, .. } = head;
    let place = service.admission.try_admit();
    if let Err(error) = body::check_length(&body, route.body_bytes_max) {
        return Err(TurnedAway::over(body, error, uri, service));
    }
    let (permit, caller) = match (place, operations::authenticate(&headers, &service.journey)) {
        (Some(permit), Ok(caller)) => (permit, caller),
        (None, Ok(caller)) if *caller.principal() == Principal::Probe => (service.admission.admit_probe(), caller),
        (None, _) => return Err(TurnedAway::over(body, ServiceError::Overloaded, uri, service)),
        (Some(_), Err(error)) => return Err(TurnedAway::over(body, error, uri, service)),
    };
    let body = match body::read(&mut body, route.body_bytes_max, service.settings.body_time_max).await {
        Ok(whole) => whole,
        Err(error @ ServiceError::BodyTooLarge(_)) => {
            return Err(TurnedAway { caller: Some(caller), ..TurnedAway::over(body, error, uri, service) });
        }
        // too slow, or broken: there is nothing worth waiting for
        Err(error) => return Err(TurnedAway { error, uri, caller: Some(caller) }),
    };
    let deadline = Deadline::after(arrived.at, route.budget);
    Ok((call, caller, Admitted { _permit: permit, arrival: arrived, deadline, named, uri, body }))
}

fn operate(call: Call, caller: &Caller, admitted: &Admitted, service: &Service) -> Response {
    let outcome = match call {
        Call::Wrap => operations::wrap(admitted, caller, &service.journey),
        Call::Unwrap => operations::unwrap(admitted, caller, &service.journey),
        Call::GetInfo => operations::get_info(admitted, caller),
    };
    service.audit.record(outcome)
}

fn refuse(service: &Service, arrived: Arrival, label: OperationLabel, turned: TurnedAway) -> Response {
    let TurnedAway { error, uri, caller } = turned;
    let mut trail = Trail::new(arrived, label.text(), shown(uri.path()));
    trail.caller = caller.map(|caller| caller.principal().clone());
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
        if let Some(level) = quota_level(error) {
            metrics.over_quota(level);
        }
        if error.is_alarm() {
            self.service.alarms.tell(error, response.request());
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
