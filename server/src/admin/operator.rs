//! Who is on the other end: the enrolled operator whose public key the client certificate holds.
//!
//! The certificate only opens the door: which key belongs to whom, and what they may do, is replicated data.

use replication::ids::SignerId;
use replication::machine::rows::Role;
use replication::machine::state::State;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::edge::peer::PeerCertificate;

/// The operator who holds the certificate's key; `None` if nobody enrolled does, or not any more.
pub(super) fn enrolled(state: &State, certificate: &PeerCertificate) -> Option<SignerId> {
    let (_, parsed) = X509Certificate::from_der(certificate.der()).ok()?;
    let key = parsed.public_key().subject_public_key.data.as_ref();
    let holds = |public_key: &[u8; 32]| public_key.as_slice() == key;
    state
        .signers()
        .iter()
        .find(|(_, signer)| {
            matches!(signer.role, Role::Operator { .. }) && signer.revoked_at.is_none() && holds(&signer.public_key)
        })
        .map(|(id, _)| id.clone())
}
