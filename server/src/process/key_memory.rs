//! The memory that opened keys lie in, as large as the settings ask for. Opens no key.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::crypto::{Arena, ArenaError, LockPolicy, Protection};

/// Slots beyond those of unsealed key versions: tenant keys, the root key, and what is being made.
const SLOTS_BEYOND: u32 = 4096;

/// Room for so many unsealed key versions, and for what opens them.
///
/// # Errors
/// If the kernel gives none, or does not lock it under [`LockPolicy::Require`].
pub fn of(unsealed_max: NonZeroU32, policy: LockPolicy) -> Result<Arc<Arena>, ArenaError> {
    let arena = Arena::new(unsealed_max.saturating_add(SLOTS_BEYOND), policy)?;
    if arena.protection() == Protection::Swappable {
        tracing::warn!("key material can be swapped out: raise LimitMEMLOCK");
    }
    Ok(arena)
}
