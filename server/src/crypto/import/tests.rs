//! What is imported, and everything that must not be. Only for tests.

use std::collections::BTreeSet;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA384_MGF1SHA384, OaepAlgorithm, Pkcs1PublicEncryptingKey};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::arena::tests::{arena, free_bytes};
use super::super::entropy::SystemEntropy;
use super::super::golden::GoldenImport;
use super::*;

/// 32 different bytes.
const PATTERN: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

fn clear(bytes: &[u8; 32]) -> ClearMaterial {
    ClearMaterial::read_raw(&mut &bytes[..]).expect("32 different bytes are a key")
}

fn oaep(golden: &GoldenImport, with: &'static OaepAlgorithm, text: &[u8], label: Option<&[u8]>) -> Vec<u8> {
    let key = PublicEncryptingKey::from_der(&golden.public_key).expect("a public key");
    let key = OaepPublicEncryptingKey::new(key).expect("a public key");
    let mut wrapped = vec![0; WRAPPED_LENGTH];
    key.encrypt(with, text, &mut wrapped, label).expect("short enough");
    wrapped
}

fn open(golden: &GoldenImport, wrapped: &[u8], arena: &Arc<Arena>) -> Result<Material, ImportError> {
    let opened = golden.tenant_key.open_wrapped(&golden.binding(), &golden.sealed, wrapped, None, arena);
    opened.map(|(material, _)| material)
}

#[test]
fn material_wrapped_to_a_new_import_key_arrives_with_its_check_value() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    let (tenant_key, id) = (&golden.tenant_key, ImportKeyId::from_bytes([9; 16]));
    let made = tenant_key.make_import_key(golden.lineage, &golden.tenant, id, &SystemEntropy).expect("a key");
    assert_ne!(made.public_key, golden.public_key);
    let sent = wrap_for_transport(&made.public_key, &clear(&PATTERN)).expect("wraps");
    assert_eq!((sent.bytes.len(), sent.check_value), (384, clear(&PATTERN).check_value()));
    let binding = ImportBinding { id, public_key: &made.public_key, ..golden.binding() };
    let (material, check_value) = tenant_key
        .open_wrapped(&binding, &made.sealed, &sent.bytes, Some(sent.check_value), &arena)
        .expect("what was wrapped to it opens");
    assert_eq!((material.expose(), check_value), (&PATTERN, sent.check_value));
    drop(material);

    let elsewhere = open(&golden, &sent.bytes, &arena).err();
    assert_eq!(elsewhere, Some(TransportError::Closed { import_key: golden.id }.into()), "wrapped to another key");
    let moved = tenant_key.open_wrapped(&golden.binding(), &made.sealed, &sent.bytes, None, &arena).err();
    assert_eq!(moved, Some(ImportError::Key { import_key: golden.id, source: OpenError::Refused }), "a row moved");
    let other = CheckValue::from_bytes([0; 3]);
    let refused = tenant_key.open_wrapped(&binding, &made.sealed, &sent.bytes, Some(other), &arena).err();
    assert_eq!(refused, Some(TransportError::OtherKey { given: other, found: sent.check_value }.into()));
    assert_eq!(free_bytes(&arena), [[0; 32]], "what was refused is wiped");
}

#[test]
fn what_does_not_open_for_any_reason_is_refused_in_the_same_words() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    let mut refusals = BTreeSet::new();
    let mut refused = |wrapped: &[u8]| {
        refusals.insert(open(&golden, wrapped, &arena).expect_err("nothing of this opens").to_string());
    };
    refused(&oaep(&golden, &OAEP_SHA1_MGF1SHA1, &PATTERN, None));
    refused(&oaep(&golden, &OAEP_SHA384_MGF1SHA384, &PATTERN, None));
    refused(&oaep(&golden, &OAEP_SHA256_MGF1SHA256, &PATTERN, Some(b"a label")));
    let key = PublicEncryptingKey::from_der(&golden.public_key).expect("a public key");
    let key = Pkcs1PublicEncryptingKey::new(key).expect("a public key");
    let mut pkcs1 = vec![0; WRAPPED_LENGTH];
    key.encrypt(&PATTERN, &mut pkcs1).expect("short enough");
    refused(&pkcs1);
    // zero, one, and more than the modulus
    refused(&[0; WRAPPED_LENGTH]);
    refused(&[&[0; WRAPPED_LENGTH - 1][..], &[1]].concat());
    refused(&[0xff; WRAPPED_LENGTH]);
    for bit in (0..WRAPPED_LENGTH * 8).step_by(97) {
        let mut flipped = golden.wrapped.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(&flipped);
    }
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert_eq!(refusals.pop_first(), Some(TransportError::Closed { import_key: golden.id }.to_string()));
    assert!(open(&golden, &golden.wrapped, &arena).is_ok(), "the control");
    assert_eq!(free_bytes(&arena), [[0; 32]]);
}

