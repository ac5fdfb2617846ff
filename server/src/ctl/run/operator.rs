//! People: enrolled, revoked and approved by security officers.

use replication::machine::request::AdminOperation;
use replication::machine::roles::PersonRole;

use crate::admin::client::new_idempotency_id;
use crate::admin::wire::{OPERATORS_PATH, PersonBody};
use crate::ctl::args::{EnrolArgs, IdentityArgs, OperatorCommand, RoleArg};
use crate::ctl::confirm::Harm;
use crate::ctl::error::CtlError;
use crate::ctl::files;
use crate::ctl::people::{self, Pending};
use crate::ctl::print::{self, Printed, answer};
use crate::ctl::session::Session;

/// Largest file of a key, a certificate or a request that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

impl Session {
    pub(super) async fn operator(&self, command: &OperatorCommand) -> Result<Printed, CtlError> {
        match command {
            OperatorCommand::Enrol(asked) => self.enrol(asked).await,
            OperatorCommand::Approve { file } => self.approve(file).await,
            OperatorCommand::List => {
                let people: Vec<PersonBody> = self.client.list(OPERATORS_PATH).await?;
                Ok(Printed::of(&people, print::lines(&people, print::person)))
            }
            OperatorCommand::Show { name } => {
                let person: PersonBody = self.client.get(&format!("{OPERATORS_PATH}/{name}")).await?;
                Ok(Printed::of(&person, print::person_in_full(&person)))
            }
            OperatorCommand::Revoke { name, out } => {
                let person: PersonBody = self.client.get(&format!("{OPERATORS_PATH}/{name}")).await?;
                self.confirm(&Harm::Revoke { name: name.to_string() })?;
                let operation = AdminOperation::Revoke { signer: name.clone() };
                let is_officer = person.roles.contains(&PersonRole::SecurityOfficer);
                if is_officer {
                    self.ask_second(operation, name.as_str(), out.as_deref()).await
                } else {
                    self.done(operation).await
                }
            }
        }
    }

    async fn enrol(&self, asked: &EnrolArgs) -> Result<Printed, CtlError> {
        let operation = AdminOperation::Enrol {
            signer: asked.name.clone(),
            public_key: public_key(&asked.identity)?,
            roles: asked.role.iter().map(|role| PersonRole::from(*role)).collect(),
            tenants: (!asked.tenant.is_empty()).then(|| asked.tenant.iter().cloned().collect()),
        };
        if asked.role.contains(&RoleArg::SecurityOfficer) {
            self.ask_second(operation, asked.name.as_str(), asked.out.as_deref()).await
        } else {
            self.done(operation).await
        }
    }

    async fn done(&self, operation: AdminOperation) -> Result<Printed, CtlError> {
        Ok(answer(&self.change(operation).await?))
    }

    /// Signs a request and writes it for a second officer instead of sending it.
    pub(super) async fn ask_second(
        &self,
        operation: AdminOperation,
        name: &str,
        out: Option<&std::path::Path>,
    ) -> Result<Printed, CtlError> {
        let lineage = self.client.status().await?.lineage;
        let id = self.id.map_or_else(new_idempotency_id, Ok)?;
        let asks = people::words(&operation).expect("no other request takes two");
        let signed = self.client.signed(lineage, id, operation);
        let file = out.map_or_else(|| format!("{name}.request").into(), std::path::Path::to_owned);
        files::write(&file, &people::request_file(signed, asks.clone()))?;
        let next = format!("ekmctl operator approve {}", crate::shell::quoted(&file.display().to_string()));
        let pending = Pending { file: file.display().to_string(), asks, next };
        Ok(Printed::of(&pending, print::pending(&pending)))
    }

    async fn approve(&self, file: &std::path::Path) -> Result<Printed, CtlError> {
        let of_file = |source| CtlError::PeopleFile { path: file.to_owned(), source };
        let (consent, operation) = people::asked(&files::read(file, FILE_BYTES_MAX)?).map_err(of_file)?;
        let asks = people::words(&operation).ok_or_else(|| of_file(people::PeopleError::NoRequest))?;
        match &operation {
            AdminOperation::Revoke { signer } => self.confirm(&Harm::Revoke { name: signer.to_string() })?,
            AdminOperation::Deny { tenant, subject, .. } => self.confirm(&Harm::deny(subject, tenant))?,
            _ => {}
        }
        let first = consent.signer.to_string();
        let made = self.change(AdminOperation::Approve(consent)).await?;
        Ok(Printed::of(
            &made,
            format!("{}\n{first} asked for it, and you consented: {asks}", print::answer_text(&made)),
        ))
    }
}

fn public_key(identity: &IdentityArgs) -> Result<replication::ids::PublicKey, CtlError> {
    let (path, key) = match (&identity.public_key_file, &identity.certificate) {
        (Some(path), _) => (path, people::public_key(&files::read(path, FILE_BYTES_MAX)?)),
        (None, Some(path)) => (path, people::certified_key(&files::read(path, FILE_BYTES_MAX)?)),
        (None, None) => unreachable!("the parser demands one of them"),
    };
    key.map_err(|source| CtlError::PeopleFile { path: path.clone(), source })
}

impl From<RoleArg> for PersonRole {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Approver => Self::Approver,
            RoleArg::SecurityOfficer => Self::SecurityOfficer,
            RoleArg::Auditor => Self::Auditor,
        }
    }
}
