//! The row that a policy or a quota stands in: a tenant's, a crypto space's or a key's.

use crate::ids::{CryptoSpaceName, KeyName, TenantId};
use crate::machine::outcome::Refusal;
use crate::machine::policy::{Level, Policy};
use crate::machine::rows::{CryptoSpace, Key, Tenant};
use crate::machine::state::Draft;

use super::tenant_of;

/// A row that policies and quotas stand in, with its key.
pub(super) enum Owner {
    Tenant(TenantId, Tenant),
    CryptoSpace((TenantId, CryptoSpaceName), CryptoSpace),
    Key((TenantId, KeyName), Key),
}

impl Owner {
    pub(super) const fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Tenant(_, row) => row.policy.as_ref(),
            Self::CryptoSpace(_, row) => row.policy.as_ref(),
            Self::Key(_, row) => row.policy.as_ref(),
        }
    }
}

/// The row of a level, or the refusal that says what is not there.
pub(super) fn owner(draft: &Draft, tenant: &TenantId, level: &Level) -> Result<Owner, Refusal> {
    let row = tenant_of(draft, tenant)?;
    match level {
        Level::Tenant => Ok(Owner::Tenant(tenant.clone(), row)),
        Level::CryptoSpace(name) => {
            let key = (tenant.clone(), name.clone());
            let row = draft.state().row::<CryptoSpace>(&key).map(|row| row.as_ref().clone());
            let unknown = || Refusal::UnknownCryptoSpace { tenant: tenant.clone(), name: name.to_string() };
            row.map(|row| Owner::CryptoSpace(key, row)).ok_or_else(unknown)
        }
        Level::Key(name) => {
            let key = (tenant.clone(), name.clone());
            let row = draft.state().row::<Key>(&key).map(|row| row.as_ref().clone());
            let unknown = || Refusal::UnknownKey { tenant: tenant.clone(), name: name.clone() };
            row.map(|row| Owner::Key(key, row)).ok_or_else(unknown)
        }
    }
}
