//! Deny entries: a caller or a key of a tenant is shut out by two security officers' word alone, with or without a quorum.
//!
//! An entry is no row: whoever holds the two signatures can prove it to anybody who knows the officers. It ends at the time that it
//! names, or when the log lifts it. Pure: whoever asks says what time it is.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::ids::{DenyId, SignerId, TenantId};

use super::apply::authority::{self, Office};
use super::outcome::Refusal;
use super::policy::Subject;
use super::request::{AdminOperation, Request};
use super::rows::{Lift, Placement};
use super::signed::SignedRequest;
use super::state::State;

/// How far ahead an entry must end: near its end nobody is sure of it.
pub const DENY_MIN: Duration = Duration::from_mins(1);
/// How far ahead an entry may end: whatever is to last longer is a change of policy.
pub const DENY_MAX: Duration = Duration::from_hours(24 * 31);
/// How much later an entry may seem to end to somebody whose clock is behind that of the key store which took it.
const CLOCK_SLACK: Duration = Duration::from_mins(2);

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

/// An entry with what proves it to anybody who knows the officers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The entry.
    pub entry: DenyEntry,
    /// The officer who asked for it.
    pub asked_by: SignerId,
    /// The second officer's request, which holds the first one's.
    pub proof: SignedRequest,
}

/// The id of the entry that these bytes of the first officer's request ask for. They name the cluster, and hold a random id.
pub fn id_of(request: &[u8]) -> DenyId {
    let digest = Sha256::new().chain_update(b"ekm deny entry 1\0").chain_update(request).finalize();
    DenyId::from_bytes(*digest.first_chunk().expect("a digest of 32 bytes begins with 16"))
}

/// Whether the log lifts an entry: a tenant's officers lift what is theirs, and nothing of another's.
pub fn is_lifted(system: &State, entry: &DenyEntry) -> bool {
    system.row::<Lift>(&(entry.tenant.clone(), entry.id)).is_some()
}

/// Whether an entry ends so late that nobody can have taken it by now.
pub fn is_too_far(entry: &DenyEntry, now: Timestamp) -> bool {
    ahead(entry, now) > DENY_MAX + CLOCK_SLACK
}

fn ahead(entry: &DenyEntry, now: Timestamp) -> Duration {
    Duration::from_millis(entry.expires_at.0.saturating_sub(now.0))
}

/// The entry that a request asks for, if group 0's state says that two officers may ask for it now.
///
/// # Errors
/// Why it is not taken.
pub fn verify(system: &State, proof: SignedRequest, now: Timestamp) -> Result<Proven, Refusal> {
    let proven = proven(system, proof, Office::Now)?;
    match ahead(&proven.entry, now) {
        ahead if ahead < DENY_MIN => Err(Refusal::DenyOver),
        ahead if ahead > DENY_MAX => Err(Refusal::DenyTooLong),
        _ => Ok(proven),
    }
}

/// The same of an entry that a key store has taken before: its officers may be out of office by now, and clocks may differ.
///
/// # Errors
/// Why it is not taken.
pub fn verify_again(system: &State, proof: SignedRequest, now: Timestamp) -> Result<Proven, Refusal> {
    let proven = proven(system, proof, Office::Once)?;
    if is_too_far(&proven.entry, now) { Err(Refusal::DenyTooLong) } else { Ok(proven) }
}

fn proven(system: &State, proof: SignedRequest, office: Office) -> Result<Proven, Refusal> {
    let meta = system.meta().ok_or(Refusal::NoGenesis)?;
    let request = authority::verify_of(system, meta, &proof, office)?;
    let (entry, asked_by) = entry_of(&request).ok_or(Refusal::NotWhatWasAsked)?;
    if system.row::<Placement>(&entry.tenant).is_none() {
        return Err(Refusal::UnknownTenant { tenant: entry.tenant });
    }
    if is_lifted(system, &entry) {
        return Err(Refusal::DenyLifted { entry: entry.id });
    }
    Ok(Proven { entry, asked_by, proof })
}

fn entry_of(request: &Request) -> Option<(DenyEntry, SignerId)> {
    let AdminOperation::Approve(consent) = &request.operation else { return None };
    match authority::parse_request(&consent.request.0).ok()?.operation {
        AdminOperation::Deny { tenant, subject, expires_at } => {
            let entry = DenyEntry { id: id_of(&consent.request.0), tenant, subject, expires_at };
            Some((entry, consent.signer.clone()))
        }
        _ => None,
    }
}
