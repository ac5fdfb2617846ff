//! A connection to one cluster as one person, and the two ways to change something: at once, and by a plan.
//!
//! A change whose outcome is unknown is repeated under its id, never under another. A plan is made anew only if the tenant moved on
//! while what the plan is about did not.

use std::time::Duration;

use replication::ids::{IdempotencyId, Revision, TenantId};
use replication::machine::request::AdminOperation;

use super::args::Output;
use super::confirm::{Consent, Harm, confirmed};
use super::error::CtlError;
use super::progress::Progress;
use crate::admin::client::{AdminClient, ClientError, new_idempotency_id};
use crate::admin::wire::{Answer, FailureCode};

/// How often a change whose outcome is unknown is asked for again, under the same id.
const REPEATS_MAX: u32 = 3;
/// How often a plan is made anew because the tenant moved on meanwhile.
const PLANS_MAX: u32 = 5;
/// The pause before a repetition.
const REPEAT_AFTER: Duration = Duration::from_millis(300);

/// One person's connection.
pub(super) struct Session {
    pub(super) client: AdminClient,
    pub(super) id: Option<IdempotencyId>,
    pub(super) consent: Consent,
    pub(super) output: Output,
}

/// What a plan looked at.
pub(super) struct Seen<T> {
    pub(super) tenant: TenantId,
    pub(super) revision: Revision,
    /// What the plan is about, as it stood.
    pub(super) subject: T,
}

impl Session {
    /// That the person wants what takes something away.
    pub(super) fn confirm(&self, harm: &Harm) -> Result<(), CtlError> {
        Ok(confirmed(harm, self.consent)?)
    }

    /// Has a change planned on what `look` sees, and planned again if the tenant moved on in between while the subject did not.
    pub(super) async fn plan<T: PartialEq>(
        &self,
        look: impl AsyncFn() -> Result<Seen<T>, CtlError>,
        operation: impl Fn(TenantId, Revision) -> AdminOperation,
    ) -> Result<Answer, CtlError> {
        let mut plans_left = PLANS_MAX;
        let mut seen = look().await?;
        loop {
            let planned = self.change(operation(seen.tenant, seen.revision)).await;
            plans_left -= 1;
            match planned {
                Err(CtlError::Client(ClientError::Refused(body)))
                    if body.code == FailureCode::Conflict && plans_left > 0 && self.id.is_none() =>
                {
                    let now = look().await?;
                    if now.revision == seen.revision || now.subject != seen.subject {
                        return Err(ClientError::Refused(body).into());
                    }
                    seen = now;
                }
                other => return other,
            }
        }
    }

    /// Has an operation carried out; repeats it under its id while its outcome is unknown.
    pub(super) async fn change(&self, operation: AdminOperation) -> Result<Answer, CtlError> {
        let id = self.id.map_or_else(new_idempotency_id, Ok)?;
        self.change_under(id, operation).await
    }

    /// The same under an id of the caller's.
    pub(super) async fn change_under(&self, id: IdempotencyId, operation: AdminOperation) -> Result<Answer, CtlError> {
        let lineage = self.client.status().await?.lineage;
        let progress = Progress::new(self.output);
        let mut is_open = false;
        for repeats_left in (0..REPEATS_MAX).rev() {
            let error = match self.client.execute(lineage, id, operation.clone()).await {
                // who does not use it yet stands in the answer, and cannot deny it any more
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let after = after(&error);
            is_open |= after == After::Unknown;
            match after {
                After::Final => return Err(error.into()),
                After::NotDone | After::Unknown if repeats_left > 0 => {
                    progress.say(format!("{error}; asking again"));
                    tokio::time::sleep(REPEAT_AFTER).await;
                }
                After::NotDone | After::Unknown if is_open => {
                    return Err(CtlError::Unknown { message: error.to_string(), id });
                }
                After::NotDone | After::Unknown if matches!(error, ClientError::Unreachable { .. }) => {
                    return Err(error.into());
                }
                After::NotDone | After::Unknown => return Err(CtlError::NotNow { message: error.to_string(), id }),
            }
        }
        unreachable!("the last repetition returns")
    }
}

/// What is known after a change came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It was refused, or never will be made.
    Final,
    /// It was not made; the same request may be, later.
    NotDone,
    /// It may have been made although no answer says so.
    Unknown,
}

fn after(error: &ClientError) -> After {
    match error {
        ClientError::Refused(body) => match body.code {
            // a bug may come after a first step is in a log
            FailureCode::Unknown | FailureCode::Internal => After::Unknown,
            FailureCode::Unavailable => After::NotDone,
            FailureCode::Invalid
            | FailureCode::Denied
            | FailureCode::NotFound
            | FailureCode::Conflict
            | FailureCode::NoRoom
            | FailureCode::Method
            | FailureCode::TooLarge
            | FailureCode::TooSlow => After::Final,
        },
        ClientError::Unreachable { source, .. } if source.is_connect() => After::NotDone,
        ClientError::Unreachable { .. } | ClientError::NotOurs { .. } => After::Unknown,
        // nothing was sent
        ClientError::Read { .. }
        | ClientError::Pem { .. }
        | ClientError::Key { .. }
        | ClientError::Name { .. }
        | ClientError::Prepare(_)
        | ClientError::Entropy(_) => After::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::wire::FailureBody;

    #[test]
    fn only_what_may_have_happened_is_unknown() {
        let refused = |code| ClientError::Refused(FailureBody { code, message: String::new(), current_revision: None });
        let table = [
            (refused(FailureCode::Conflict), After::Final),
            (refused(FailureCode::Denied), After::Final),
            (refused(FailureCode::NoRoom), After::Final),
            (refused(FailureCode::Unavailable), After::NotDone),
            (refused(FailureCode::Unknown), After::Unknown),
            (refused(FailureCode::Internal), After::Unknown),
            (ClientError::NotOurs { status: 502 }, After::Unknown),
        ];
        for (error, expected) in table {
            assert_eq!(after(&error), expected, "{error:?}");
        }
    }
}
