//! getInfo: says to a proven caller that it reached an external key manager, and no more. Needs no grant.

use crate::edge::admitted::Admitted;
use crate::wire::GET_INFO_ANSWER;

use super::steps::authenticate;
use super::{Journey, Outcome, Wrapped, travel};

/// Answers a getInfo.
pub fn get_info<'a>(request: &'a Admitted, journey: &Journey) -> Outcome<'a> {
    travel("get_info", request, |trail| {
        authenticate(request, journey, trail)?;
        Ok(Wrapped(GET_INFO_ANSWER.as_bytes().to_vec()))
    })
}
