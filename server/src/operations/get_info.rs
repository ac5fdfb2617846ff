//! getInfo: says to a proven caller that it reached an external key manager, and no more. Needs no grant.

use crate::audit::Response;
use crate::edge::google::Admitted;
use crate::wire::GET_INFO_ANSWER;

use super::steps::authenticate;
use super::{Service, Wrapped, record};

/// Answers a getInfo.
pub fn get_info(request: &Admitted, service: &Service) -> Response {
    record(request.trail("get_info"), service, |trail| {
        authenticate(request, service, trail)?;
        Ok(Wrapped(GET_INFO_ANSWER.as_bytes().to_vec()))
    })
}
