//! Deny entries: asked for by a first security officer, looked at, lifted. What a second one does is `operator approve`.

use replication::clock::{Clock as _, Timestamp};
use replication::ids::TenantId;
use replication::machine::policy::Subject;
use replication::machine::request::AdminOperation;
use replication::machine::roles::PersonRole;

use crate::admin::wire::{DENY_ENTRIES_PATH, DenyEntryBody};
use crate::clock::SystemClock;
use crate::ctl::args::{DenyArgs, DenyCommand, LiftArgs};
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
                let deny_entries = self.deny_entries(tenant).await?;
                Ok(Printed::of(&deny_entries, print::lines(&deny_entries, print::deny_entry)))
            }
            DenyCommand::Lift(asked) => self.lift(asked).await,
        }
    }

    async fn shut_out(&self, subject: Subject, how: &DenyArgs) -> Result<Printed, CtlError> {
        self.is_officer_of(&how.tenant).await?;
        let lasts = u64::try_from(how.lasts.as_millis()).unwrap_or(u64::MAX);
        let expires_at = Timestamp(SystemClock.wall().0.saturating_add(lasts));
        self.confirm(&Harm::deny(&subject, &how.tenant))?;
        let name = format!("deny-{}", subject.name());
        let operation = AdminOperation::Deny { tenant: how.tenant.clone(), subject, expires_at };
        self.ask_second(operation, &name, how.out.as_deref()).await
    }

    async fn lift(&self, asked: &LiftArgs) -> Result<Printed, CtlError> {
        let LiftArgs { entry, tenant, not_listed, out } = asked;
        self.is_officer_of(tenant).await?;
        if !not_listed && !self.deny_entries(tenant).await?.iter().any(|known| known.entry == *entry) {
            return Err(CtlError::NoSuchDenyEntry { entry: *entry, tenant: tenant.clone() });
        }
        let operation = AdminOperation::LiftDeny { tenant: tenant.clone(), entry: *entry };
        self.ask_second(operation, &format!("lift-{entry}"), out.as_deref()).await
    }

    /// Whether the request can come to anything: the second officer should not be the first to hear that it cannot.
    async fn is_officer_of(&self, tenant: &TenantId) -> Result<(), CtlError> {
        let may_ask = self.person().await?.is_some_and(|person| {
            person.roles.contains(&PersonRole::SecurityOfficer)
                && person.tenants.is_none_or(|tenants| tenants.contains(tenant))
        });
        if may_ask {
            return Ok(());
        }
        Err(CtlError::NoOfficer { name: self.client.name().to_string(), tenant: tenant.clone() })
    }

    async fn deny_entries(&self, tenant: &TenantId) -> Result<Vec<DenyEntryBody>, CtlError> {
        Ok(self.client.list(&format!("{DENY_ENTRIES_PATH}/{tenant}")).await?)
    }
}
