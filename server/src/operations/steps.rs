//! The steps that wrap and unwrap share, each leaving in the trail what it learnt.

use http::HeaderMap;
use replication::clock::Moment;
use replication::deny_entries::list::Certainty;
use replication::directory::{Directory, Resolution, Target};
use replication::ids::KeyVersionId;
use replication::machine::policy::Operation;

use crate::authn::Caller;
use crate::edge::admitted::Admitted;
use crate::edge::path::{BoundedPath, Named};
use crate::error::{DeniedKey, Doubt, ServiceError};
use crate::lookup::check_in_use;
use crate::policy::{self, Asked, Decider, Grant, Refused, ResourceName};
use crate::quota::Metered;
use crate::wire::{CryptoCall, PayloadField};

use super::{Journey, Trail};

/// Who is asking.
pub(super) fn authenticate(headers: &HeaderMap, journey: &Journey) -> Result<Caller, ServiceError> {
    // the age before what it is the age of: what is published in between can only be younger
    let age = journey.directory.trust_age(journey.clock.now()).ok_or(ServiceError::NotLoaded)?;
    let trust = journey.directory.trust().ok_or(ServiceError::NotLoaded)?;
    journey
        .verifier
        .verify_headers(headers, &trust, journey.clock_verdict.health())
        .map_err(|error| ServiceError::unauthenticated(error, age))
}

/// What is asked.
pub(super) fn read<'a>(
    request: &'a Admitted,
    payload: PayloadField,
    trail: &mut Trail<'a>,
) -> Result<CryptoCall<'a>, ServiceError> {
    let call = CryptoCall::parse(request.body(), payload).map_err(ServiceError::MalformedBody)?;
    trail.resource.clone_from(&call.resource_name);
    trail.reason = Some(call.reason.clone());
    trail.is_health_check = call.is_health_check;
    Ok(call)
}

/// Which version, whose rules, how fresh.
pub(super) fn resolve(request: &Admitted, journey: &Journey, trail: &mut Trail<'_>) -> Result<Target, ServiceError> {
    let target = reached(request.named(), journey)?;
    trail.tenant = Some(target.tenant_id().clone());
    trail.version = Some((target.version.key.clone(), target.version.number));
    Ok(target)
}

/// What a path reaches.
pub(super) fn reached(named: &Named, journey: &Journey) -> Result<Target, ServiceError> {
    match named {
        Named::Key(version) => find(*version, &journey.directory, journey.clock.now()),
        Named::Other(path) => Err(unknown(path.clone(), journey)),
        Named::Malformed(fault, _) => Err(ServiceError::MalformedPath(*fault)),
    }
}

/// That no shard knows a path, by the age of the oldest one.
pub(super) fn unknown(path: BoundedPath, journey: &Journey) -> ServiceError {
    journey
        .directory
        .oldest_age(journey.clock.now())
        .map_or(ServiceError::NotLoaded, |age| ServiceError::unknown_key(path, age))
}

/// What deny entries and rules say, and by which of them, as the caller hears it.
pub(super) fn judged(
    target: Target,
    asked: &Asked<'_>,
    journey: &Journey,
) -> Result<Grant, (ServiceError, Option<Decider>)> {
    let clock = &journey.clock;
    let looked = journey.directory.shut_out(&target, asked.caller, clock.now(), clock.wall());
    policy::decide(target, looked, asked, journey.unknown_reasons).map_err(|(refused, target)| {
        let caller = asked.caller.to_string();
        match refused {
            Refused::Denied(denial) => {
                let decider = denial.why().decider();
                (ServiceError::denied(DeniedKey { version: target.path, caller, denial }, target.age), decider)
            }
            Refused::ShutOut { denial, certainty, age } => {
                let decider = denial.why().decider();
                let denied = DeniedKey { version: target.path, caller, denial };
                let error = match certainty {
                    Certainty::Certain => ServiceError::denied(denied, age),
                    Certainty::Perhaps => ServiceError::Doubtful(Doubt::Denial),
                };
                (error, decider)
            }
            Refused::Unjudged { rule } => {
                let (version, reason) = (target.path, asked.reason.clone());
                let decider = Some(Decider::Rule(rule.clone()));
                (ServiceError::ReasonUnjudged { version, rule, reason }, decider)
            }
        }
    })
}

/// May they, for the reason they state.
#[allow(clippy::too_many_arguments, reason = "here everything that was proven and stated meets")]
pub(super) fn permit(
    caller: &Caller,
    operation: Operation,
    target: Target,
    call: &CryptoCall<'_>,
    journey: &Journey,
    trail: &mut Trail<'_>,
) -> Result<Grant, ServiceError> {
    let asked = Asked {
        caller: caller.principal(),
        operation,
        resource: call.resource_name.as_deref().and_then(ResourceName::parse),
        reason: &call.reason,
    };
    match judged(target, &asked, journey) {
        Ok(grant) => {
            trail.decider = Some(Decider::Rule(grant.rule().clone()));
            Ok(grant)
        }
        Err((error, decider)) => {
            trail.decider = decider;
            Err(error)
        }
    }
}

/// Is there room in every quota over the key?
///
/// A key that is out of use says so first: its caller must not be told to come back, and what it asks in vain must not use up
/// what its tenant's other keys need. Checks of the key by Google are counted like all else.
pub(super) fn meter(grant: Grant, journey: &Journey) -> Result<Metered, ServiceError> {
    check_in_use(grant.target())?;
    journey.quotas.take(grant, journey.clock.now()).map_err(ServiceError::QuotaUsedUp)
}

/// Is there time left for the crypto?
pub(super) fn check_time(request: &Admitted, journey: &Journey) -> Result<(), ServiceError> {
    if request.deadline().passed(journey.clock.now()) { Err(ServiceError::DeadlinePassed) } else { Ok(()) }
}

fn find(version: KeyVersionId, directory: &Directory, now: Moment) -> Result<Target, ServiceError> {
    match directory.resolve(version, now) {
        Resolution::Found(target) => Ok(target),
        Resolution::Unknown { age } => {
            Err(ServiceError::unknown_key(BoundedPath::new(&replication::ids::key_path(version)), age))
        }
        Resolution::Ambiguous => Err(ServiceError::Ambiguous(version)),
        Resolution::NotLoaded => Err(ServiceError::NotLoaded),
    }
}
