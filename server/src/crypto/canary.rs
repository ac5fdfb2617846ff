//! The canary of a key version: a known text wrapped when the version was made. Material that does not open it to that text must
//! never serve traffic.

use super::entropy::Entropy;
use super::wrap::{UnwrapError, UsableMaterial, Use, WrapError, unwrap_for, wrap_for};

/// What every canary says. Blobs are kept for ever: never change it.
const TEXT: &[u8] = b"ekm canary 1";

/// Why material is not what the version was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanaryError {
    /// The canary does not open.
    #[error("the canary does not open")]
    Closed(#[from] UnwrapError),
    /// It opens to something else: the cipher, or the machine, computes wrongly.
    #[error("the canary opens to another text")]
    OtherText,
}

/// A canary for the version that `key` is of.
///
/// # Errors
/// As [`super::wrap()`].
pub fn make_canary(key: &UsableMaterial, entropy: &dyn Entropy) -> Result<Vec<u8>, WrapError> {
    wrap_for(Use::Canary, key, TEXT, b"", entropy)
}

/// Whether `key` is the material that `canary` was made with.
///
/// # Errors
/// If it is not, or computes wrongly.
pub fn check_canary(key: &UsableMaterial, canary: &[u8]) -> Result<(), CanaryError> {
    let text = unwrap_for(Use::Canary, key, canary, b"")?;
    if text.as_slice() == TEXT { Ok(()) } else { Err(CanaryError::OtherText) }
}

#[cfg(test)]
mod tests {
    use replication::ids::KeyVersionId;

    use super::super::arena::tests::arena;
    use super::super::entropy::SystemEntropy;
    use super::super::material::Material;
    use super::super::wrap::{unwrap, wrap};
    use super::*;

    #[test]
    fn a_canary_tells_its_material_from_all_else() {
        let arena = arena(2);
        let id = KeyVersionId::from_bytes([3; 16]);
        let [key, stranger] =
            [(); 2].map(|()| UsableMaterial::new(Material::generate(&arena, &SystemEntropy).expect("a key"), id));
        let canary = make_canary(&key, &SystemEntropy).expect("wraps");
        let traffic = wrap(&key, TEXT, b"", &SystemEntropy).expect("wraps");
        let lying = wrap_for(Use::Canary, &key, b"another", b"", &SystemEntropy).expect("wraps");

        assert_eq!(check_canary(&key, &canary), Ok(()));
        assert_eq!(check_canary(&stranger, &canary), Err(CanaryError::Closed(UnwrapError::OtherKey)));
        assert_eq!(check_canary(&key, &lying), Err(CanaryError::OtherText));
        assert_eq!(check_canary(&key, &traffic), Err(CanaryError::Closed(UnwrapError::Tag)), "traffic is no canary");
        assert_eq!(unwrap(&key, &canary, b""), Err(UnwrapError::Tag), "a canary is no traffic");
    }
}
