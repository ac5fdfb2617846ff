//! Key material of a known pattern, so that a test can search every output for it. Must never be in a released binary:
//! it is compiled for tests and under the feature `testkit` only.

use super::entropy::{Draw, Entropy, EntropyError, SystemEntropy};

/// Every key is `pattern`; nonces and ids stay random.
#[derive(Debug, Clone, Copy)]
pub struct DangerPatternedEntropy {
    /// What all key material will be.
    pub pattern: [u8; 32],
}

impl Entropy for DangerPatternedEntropy {
    fn fill(&self, draw: Draw, bytes: &mut [u8]) -> Result<(), EntropyError> {
        match draw {
            Draw::Material => {
                for (byte, planted) in bytes.iter_mut().zip(self.pattern.iter().cycle()) {
                    *byte = *planted;
                }
                Ok(())
            }
            Draw::Nonce | Draw::Id => SystemEntropy.fill(draw, bytes),
        }
    }
}
