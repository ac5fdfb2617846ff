//! Who is on the other end: the enrolled operator whose public key the client certificate holds, and the tenants in reach.
//!
//! The certificate only opens the door: which key belongs to whom, and what they may see and do, is replicated data. What
//! is out of an operator's reach looks to them as if it were not there.

use std::collections::BTreeSet;

use replication::ids::{SignerId, TenantId};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::roles::{Permission, PersonRole, may};
use replication::machine::rows::Role;
use replication::machine::state::State;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::edge::peer::PeerCertificate;

/// An enrolled operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) id: SignerId,
    pub(super) roles: BTreeSet<PersonRole>,
    /// `None` is all of them.
    pub(super) tenants: Option<BTreeSet<TenantId>>,
}

impl Operator {
    /// Whether a tenant is this operator's to look at. The reserved one is nobody's.
    pub(super) fn reaches(&self, tenant: &TenantId) -> bool {
        may(&self.roles, Permission::ReadTenants)
            && tenant.as_str() != RESERVED_TENANT
            && self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }
}

/// The operator who holds the certificate's key; `None` if nobody enrolled does, or not any more.
pub(super) fn enrolled(state: &State, certificate: &PeerCertificate) -> Option<Operator> {
    let (_, parsed) = X509Certificate::from_der(certificate.der()).ok()?;
    let key = parsed.public_key().subject_public_key.data.as_ref();
    state.signers().iter().find_map(|(id, signer)| match &signer.role {
        Role::Person { roles, tenants }
            if signer.revoked_at.is_none() && signer.public_key.as_bytes().as_slice() == key =>
        {
            Some(Operator { id: id.clone(), roles: roles.clone(), tenants: tenants.clone() })
        }
        Role::Person { .. } | Role::Replica => None,
    })
}
