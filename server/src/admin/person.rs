//! Who is on the other end: the enrolled person whose public key the client certificate holds, what they may look at, and the
//! tenants in reach.
//!
//! The certificate only opens the door: which key belongs to whom, and what they may see and do, is replicated data. What
//! is out of a person's reach looks to them as if it were not there. What they may change is not judged here: every
//! replica does, when it applies the entry.

use std::collections::BTreeSet;

use replication::ids::{SignerId, TenantId};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::roles::{Permission, PersonRole, may};
use replication::machine::rows::Role;
use replication::machine::state::State;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::edge::peer::PeerCertificate;

use super::failure::refused;
use super::wire::{FailureBody, FailureCode};

/// An enrolled person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: SignerId,
    pub(super) roles: BTreeSet<PersonRole>,
    /// `None` is all of them.
    pub(super) tenants: Option<BTreeSet<TenantId>>,
}

impl Person {
    /// Whether a tenant is this person's to look at. The reserved one is nobody's.
    pub(super) fn reaches(&self, tenant: &TenantId) -> bool {
        may(&self.roles, Permission::ReadTenants) && self.has_in_reach(tenant)
    }

    /// Whether a tenant is within the person's reach, whatever they may do there. The reserved one is nobody's.
    pub(super) fn has_in_reach(&self, tenant: &TenantId) -> bool {
        tenant.as_str() != RESERVED_TENANT && self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }

    /// Whether every tenant is.
    pub(super) fn reaches_all(&self) -> bool {
        may(&self.roles, Permission::ReadTenants) && self.tenants.is_none()
    }

    /// The person, if one of their roles permits this.
    pub(super) fn permitted(self, permission: Permission) -> Result<Self, FailureBody> {
        if may(&self.roles, permission) {
            return Ok(self);
        }
        let spelt = |roles: &mut dyn Iterator<Item = PersonRole>| roles.map(PersonRole::as_str).collect::<Vec<_>>();
        let own = spelt(&mut self.roles.iter().copied());
        let needed = spelt(&mut PersonRole::ALL.into_iter().filter(|role| may(&[*role].into(), permission)));
        let message = format!(
            "{} may not look at this: that takes one of the roles {}, and {} has {}; a security officer can enrol somebody \
             with such a role",
            self.id,
            needed.join(", "),
            self.id,
            own.join(", ")
        );
        Err(refused(FailureCode::Denied, message))
    }
}

/// The person who holds the certificate's key; `None` if nobody enrolled does, or not any more.
pub(super) fn enrolled(state: &State, certificate: &PeerCertificate) -> Option<Person> {
    let (_, parsed) = X509Certificate::from_der(certificate.der()).ok()?;
    let key = parsed.public_key().subject_public_key.data.as_ref();
    state.signers().iter().find_map(|(id, signer)| match &signer.role {
        Role::Person { roles, tenants }
            if signer.revoked_at.is_none() && signer.public_key.as_bytes().as_slice() == key =>
        {
            Some(Person { id: id.clone(), roles: roles.clone(), tenants: tenants.clone() })
        }
        Role::Person { .. } | Role::Replica => None,
    })
}
