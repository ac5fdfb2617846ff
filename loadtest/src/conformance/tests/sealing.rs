//! The blobs of the honest EKM: AES-256-GCM under a counted nonce, so that tests repeat exactly.
//! `1 | nonce (12) | length of what follows (4) | ciphertext and tag`. Keys are made at each start and never leave.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::defects::Defect;
use super::honest::{KEY, SECOND_KEY};

const FORMAT: u8 = 1;
const HEAD: usize = 17;
/// A first byte that an old format without a check might have had.
const OLD_FORMAT: u8 = 9;
/// How often a blob opens under the defect that counts.
const OPENINGS_MAX: u32 = 3;

/// What became of a blob.
pub enum Opened {
    Plaintext(Vec<u8>),
    Refused,
    /// As a program that indexes past the end.
    Broken,
}

/// Seals and opens.
#[derive(Default)]
pub struct Blobs(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    sealed: u32,
    last: Vec<u8>,
    openings: HashMap<Vec<u8>, u32>,
}

impl Blobs {
    /// What was sealed last.
    pub fn sealed_last(&self) -> Vec<u8> {
        self.0.lock().expect("no holder panics").last.clone()
    }

    pub fn seal(&self, key: &str, data: &[u8], plaintext: &[u8], defect: Option<Defect>) -> Vec<u8> {
        let mut inner = self.0.lock().expect("no holder panics");
        inner.last = plaintext.to_vec();
        if defect != Some(Defect::RepeatsNonce) {
            inner.sealed += 1;
        }
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&inner.sealed.to_be_bytes());
        let mut sealed = plaintext.to_vec();
        cipher(key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(data, defect), &mut sealed)
            .expect("a short message can be sealed");
        let length = u32::try_from(sealed.len()).expect("tests seal little");
        [&[FORMAT][..], &nonce, &length.to_be_bytes(), &sealed].concat()
    }

    pub fn open(&self, key: &str, data: &[u8], blob: &[u8], defect: Option<Defect>) -> Opened {
        let others = [KEY, SECOND_KEY];
        let keys: Vec<&str> = if defect == Some(Defect::OpensWithAnyKey) { others.to_vec() } else { vec![key] };
        match blob {
            [] if defect == Some(Defect::NoBlobIsNothing) => return Opened::Plaintext(Vec::new()),
            [OLD_FORMAT, rest @ ..] if defect == Some(Defect::OldFormat) => return Opened::Plaintext(rest.to_vec()),
            short if short.len() < HEAD && defect == Some(Defect::ShortBlobBreaks) => return Opened::Broken,
            _ => {}
        }
        let found = keys.iter().find_map(|key| opened(key, data, blob, defect));
        match found {
            Some(plaintext) if defect != Some(Defect::OpensThreeTimes) || self.counted(blob) => {
                Opened::Plaintext(plaintext)
            }
            _ => Opened::Refused,
        }
    }

    fn counted(&self, blob: &[u8]) -> bool {
        let mut inner = self.0.lock().expect("no holder panics");
        let count = inner.openings.entry(blob.to_vec()).or_default();
        *count += 1;
        *count <= OPENINGS_MAX
    }
}

fn opened(key: &str, data: &[u8], blob: &[u8], defect: Option<Defect>) -> Option<Vec<u8>> {
    let (head, sealed) = blob.split_at_checked(HEAD)?;
    if head[0] != FORMAT && defect != Some(Defect::FormatUnchecked) {
        return None;
    }
    let length = u32::from_be_bytes(head[13..].try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    if sealed.len() != length && defect != Some(Defect::RestIgnored) {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(&head[1..13]).ok()?;
    let mut sealed = sealed.get(..length)?.to_vec();
    let plaintext = cipher(key).open_in_place(nonce, bound(data, defect), &mut sealed).ok()?;
    Some(plaintext.to_vec())
}

fn bound(data: &[u8], defect: Option<Defect>) -> Aad<&[u8]> {
    Aad::from(if defect == Some(Defect::AssociatedDataIgnored) { b"" } else { data })
}

fn cipher(path: &str) -> LessSafeKey {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, path.as_bytes());
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, digest.as_ref()).expect("a digest is as long as a key"))
}
