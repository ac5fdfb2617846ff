//! Key material as types: what may be used to wrap, what seals it, what seals that.
//!
//! No type here can be cloned, serialised, compared or printed; the bytes leave this module through `expose` alone, and only
//! towards a cipher.

use std::fmt;
use std::sync::Arc;

use super::arena::{Arena, ArenaExhausted, SLOT_LENGTH, Slot};
use super::entropy::{Draw, Entropy, EntropyError};

/// Why no key was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// There is no room for its bytes.
    #[error("there is no room for another key")]
    Exhausted(#[from] ArenaExhausted),
    /// There are no random bytes.
    #[error("there are no random bytes for a key")]
    Entropy(#[from] EntropyError),
}

/// 32 secret bytes in the arena; wiped when dropped.
pub struct Material(Slot);

impl Material {
    /// Random key material.
    ///
    /// # Errors
    /// If the arena is full or the source is dry.
    pub fn generate(arena: &Arc<Arena>, entropy: &dyn Entropy) -> Result<Self, GenerateError> {
        let mut slot = arena.take()?;
        entropy.fill(Draw::Material, slot.bytes_mut())?;
        Ok(Self(slot))
    }

    pub(super) fn from_slot(slot: Slot) -> Self {
        Self(slot)
    }

    /// Bytes that came from elsewhere, in a slot; the caller wipes its own.
    pub(super) fn copied(bytes: &[u8; SLOT_LENGTH], arena: &Arc<Arena>) -> Result<Self, ArenaExhausted> {
        let mut slot = arena.take()?;
        slot.bytes_mut().copy_from_slice(bytes);
        Ok(Self(slot))
    }

    /// Whether all its bytes are the same: a mistake, which no generator makes. In the same time for every other key.
    pub(super) fn is_degenerate(&self) -> bool {
        let [first, rest @ ..] = self.expose();
        rest.iter().fold(0, |differing, byte| differing | (byte ^ first)) == 0
    }

    pub(in crate::crypto) fn expose(&self) -> &[u8; SLOT_LENGTH] {
        self.0.bytes()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material")
    }
}

/// The key that seals all key material of one tenant. Destroying it, everywhere, destroys them all.
pub struct TenantKey(pub(super) Material);

impl TenantKey {
    /// A random tenant key.
    ///
    /// # Errors
    /// As [`Material::generate`].
    pub fn generate(arena: &Arc<Arena>, entropy: &dyn Entropy) -> Result<Self, GenerateError> {
        Material::generate(arena, entropy).map(Self)
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantKey")
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::tests::{arena, free_bytes};
    use super::super::danger_patterned_entropy::DangerPatternedEntropy;
    use super::super::entropy::SystemEntropy;
    use super::super::root::RootKey;
    use super::*;

    const PATTERN: [u8; 32] = *b"planted pattern, of 32 bytes....";

    #[test]
    fn material_is_wiped_when_dropped() {
        let arena = arena(2);
        let planted = DangerPatternedEntropy { pattern: PATTERN };
        let material = Material::generate(&arena, &planted).expect("a key");
        let tenant = TenantKey::generate(&arena, &planted).expect("a key");
        assert_eq!((material.expose(), tenant.0.expose()), (&PATTERN, &PATTERN));
        drop((material, tenant));
        assert_eq!(free_bytes(&arena), [[0; SLOT_LENGTH]; 2]);
    }

    #[test]
    fn a_key_prints_its_type_alone() {
        let arena = arena(3);
        let planted = DangerPatternedEntropy { pattern: PATTERN };
        let material = || Material::generate(&arena, &planted).expect("a key");
        let root = RootKey { material: material(), provider: "file", root_version: 7 };
        let printed = format!("{:?} {:#?} {root:?} {arena:?}", material(), TenantKey(material()));
        assert!(printed.starts_with("Material TenantKey RootKey(file 7) Arena {"), "{printed}");
        for spelling in ["planted", "706c616e", "70, 6c", "112, 108", "cGxhbn"] {
            assert!(!printed.contains(spelling), "{printed}");
        }
    }

    #[test]
    fn two_keys_of_the_system_differ() {
        let arena = arena(2);
        let [one, two] = [(); 2].map(|()| Material::generate(&arena, &SystemEntropy).expect("a key"));
        assert_ne!(one.expose(), two.expose());
        assert_ne!(one.expose(), &[0; SLOT_LENGTH]);
    }

    #[test]
    fn a_full_arena_and_a_dry_source_are_told_apart() {
        struct Dry;
        impl Entropy for Dry {
            fn fill(&self, _: Draw, _: &mut [u8]) -> Result<(), EntropyError> {
                Err(EntropyError { source: getrandom::Error::UNSUPPORTED })
            }
        }
        let arena = arena(1);
        assert!(matches!(Material::generate(&arena, &Dry), Err(GenerateError::Entropy(_))));
        let held = Material::generate(&arena, &SystemEntropy).expect("the failed draw gave its slot back");
        assert!(matches!(Material::generate(&arena, &SystemEntropy), Err(GenerateError::Exhausted(_))));
        drop(held);
    }
}
