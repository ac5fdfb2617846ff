//! Wrap: encrypts opaque bytes under one key version.

use replication::machine::policy::Operation;

use crate::audit::{Response, Trail};
use crate::crypto;
use crate::edge::google::Admitted;
use crate::error::{KeyTrouble, ServiceError};
use crate::wire::{PayloadField, wrap_answer};

use super::steps::{authenticate, check_time, permit, read, resolve};
use super::{Service, Wrapped, record};

/// Answers a wrap.
pub fn wrap(request: &Admitted, service: &Service) -> Response {
    record(request.trail(Operation::Wrap.as_str()), service, |trail| decide_and_wrap(request, service, trail))
}

fn decide_and_wrap<'a>(
    request: &'a Admitted,
    service: &Service,
    trail: &mut Trail<'a>,
) -> Result<Wrapped, ServiceError> {
    let caller = authenticate(request, service, trail)?;
    let call = read(request, PayloadField::Plaintext, trail)?;
    let target = resolve(request, service, trail)?;
    let grant = permit(&caller, Operation::Wrap, target, &call, service, trail)?;
    let key = service.lookup.usable(grant)?;
    check_time(request, service)?;
    crypto::wrap(key.material(), &call.payload, &call.associated_data, service.entropy.as_ref())
        .map(|blob| Wrapped(wrap_answer(&blob)))
        .map_err(|error| match error {
            crypto::WrapError::Entropy(_) => {
                ServiceError::KeyTrouble(key.material().version(), KeyTrouble::NoEntropy)
            }
            // the body limit is far below the cipher's: to get here is a bug
            crypto::WrapError::TooLong => ServiceError::Internal,
        })
}