#[test]
fn a_cut_or_extended_wrapping_says_how_long_it_is_and_how_long_it_should_be() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    for length in [0, 1, 32, 256, 383, 385, 512] {
        let wrapped: Vec<u8> = golden.wrapped.iter().copied().cycle().take(length).collect();
        let refused = open(&golden, &wrapped, &arena).expect_err("only 384 bytes open");
        assert_eq!(refused, TransportError::Length { import_key: golden.id, length }.into());
        assert!(refused.to_string().contains(&format!("has {length} bytes")), "{refused}");
        assert!(refused.to_string().contains("needs 384"), "{refused}");
    }
}

#[test]
fn what_is_no_key_is_refused_and_leaves_nothing_in_the_arena() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    let wrap = |text: &[u8]| oaep(&golden, &OAEP_SHA256_MGF1SHA256, text, None);
    for length in [0, 16, 31, 33, 64, 318] {
        let text: Vec<u8> = PATTERN.iter().copied().cycle().take(length).collect();
        assert_eq!(open(&golden, &wrap(&text), &arena).err(), Some(TransportError::NoKey { length }.into()));
    }
    for byte in [0, 1, 0xff] {
        let refused = open(&golden, &wrap(&[byte; 32]), &arena).err();
        assert_eq!(refused, Some(TransportError::Degenerate.into()), "{byte}");
    }
    for at in [0, 1, 15, 31] {
        let mut nearly = [0xa5; 32];
        nearly[at] = 0xa4;
        assert!(open(&golden, &wrap(&nearly), &arena).is_ok(), "byte {at} differs");
    }
    assert_eq!(free_bytes(&arena), [[0; 32]]);
    let held = arena.take().expect("the last slot");
    assert_eq!(
        open(&golden, &golden.wrapped, &arena).err(),
        Some(ImportError::Exhausted(ArenaExhausted { capacity: arena.capacity() }))
    );
    drop(held);
}

#[test]
fn an_import_key_that_holds_something_else_imports_nothing() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    let small = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
    let small = AsDer::as_der(&small).expect("it has an encoding");
    for private in [&b"no key"[..], small.as_ref()] {
        let sealed = golden.tenant_key.seal_import_key(private, &golden.binding(), &SystemEntropy).expect("seals");
        let row = GoldenImport { sealed, ..GoldenImport::read(&super::super::arena::tests::arena(1)) };
        let refused = open(&row, &golden.wrapped, &arena).err();
        assert_eq!(refused, Some(ImportError::NoRsaKey { import_key: golden.id }));
    }
}

#[test]
fn material_is_wrapped_to_nothing_but_an_rsa_3072_key() {
    let arena = arena(1);
    let golden = GoldenImport::read(&arena);
    let small = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key").public_key();
    let small = AsDer::as_der(&small).expect("it has an encoding");
    let cut = &golden.public_key[..golden.public_key.len() - 1];
    for other in [&b""[..], b"PEM", small.as_ref(), cut] {
        assert_eq!(wrap_for_transport(other, &clear(&PATTERN)).err(), Some(WrapForTransportError::NoPublicKey));
    }
    // one that is followed by anything is none
    let followed = [&golden.public_key[..], b"W"].concat();
    assert_eq!(wrap_for_transport(&followed, &clear(&PATTERN)).err(), Some(WrapForTransportError::NoPublicKey));
}

#[test]
fn check_values_are_those_of_pkcs_11() {
    // AES-256 of a block of zeros: under the key of zeros as in NIST's AESAVS, the others by `openssl enc -aes-256-ecb`
    let counting = std::array::from_fn(|at| u8::try_from(at).expect("32 is small"));
    let nist = *b"\x60\x3d\xeb\x10\x15\xca\x71\xbe\x2b\x73\xae\xf0\x85\x7d\x77\x81\x1f\x35\x2c\x07\x3b\x61\x08\xd7\x2d\x98\x10\xa3\x09\x14\xdf\xf4";
    let arena = arena(1);
    for (key, text) in [([0; 32], "dc95c0"), (counting, "f29000"), (nist, "e568f6")] {
        let value = check_value(&Material::copied(&key, &arena).expect("a slot"));
        assert_eq!(value.to_string(), text);
    }
}

