//! What opens, and everything that must not. Only for tests.

use super::super::arena::tests::arena;
use super::super::entropy::SystemEntropy;
use super::*;

const LINEAGE: LineageId = LineageId::from_bytes([1; 16]);
const VERSION: KeyVersionId = KeyVersionId::from_bytes([2; 16]);

fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant's name")
}

fn key_name(name: &str) -> KeyName {
    name.parse().expect("a key's name")
}

fn root(arena: &Arc<Arena>, root_version: u32) -> RootKey {
    let material = Material::generate(arena, &SystemEntropy).expect("a key");
    RootKey { material, provider: "file", root_version }
}

#[test]
fn key_material_opens_for_its_binding_alone() {
    let arena = arena(8);
    let under = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
    let material = Material::generate(&arena, &SystemEntropy).expect("a key");
    let (acme, umbra, ac, k1, mek1) = (tenant("acme"), tenant("umbra"), tenant("ac"), key_name("k1"), key_name("mek1"));
    let binding =
        Binding { lineage: LINEAGE, tenant: &acme, key: &k1, version: VERSION, algorithm: Algorithm::Aes256GcmSiv };
    let sealed = under.seal(&material, &binding, &SystemEntropy).expect("seals");
    let opened = under.open(&sealed, &binding, &arena).expect("opens");
    assert_eq!(opened.expose(), material.expose());

    let wrong = [
        Binding { lineage: LineageId::from_bytes([9; 16]), ..binding },
        Binding { tenant: &umbra, ..binding },
        Binding { key: &mek1, ..binding },
        // the same letters, split elsewhere
        Binding { tenant: &ac, key: &mek1, ..binding },
        Binding { version: KeyVersionId::from_bytes([9; 16]), ..binding },
    ];
    for wrong in wrong {
        assert_eq!(under.open(&sealed, &wrong, &arena).err(), Some(OpenError::Refused), "{wrong:?}");
    }
    let stranger = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
    assert_eq!(stranger.open(&sealed, &binding, &arena).err(), Some(OpenError::Refused));
}

#[test]
fn a_tenant_key_opens_for_its_tenant_lineage_and_root_alone() {
    let arena = arena(8);
    let (root_1, root_2) = (root(&arena, 1), root(&arena, 2));
    let key = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
    let acme = tenant("acme");
    let envelopes = [&root_1, &root_2].map(|root| root.seal(&key, LINEAGE, &acme, &SystemEntropy).expect("seals"));
    assert_eq!(envelopes.each_ref().map(|e| (e.provider.as_str(), e.root_version)), [("file", 1), ("file", 2)]);
    for root in [&root_1, &root_2] {
        let opened = root.open(&envelopes, LINEAGE, &acme, &arena).expect("opens");
        assert_eq!(opened.0.expose(), key.0.expose());
    }

    let refused =
        |envelopes: &[Envelope], lineage, tenant: &TenantId| root_1.open(envelopes, lineage, tenant, &arena).err();
    assert_eq!(refused(&envelopes, LINEAGE, &tenant("umbra")), Some(OpenError::Refused));
    assert_eq!(refused(&envelopes, LineageId::from_bytes([9; 16]), &acme), Some(OpenError::Refused));
    assert_eq!(refused(&[], LINEAGE, &acme), Some(OpenError::NoEnvelope));
    assert_eq!(refused(&envelopes[1..], LINEAGE, &acme), Some(OpenError::NoEnvelope));
    let elsewhere = Envelope { provider: "pkcs11".to_owned(), ..envelopes[0].clone() };
    assert_eq!(refused(&[elsewhere], LINEAGE, &acme), Some(OpenError::NoEnvelope));
    let relabelled = Envelope { root_version: 1, ..envelopes[1].clone() };
    assert_eq!(refused(&[relabelled], LINEAGE, &acme), Some(OpenError::Refused));
    assert_eq!(root(&arena, 1).open(&envelopes, LINEAGE, &acme, &arena).err(), Some(OpenError::Refused));
}

