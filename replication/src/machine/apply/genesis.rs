//! The first entry of a group. It vouches for itself: one of the replicas it names signs it. A group takes
//! no second one, and names nobody whom no later entry could enrol.

use crate::machine::command::{Genesis, SignedCommand};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::Role;
use crate::machine::signing;
use crate::machine::state::Draft;

use super::people;

pub(super) fn perform(draft: &mut Draft, signed: &SignedCommand, genesis: &Genesis) -> Result<Effect, Refusal> {
    if draft.state().meta().is_some() {
        return Err(Refusal::GenesisRepeated);
    }
    let signer = genesis
        .signers
        .iter()
        .find(|(id, signer)| *id == signed.signer && signer.role == Role::Replica)
        .ok_or_else(|| Refusal::UnknownSigner { signer: signed.signer.clone() })?;
    let message = signing::command_message(genesis.meta.lineage, genesis.meta.group, &signed.command);
    if !signing::verifies(&signer.1.public_key, &message, &signed.signature) {
        return Err(Refusal::BadSignature { signer: signed.signer.clone() });
    }
    draft.put((), genesis.meta.clone());
    for (id, signer) in &genesis.signers {
        people::is_new(draft, id, signer)?;
        if signer.revoked_at.is_some() || signer.enrolled_by.is_some() || signer.revoked_by.is_some() {
            return Err(Refusal::NotWhatWasAsked);
        }
        draft.put(id.clone(), signer.clone());
    }
    if let Some(trust) = &genesis.trust {
        draft.put((), trust.clone());
    }
    Ok(Effect::GroupMade)
}
