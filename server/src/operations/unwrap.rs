//! Unwrap: opens what a wrap under the same key version made, and nothing else.

use replication::machine::policy::Operation;

use crate::audit::{Response, Trail};
use crate::crypto;
use crate::edge::google::Admitted;
use crate::error::ServiceError;
use crate::wire::{PayloadField, unwrap_answer};

use super::steps::{authenticate, check_time, permit, read, resolve};
use super::{Service, Wrapped, record};

/// Answers an unwrap.
pub fn unwrap(request: &Admitted, service: &Service) -> Response {
    record(request.trail(Operation::Unwrap.as_str()), service, |trail| decide_and_unwrap(request, service, trail))
}

fn decide_and_unwrap<'a>(
    request: &'a Admitted,
    service: &Service,
    trail: &mut Trail<'a>,
) -> Result<Wrapped, ServiceError> {
    let caller = authenticate(request, service, trail)?;
    let call = read(request, PayloadField::WrappedBlob, trail)?;
    let target = resolve(request, service, trail)?;
    let grant = permit(&caller, Operation::Unwrap, target, &call, service, trail)?;
    let key = service.lookup.usable(grant)?;
    check_time(request, service)?;
    crypto::unwrap(key.material(), &call.payload, &call.associated_data)
        .map(|plaintext| Wrapped(unwrap_answer(&plaintext)))
        // why a blob does not open is nobody's business but the blob's owner's: all causes are one answer
        .map_err(|_| ServiceError::BlobRefused(key.material().version()))
}
