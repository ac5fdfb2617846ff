//! The cluster as a whole: drawn, founded, grown and looked at.

use replication::ids::LineageId;
use replication::machine::request::AdminOperation;
use replication::machine::rows::Standing;

use crate::admin::client::new_idempotency_id;
use crate::admin::wire::{CLUSTER_INIT_PATH, CLUSTER_STATUS_PATH, ClusterStatus, FirstPerson, Founded, InitRequest};
use crate::ctl::args::{ClusterInitArgs, ClusterJoinArgs};
use crate::ctl::error::CtlError;
use crate::ctl::files;
use crate::ctl::people;
use crate::ctl::print::{self, Printed, answer};
use crate::ctl::session::Session;
use crate::replica::ReplicaFile;

/// Largest file of a certificate or a replica that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A fresh lineage.
pub(super) fn lineage() -> Result<Printed, CtlError> {
    let drawn = LineageId::from_bytes(*new_idempotency_id()?.as_bytes());
    Ok(Printed::of(&print::Lineage { lineage: drawn }, drawn.to_string()))
}

impl Session {
    pub(super) async fn cluster_init(&self, asked: &ClusterInitArgs) -> Result<Printed, CtlError> {
        let person = |one: &people::FirstPersonArg| -> Result<FirstPerson, CtlError> {
            let key = people::any_key(&files::read(&one.file, FILE_BYTES_MAX)?);
            let public_key = key.map_err(|source| CtlError::PeopleFile { path: one.file.clone(), source })?;
            Ok(FirstPerson { name: one.name.clone(), public_key, roles: one.roles.clone() })
        };
        let with = InitRequest {
            people: asked.people.iter().map(person).collect::<Result<_, _>>()?,
            issuers: asked.issuers.clone(),
            audiences: asked.audiences.clone(),
        };
        let founded: Founded = self.client.post(CLUSTER_INIT_PATH, &with).await?;
        Ok(Printed::of(&founded, print::founded(&founded)))
    }

    pub(super) async fn cluster_join(&self, asked: &ClusterJoinArgs) -> Result<Printed, CtlError> {
        let not_one = || CtlError::ReplicaFile(asked.file.clone());
        let file: ReplicaFile =
            serde_json::from_slice(&files::read(&asked.file, FILE_BYTES_MAX)?).map_err(|_| not_one())?;
        let operation = AdminOperation::AddReplica {
            replica: file.replica,
            kind: file.kind().ok_or_else(not_one)?,
            address: file.address,
            site: file.site,
            standing: if asked.learner { Standing::Learner } else { Standing::Voter },
        };
        Ok(answer(&self.change(operation).await?))
    }

    pub(super) async fn cluster_status(&self) -> Result<Printed, CtlError> {
        let status: ClusterStatus = self.client.get(CLUSTER_STATUS_PATH).await?;
        Ok(Printed::of(&status, print::cluster(&status)))
    }
}
