//! Wrap: encrypts opaque bytes under one key version.

use replication::machine::policy::Operation;

use crate::authn::Caller;
use crate::crypto;
use crate::edge::admitted::Admitted;
use crate::error::{KeyTrouble, ServiceError};
use crate::wire::{PayloadField, wrap_answer};

use super::steps::{check_time, meter, permit, read, resolve};
use super::{Journey, Outcome, Trail, Wrapped, travel};

/// Answers a wrap.
pub fn wrap<'a>(request: &'a Admitted, caller: &Caller, journey: &Journey) -> Outcome<'a> {
    travel(Operation::Wrap.as_str(), request, caller, |trail| decide_and_wrap(request, caller, journey, trail))
}

fn decide_and_wrap<'a>(
    request: &'a Admitted,
    caller: &Caller,
    journey: &Journey,
    trail: &mut Trail<'a>,
) -> Result<Wrapped, ServiceError> {
    let call = read(request, PayloadField::Plaintext, trail)?;
    let target = resolve(request, journey, trail)?;
    let grant = permit(caller, Operation::Wrap, target, &call, journey, trail)?;
    let metered = meter(grant, journey)?;
    let key = journey.lookup.usable(metered)?;
    check_time(request, journey)?;
    crypto::wrap(key.material(), &call.payload, &call.associated_data, journey.entropy.as_ref())
        .map(|blob| Wrapped(wrap_answer(&blob)))
        .map_err(|error| match error {
            crypto::WrapError::Entropy(_) => ServiceError::KeyTrouble(key.path(), KeyTrouble::NoEntropy),
            // the body limit is far below the cipher's: to get here is a bug
            crypto::WrapError::TooLong => ServiceError::Internal,
        })
}
