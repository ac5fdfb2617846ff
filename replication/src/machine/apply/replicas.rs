//! The replicas of the cluster: group 0 keeps where each is and what it is there for, every group whose signatures count.
//!
//! A number, a name and a key are used once, for ever. Nothing here takes a replica away.

use crate::ids::{GroupId, ReplicaId, SignerId};
use crate::machine::command::{AddReplica, Command};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{Meta, Replica, ReplicaKind, Role, Signer};
use crate::machine::state::{Draft, State};

use super::people;

/// Most replicas that a cluster ever has.
pub const REPLICAS_MAX: usize = 64;

pub(super) fn add(draft: &mut Draft, meta: &Meta, add: &AddReplica, command: &Command) -> Result<Effect, Refusal> {
    if command.request.is_none() {
        is_founder(draft.state(), meta, add)?;
    }
    people::proof_fits(command, people::ENROL_BYTES_MAX)?;
    if meta.group == GroupId::SYSTEM {
        register(draft, add, command)?;
    }
    match (&add.kind, &command.request) {
        (ReplicaKind::Data { signer, public_key }, Some(_)) => {
            enrol(
                draft,
                signer,
                Signer {
                    public_key: *public_key,
                    role: Role::Replica,
                    revoked_at: None,
                    enrolled_by: command.request.clone(),
                    revoked_by: None,
                },
            )?;
        }
        // it signs nothing, so a shard has nothing to keep of it
        (ReplicaKind::Witness, _) if meta.group != GroupId::SYSTEM => return Err(Refusal::WrongGroup),
        // genesis enrolled the first one
        (ReplicaKind::Witness, _) | (ReplicaKind::Data { .. }, None) => {}
    }
    Ok(Effect::ReplicaAdded { replica: add.replica })
}

/// Without a request there is only the one that the cluster begins with: genesis named its signer, and nobody is there yet.
fn is_founder(state: &State, meta: &Meta, add: &AddReplica) -> Result<(), Refusal> {
    let is_named = match &add.kind {
        ReplicaKind::Data { signer, public_key } => state
            .row::<Signer>(signer)
            .is_some_and(|row| row.role == Role::Replica && row.enrolled_by.is_none() && row.public_key == *public_key),
        ReplicaKind::Witness => false,
    };
    let is_first = meta.group == GroupId::SYSTEM && state.replicas().is_empty() && is_named;
    is_first.then_some(()).ok_or(Refusal::RequestMissing)
}

fn register(draft: &mut Draft, add: &AddReplica, command: &Command) -> Result<(), Refusal> {
    let AddReplica { replica, address, site, kind, standing } = add.clone();
    if replica == ReplicaId(0) {
        return Err(Refusal::ReplicaZero);
    }
    if draft.state().row::<Replica>(&replica).is_some() {
        return Err(Refusal::ReplicaKnown { replica });
    }
    if let Some((other, _)) = draft.state().replicas().iter().find(|(_, row)| row.address == address) {
        return Err(Refusal::AddressTaken { address, replica: *other });
    }
    let count = draft.state().replicas().len();
    if count >= REPLICAS_MAX {
        return Err(Refusal::TooMany {
            owner: "the cluster".to_owned(),
            what: "replicas".to_owned(),
            count,
            remedy: "a replica's number is never used again, and no release takes one away yet".to_owned(),
        });
    }
    let added_by = command.request.clone();
    draft.put(replica, Replica { address, site, kind, standing, added_at: command.at, added_by });
    Ok(())
}

fn enrol(draft: &mut Draft, signer: &SignerId, row: Signer) -> Result<(), Refusal> {
    people::is_new(draft, signer, &row)?;
    draft.put(signer.clone(), row);
    Ok(())
}
