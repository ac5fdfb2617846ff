//! Where randomness comes from: one trait, one source. It must never be seeded, cached or shared with anything that can be.

/// What random bytes are for. A source for tests may tell them apart; the system's does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Key material.
    Material,
    /// A nonce of a cipher.
    Nonce,
    /// An id, or part of a name.
    Id,
}

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct EntropyError {
    /// What it said.
    pub source: getrandom::Error,
}

/// A source of random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// If there are none to be had; `bytes` must not be used then.
    fn fill(&self, draw: Draw, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The kernel's generator (`getrandom(2)`).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, _draw: Draw, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|source| EntropyError { source })
    }
}
