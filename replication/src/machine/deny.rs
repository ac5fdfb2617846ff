//! Deny entries: a caller or a key of a tenant is shut out by two security officers' word alone, with or without a quorum.
//!
//! An entry is no row: whoever holds the two signatures can prove it to anybody who knows the officers. It ends at the time that it
//! names, or when the log lifts it. Pure: whoever asks says what time it is.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::ids::{DenyId, TenantId};

use super::apply::authority;
use super::outcome::Refusal;
use super::policy::Subject;
use super::request::{AdminOperation, Request};
use super::rows::{Lift, Placement};
use super::signed::SignedRequest;
use super::state::State;

/// How far ahead an entry may end: whatever is to last longer is a change of policy.
pub const DENY_MAX: Duration = Duration::from_hours(24 * 31);

/// A deny entry, as two officers signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyEntry {
    /// Which.
    pub id: DenyId,
    /// Whose keys it is about.
    pub tenant: TenantId,
    /// Who or what is shut out.
    pub subject: Subject,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// The id of the entry that these bytes of the first officer's request ask for. They name the cluster, and hold a random id.
pub fn id_of(request: &[u8]) -> DenyId {
    let digest = Sha256::new().chain_update(b"ekm deny entry 1\0").chain_update(request).finalize();
    DenyId::from_bytes(digest.first_chunk().copied().unwrap_or_default())
}

/// The entry that a consent asks for; `None` if it asks for something else. Says nothing about who signed.
pub fn read(proof: &SignedRequest) -> Option<DenyEntry> {
    entry_of(&authority::parse_request(&proof.bytes).ok()?)
}

fn entry_of(request: &Request) -> Option<DenyEntry> {
    let AdminOperation::Approve(consent) = &request.operation else { return None };
    match authority::parse_request(&consent.request.0).ok()?.operation {
        AdminOperation::Deny { tenant, subject, expires_at } => {
            Some(DenyEntry { id: id_of(&consent.request.0), tenant, subject, expires_at })
        }
        _ => None,
    }
}

/// The entry that two officers signed, if group 0's state says that both may, and it would hold at `now`.
///
/// # Errors
/// Why it is not taken.
pub fn verify(system: &State, proof: &SignedRequest, now: Timestamp) -> Result<DenyEntry, Refusal> {
    let request = authority::verify_request(system, system.meta().ok_or(Refusal::NoGenesis)?, proof)?;
    let entry = entry_of(&request).ok_or(Refusal::NotWhatWasAsked)?;
    let tenant = &entry.tenant;
    system.row::<Placement>(tenant).ok_or_else(|| Refusal::UnknownTenant { tenant: tenant.clone() })?;
    if system.row::<Lift>(&entry.id).is_some() {
        return Err(Refusal::DenyLifted { entry: entry.id });
    }
    if entry.expires_at <= now {
        return Err(Refusal::DenyOver);
    }
    let ahead = Duration::from_millis(entry.expires_at.0 - now.0);
    if ahead > DENY_MAX { Err(Refusal::DenyTooLong) } else { Ok(entry) }
}
