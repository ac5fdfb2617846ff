//! The first entry of a group. It vouches for itself: one of the replicas it names signs it. A group takes
//! no second one.

use crate::machine::command::{Genesis, SignedCommand};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::Role;
use crate::machine::signing;
use crate::machine::state::Draft;

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
        draft.put(id.clone(), signer.clone());
    }
    if let Some(trust) = &genesis.trust {
        draft.put((), trust.clone());
    }
    Ok(Effect::GroupMade)
}
