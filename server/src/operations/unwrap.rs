//! Unwrap: opens what a wrap under the same key version made, and nothing else.

use replication::machine::policy::Operation;

use crate::authn::Caller;
use crate::crypto;
use crate::edge::admitted::Admitted;
use crate::error::ServiceError;
use crate::wire::{PayloadField, unwrap_answer};

use super::steps::{check_time, meter, permit, read, resolve};
use super::{Journey, Outcome, Trail, Wrapped, travel};

/// Answers an unwrap.
pub fn unwrap<'a>(request: &'a Admitted, caller: &Caller, journey: &Journey) -> Outcome<'a> {
    travel(Operation::Unwrap.as_str(), request, caller, |trail| decide_and_unwrap(request, caller, journey, trail))
}

fn decide_and_unwrap<'a>(
    request: &'a Admitted,
    caller: &Caller,
    journey: &Journey,
    trail: &mut Trail<'a>,
) -> Result<Wrapped, ServiceError> {
    let call = read(request, PayloadField::WrappedBlob, trail)?;
    let target = resolve(request, journey, trail)?;
    let grant = permit(caller, Operation::Unwrap, target, &call, journey, trail)?;
    let metered = meter(grant, journey)?;
    let key = journey.lookup.usable(metered)?;
    check_time(request, journey)?;
    crypto::unwrap(key.material(), &call.payload, &call.associated_data)
        .map(|plaintext| Wrapped(unwrap_answer(&plaintext)))
        // why a blob does not open is nobody's business but the blob's owner's: all causes are one answer
        .map_err(|_| ServiceError::BlobRefused(key.path()))
}