#[test]
fn material_is_read_as_bytes_or_as_digits_and_wrong_input_says_where() {
    let digits = PATTERN.map(|byte| format!("{byte:02x}")).concat();
    let said = |error: Option<ReadError>| error.map(|error| error.to_string());
    let raw = |bytes: &[u8]| ClearMaterial::read_raw(&mut &bytes[..]);
    let hex = |text: &str| ClearMaterial::read_hex(&mut text.as_bytes());
    assert_eq!(raw(&PATTERN).expect("32 bytes").expose(), &PATTERN);
    for text in [digits.clone(), digits.to_uppercase(), format!("{digits}\n"), format!("{digits}\r\n")] {
        assert_eq!(hex(&text).expect("64 digits").expose(), &PATTERN, "{text:?}");
    }
    let (too_long, ends) = (Some(ReadError::TooLong), |bytes| Some(ReadError::TooShort { bytes }));
    let fewer = |digits| Some(ReadError::TooFewDigits { digits });
    let no_digit = |position| Some(ReadError::NotHexadecimal { position });
    let more = || Some(ReadError::TooManyDigits);
    for (what, found, expected) in [
        ("nothing", raw(b"").err(), ends(0)),
        ("31 bytes", raw(&PATTERN[1..]).err(), ends(31)),
        ("an end of line", raw(&[&PATTERN[..], b"\n"].concat()).err(), too_long),
        ("digits as bytes", raw(digits.as_bytes()).err(), Some(ReadError::TooLong)),
        ("one byte for all", raw(&[b'a'; 32]).err(), Some(ReadError::Degenerate)),
        ("no digits", hex("").err(), fewer(0)),
        ("an empty line", hex("\n").err(), fewer(0)),
        ("63 digits", hex(&digits[1..]).err(), fewer(63)),
        ("63 digits, a line", hex(&format!("{}\n", &digits[1..])).err(), fewer(63)),
        ("a letter", hex(&format!("{}g{}", &digits[..9], &digits[10..])).err(), no_digit(10)),
        ("a space before", hex(&format!(" {digits}")).err(), no_digit(1)),
        ("two lines", hex(&format!("{}\n{}", &digits[..32], &digits[32..])).err(), no_digit(33)),
        ("65 digits", hex(&format!("{digits}0")).err(), more()),
        ("two ends of line", hex(&format!("{digits}\n\n")).err(), more()),
        ("much more", hex(&digits.repeat(9)).err(), more()),
        ("one digit for all", hex(&"00".repeat(32)).err(), Some(ReadError::Degenerate)),
    ] {
        assert_eq!(said(found), said(expected), "{what}");
    }
}

/// Gives what it has in pieces of one byte, with an interruption before each; then fails.
struct Halting<'a>(&'a [u8], bool);

impl std::io::Read for Halting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let (first, rest) = self.0.split_first().ok_or(std::io::ErrorKind::BrokenPipe)?;
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn material_in_pieces_is_read_whole_and_a_failing_input_is_told_as_such() {
    let more = [&PATTERN[..], b"more"].concat();
    let refused = ClearMaterial::read_raw(&mut Halting(&more, false)).expect_err("there is more");
    assert!(matches!(refused, ReadError::TooLong), "{refused}");
    let refused = ClearMaterial::read_raw(&mut Halting(&PATTERN, false)).expect_err("it fails before its end");
    assert!(
        matches!(&refused, ReadError::Read(source) if source.kind() == std::io::ErrorKind::BrokenPipe),
        "{refused}"
    );
}

#[test]
fn nothing_prints_what_it_holds() {
    let arena = arena(2);
    let golden = GoldenImport::read(&arena);
    let made = NewImportKey { public_key: golden.public_key.clone(), sealed: golden.sealed.clone() };
    let material = clear(&PATTERN);
    let sent = wrap_for_transport(&golden.public_key, &material).expect("wraps");
    let opened = open(&golden, &sent.bytes, &arena).expect("opens");
    let printed = format!("{material:?} {opened:?} {:?} {sent:?} {made:?}", material.check_value());
    assert!(printed.starts_with("ClearMaterial Material "), "{printed}");
    for spelling in ["01234567", "30313233", "48, 49, 50", "MDEyMzQ1"] {
        assert!(!printed.contains(spelling), "{printed}");
    }
}

#[test]
fn a_public_key_is_shown_as_openssl_writes_it() {
    let pem = public_key_pem(&GoldenImport::read(&arena(1)).public_key);
    assert_eq!(pem, include_str!("../golden/import-1.pem"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_that_nobody_wrapped_are_imported(bytes in vec(any::<u8>(), 0..500), whole: [u8; 32]) {
        let arena = arena(2);
        let golden = GoldenImport::read(&arena);
        prop_assert!(open(&golden, &bytes, &arena).is_err());
        let mut wrapped: Vec<u8> = whole.iter().copied().cycle().take(WRAPPED_LENGTH).collect();
        wrapped[0] = 0; // below the modulus
        prop_assert!(open(&golden, &wrapped, &arena).is_err());
        prop_assert_eq!(arena.free_slots(), 1);
    }
}
