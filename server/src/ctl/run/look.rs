//! Looking without changing: who am I, what would be decided, what is broken.

use crate::admin::client::ClientError;
use crate::admin::wire::{
    CALLERS_PATH, CallerBody, EXPLAIN_PATH, ExplainRequest, Explanation, FailureCode, OPERATORS_PATH, PersonBody,
    SEEN_PATH, SeenBody, StatedReason,
};
use crate::clock::SystemClock;
use crate::ctl::args::{Connection, DoctorArgs, ExplainArgs, Subject};
use crate::ctl::doctor::{Wanted, look};
use crate::ctl::error::CtlError;
use crate::ctl::print::{self, Me, Printed};
use crate::ctl::session::Session;
use crate::dev::DevFile;
use crate::exit::{self, with_causes};

use super::connect::{Reach, of_dev};

impl Session {
    pub(super) async fn whoami(&self) -> Result<Printed, CtlError> {
        let (name, person) = (self.client.name().to_string(), self.person().await?);
        let me = Me { name, public_key: self.client.public_key().to_string(), person };
        Ok(Printed::of(&me, print::me(&me)))
    }

    /// What the cluster knows of whoever acts; `None` where it does not show people to them. They are somebody all the same.
    pub(super) async fn person(&self) -> Result<Option<PersonBody>, CtlError> {
        match self.client.get::<PersonBody>(&format!("{OPERATORS_PATH}/{}", self.client.name())).await {
            Ok(person) => Ok(Some(person)),
            Err(ClientError::Refused(body)) if matches!(body.code, FailureCode::Denied | FailureCode::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn explain(&self, asked: &ExplainArgs) -> Result<Printed, CtlError> {
        match &asked.subject {
            Subject::Request(id) => {
                let record: SeenBody = self.client.get(&format!("{SEEN_PATH}/{id}")).await?;
                Ok(Printed::of(&record, print::seen(&record)))
            }
            Subject::Caller(email) => {
                let rules: Vec<CallerBody> = self.client.list(&format!("{CALLERS_PATH}/{email}")).await?;
                Ok(Printed::of(&rules, print::lines(&rules, print::caller)))
            }
            Subject::Version(version) => {
                let caller = asked.caller.clone().ok_or(CtlError::ExplainNeedsCaller)?;
                let question = ExplainRequest {
                    key_path: replication::ids::key_path(*version),
                    caller,
                    operation: asked.operation,
                    resource: asked.resource.clone(),
                    justification: asked.justification.map(|code| StatedReason::Number(code.into())),
                };
                let explanation: Explanation = self.client.post(EXPLAIN_PATH, &question).await?;
                Ok(Printed::of(&explanation, print::explanation(&explanation)))
            }
        }
    }
}

/// Looks at what can be reached; that nothing can be is a finding, not an error.
pub(super) async fn doctor(connection: &Connection, asked: &DoctorArgs) -> Result<Printed, CtlError> {
    let wanted = match connection {
        Connection { dev: Some(folder), person, .. } => {
            let dev = DevFile::load(folder);
            let reach = dev.as_ref().ok().map(|dev| of_dev(folder, dev, person.as_ref())).transpose()?;
            let known_health = dev.as_ref().ok().map(|dev| dev.health_url.clone());
            Wanted {
                health_url: asked.health_url.clone().or(known_health),
                dev: Some((folder.clone(), dev.map_err(|error| with_causes(&error)))),
                admin_url: reach.as_ref().map(|reach| reach.url.clone()),
                certificate: reach.as_ref().map(|reach| reach.certificate.clone()),
                client: match reach {
                    Some(reach) => reach.client().map_err(|error| with_causes(&error)),
                    None => Err("dev.json does not say where".to_owned()),
                },
            }
        }
        Connection { dev: None, url: Some(url), ca: Some(ca), cert: Some(cert), key_file: Some(key), .. } => {
            let reach = Reach { url: url.clone(), ca: ca.clone(), certificate: cert.clone(), key: key.clone() };
            Wanted {
                dev: None,
                admin_url: Some(url.clone()),
                certificate: Some(cert.clone()),
                client: reach.client().map_err(|error| with_causes(&error)),
                health_url: asked.health_url.clone(),
            }
        }
        Connection { dev: None, .. } => return Err(CtlError::NoConnection),
    };
    let diagnosis = look(wanted, &SystemClock).await;
    let printed = Printed::of(&diagnosis, print::diagnosis(&diagnosis));
    Ok(if diagnosis.healthy { printed } else { printed.ending_with(exit::REFUSED) })
}
