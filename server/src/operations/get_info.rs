//! getInfo: says to a proven caller that it reached an external key manager, and no more. Needs no grant.

use crate::authn::Caller;
use crate::edge::admitted::Admitted;
use crate::wire::GET_INFO_ANSWER;

use super::{Outcome, Wrapped, travel};

/// Answers a getInfo.
pub fn get_info<'a>(request: &'a Admitted, caller: &Caller) -> Outcome<'a> {
    travel("get_info", request, caller, |_| Ok(Wrapped(GET_INFO_ANSWER.as_bytes().to_vec())))
}
