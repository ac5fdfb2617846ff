//! Deny entries: asked for by a first security officer, looked at, lifted. What a second one does is `operator approve`.

use replication::clock::{Clock as _, Timestamp};
use replication::ids::{DenyId, TenantId};
use replication::machine::deny::DENY_MAX;
use replication::machine::policy::Subject;
use replication::machine::request::AdminOperation;

use crate::admin::wire::{DENIALS_PATH, DenialBody};
use crate::clock::SystemClock;
use crate::ctl::args::{DenyArgs, DenyCommand};
use crate::ctl::confirm::Harm;
use crate::ctl::error::CtlError;
use crate::ctl::print::{self, Printed};
use crate::ctl::session::Session;

impl Session {
    pub(super) async fn deny(&self, command: &DenyCommand) -> Result<Printed, CtlError> {
        match command {
            DenyCommand::Caller { caller, how } => self.shut_out(Subject::Caller(caller.clone()), how).await,
            DenyCommand::Key { name, how } => self.shut_out(Subject::Key(name.clone()), how).await,
            DenyCommand::List { tenant } => {
                let denials = self.denials(tenant).await?;
                Ok(Printed::of(&denials, print::lines(&denials, print::denial)))
            }
            DenyCommand::Lift { entry, tenant, out } => self.lift(*entry, tenant, out.as_deref()).await,
        }
    }

    async fn shut_out(&self, subject: Subject, how: &DenyArgs) -> Result<Printed, CtlError> {
        if how.lasts > DENY_MAX || how.lasts.is_zero() {
            return Err(CtlError::DenyTime);
        }
        let lasts = u64::try_from(how.lasts.as_millis()).unwrap_or(u64::MAX);
        let expires_at = Timestamp(SystemClock.wall().0.saturating_add(lasts));
        self.confirm(&Harm::deny(&subject, &how.tenant))?;
        let name = match &subject {
            Subject::Caller(caller) => format!("deny-{caller}"),
            Subject::Key(key) => format!("deny-{key}"),
        };
        let operation = AdminOperation::Deny { tenant: how.tenant.clone(), subject, expires_at };
        self.ask_second(operation, &name, how.out.as_deref()).await
    }

    async fn lift(&self, id: DenyId, tenant: &TenantId, out: Option<&std::path::Path>) -> Result<Printed, CtlError> {
        let denials = self.denials(tenant).await?;
        let Some(known) = denials.into_iter().find(|known| known.entry == id) else {
            return Err(CtlError::NoSuchDenial { entry: id, tenant: tenant.clone() });
        };
        let DenialBody { entry, tenant, expires_at, .. } = known;
        let operation = AdminOperation::LiftDeny { tenant, entry, expires_at };
        self.ask_second(operation, &format!("lift-{entry}"), out).await
    }

    async fn denials(&self, tenant: &TenantId) -> Result<Vec<DenialBody>, CtlError> {
        Ok(self.client.list(&format!("{DENIALS_PATH}/{tenant}")).await?)
    }
}