#[test]
fn one_key_in_every_role_still_keeps_its_seals_apart() {
    let arena = arena(4);
    let under = Material::generate(&arena, &SystemEntropy).expect("a key");
    let material = Material::generate(&arena, &SystemEntropy).expect("a key");
    let domains =
        [DOMAIN_MATERIAL, DOMAIN_TENANT_KEY, DOMAIN_IMPORT_KEY].map(|domain| authenticated(domain, &[b"same"]));
    for sealed_for in &domains {
        let sealed = seal(&under, material.expose(), sealed_for, &SystemEntropy).expect("seals");
        for opened_for in &domains {
            let opened = open(&under, &sealed, opened_for, &arena).map(|_| ());
            let expected = if opened_for == sealed_for { Ok(()) } else { Err(OpenError::Refused) };
            assert_eq!(opened, expected);
        }
    }
}

#[test]
fn an_import_key_opens_for_its_binding_alone_and_never_as_key_material() {
    let arena = arena(4);
    let under = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
    let (acme, umbra) = (tenant("acme"), tenant("umbra"));
    let binding =
        ImportBinding { lineage: LINEAGE, tenant: &acme, id: ImportKeyId::from_bytes([3; 16]), public_key: b"public" };
    // as long as key material, so that its length does not give it away
    let private = [7; SLOT_LENGTH];
    let sealed = under.seal_import_key(&private, &binding, &SystemEntropy).expect("seals");
    assert_eq!(under.open_import_key(&sealed, &binding).expect("opens").as_slice(), private);

    let wrong = [
        ImportBinding { lineage: LineageId::from_bytes([9; 16]), ..binding },
        ImportBinding { tenant: &umbra, ..binding },
        ImportBinding { id: ImportKeyId::from_bytes([9; 16]), ..binding },
        ImportBinding { public_key: b"pablic", ..binding },
    ];
    for wrong in wrong {
        assert_eq!(under.open_import_key(&sealed, &wrong).err(), Some(OpenError::Refused), "{wrong:?}");
    }
    let stranger = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
    assert_eq!(stranger.open_import_key(&sealed, &binding).err(), Some(OpenError::Refused));

    // the id of the import key as that of a version
    let k1 = key_name("k1");
    let version = KeyVersionId::from_bytes([3; 16]);
    let as_version = Binding { lineage: LINEAGE, tenant: &acme, key: &k1, version, algorithm: Algorithm::Aes256GcmSiv };
    assert_eq!(under.open(&sealed, &as_version, &arena).err(), Some(OpenError::Refused));
    let material = Material::generate(&arena, &SystemEntropy).expect("a key");
    let sealed = under.seal(&material, &as_version, &SystemEntropy).expect("seals");
    assert_eq!(under.open_import_key(&sealed, &binding).err(), Some(OpenError::Refused));
}

#[test]
fn no_truncated_extended_or_flipped_seal_opens_and_none_leaks_a_slot() {
    let arena = arena(3);
    let acme = tenant("acme");
    let root = root(&arena, 1);
    let key = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
    let envelope = root.seal(&key, LINEAGE, &acme, &SystemEntropy).expect("seals");
    let whole = &envelope.sealed.0;
    assert_eq!(whole.len(), SLOT_LENGTH + OVERHEAD);
    let open = |bytes: Vec<u8>| {
        let envelope = Envelope { sealed: Sealed(bytes), ..envelope.clone() };
        root.open(&[envelope], LINEAGE, &acme, &arena).map(|_| ())
    };
    assert_eq!(open(whole.clone()), Ok(()));
    for length in 0..whole.len() {
        assert_eq!(open(whole[..length].to_vec()), Err(OpenError::Length { length }));
    }
    assert_eq!(open([&whole[..], &[0]].concat()), Err(OpenError::Length { length: SLOT_LENGTH + OVERHEAD + 1 }));
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match flipped[..] {
            [format, algorithm, ..] if bit < 16 => OpenError::Format { format, algorithm },
            _ => OpenError::Refused,
        };
        assert_eq!(open(flipped), Err(expected), "bit {bit}");
    }
    assert_eq!(arena.free_slots(), 1, "each refused seal gave its slot back");
    let held = arena.take().expect("the last slot");
    assert_eq!(open(whole.clone()), Err(OpenError::Exhausted(ArenaExhausted { capacity: arena.capacity() })));
    drop(held);
}
