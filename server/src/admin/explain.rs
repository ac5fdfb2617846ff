//! What would be decided, told to a person. The decision and its text are those of the request path itself; this lays them
//! out, with the rules that led there. Never decides.

use replication::directory::Target;
use replication::ids::{key_path, parse_key_path};
use replication::machine::policy::Policy;
use replication::machine::request::Level;
use replication::machine::rows::Quota;

use crate::error::{Code, Fault, ServiceError};
use crate::operations::{self, Explained, Journey, Question};
use crate::policy::{Asked, Decider, Effect, Levels, Match, Met, met};
use crate::wire::AccessReason;

use super::failure::refused;
use super::person::Person;
use super::wire::{
    Decision, ExplainRequest, ExplainedLevel, ExplainedRule, ExplainedVersion, Explanation, FailureBody, FailureCode,
    ReasonCovered, RuleEffect, StatedReason,
};

/// Reads the question.
pub(super) fn question(body: &[u8]) -> Result<(String, Question), FailureBody> {
    let invalid = |text: String| refused(FailureCode::Invalid, text);
    let asked: ExplainRequest = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the question cannot be read: {error}; its fields stand in openapi.json")))?;
    if parse_key_path(&asked.key_path).is_none() {
        let text =
            "key_path is what Google has of a key version, v0/keys/ and 32 hexadecimal digits, without host and verb";
        return Err(invalid(text.to_owned()));
    }
    let reason = match asked.justification {
        None => AccessReason::Missing,
        Some(StatedReason::Number(number)) => AccessReason::from_number(number),
        Some(StatedReason::Name(name)) => AccessReason::from_text(&name),
    };
    let (path, caller, operation, resource) = (asked.key_path.clone(), asked.caller, asked.operation, asked.resource);
    Ok((asked.key_path, Question { path, caller, operation, resource, reason }))
}

/// Answers it, as far as the person's reach goes.
pub(super) fn explanation(
    (asked_path, question): (String, Question),
    journey: &Journey,
    person: &Person,
) -> Explanation {
    let Explained { target, decider, result } =
        operations::explain(&question, |tenant| person.reaches(tenant), journey);
    let (rule, deny_entry) = match decider {
        Some(Decider::Rule(rule)) => (Some(rule), None),
        Some(Decider::Entry(entry)) => (None, Some(entry)),
        None => (None, None),
    };
    let error = result.err();
    let code = error.as_ref().map_or(Code::Ok, ServiceError::code);
    Explanation {
        key_path: asked_path,
        decision: decision(error.as_ref()),
        status: code.http(),
        code: code.as_str().to_owned(),
        message: error.map(|error| error.public().message.into_owned()),
        rule,
        deny_entry,
        version: target.as_ref().map(version),
        levels: target.as_ref().map(|target| levels(target, &question.asked())).unwrap_or_default(),
    }
}

fn decision(error: Option<&ServiceError>) -> Decision {
    match error.map(ServiceError::fault) {
        None => Decision::Allowed,
        Some(Fault::Caller) => Decision::Refused,
        Some(Fault::Us | Fault::Dependency) => Decision::Unavailable,
    }
}

fn version(target: &Target) -> ExplainedVersion {
    ExplainedVersion {
        path: key_path(target.id),
        tenant: target.version.tenant.clone(),
        key: target.version.key.clone(),
        number: target.version.number,
        state: target.version.state,
        staleness: target.tenant.staleness,
        age_seconds: target.age.known().map(|age| age.as_secs_f64()),
        is_fresh: target.age.fresh().is_some(),
    }
}

fn levels(target: &Target, asked: &Asked<'_>) -> Vec<ExplainedLevel> {
    let Levels { key, crypto_space, tenant } = Levels::of(target);
    let space_quota = target.crypto_space.as_ref().and_then(|space| space.quota);
    let named = [
        Some((Level::Key(target.version.key.clone()), key, target.key.quota)),
        target.key.crypto_space.clone().map(|name| (Level::CryptoSpace(name), crypto_space, space_quota)),
        Some((Level::Tenant, tenant, target.tenant.quota)),
    ];
    let nearest = named.iter().flatten().position(|(_, policy, _)| policy.is_some());
    let level = |(at, (level, policy, quota)): (usize, (Level, Option<&Policy>, Option<Quota>))| ExplainedLevel {
        level,
        has_policy: policy.is_some(),
        decides: nearest == Some(at),
        rules: policy.map(|policy| met(policy, asked).iter().map(rule).collect()).unwrap_or_default(),
        quota,
    };
    named.into_iter().flatten().enumerate().map(level).collect()
}

fn rule(met: &Met<'_>) -> ExplainedRule {
    ExplainedRule {
        rule: met.rule.name.clone(),
        effect: match met.effect {
            Effect::Deny => RuleEffect::Deny,
            Effect::Grant => RuleEffect::Grant,
        },
        reason: match met.covers {
            Match::Yes => ReasonCovered::Yes,
            Match::ButForReason | Match::No => ReasonCovered::No,
            Match::Unknown => ReasonCovered::Unknown,
        },
    }
}
