//! A search for secret bytes in everything that a server lets out: as they are, in hexadecimal digits, as decimal numbers, and
//! in base64 wherever they may stand in it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// Parts of a secret that are searched for by themselves, since a text may break anywhere.
const PART_BYTES: usize = 16;

/// One spelling of a secret, or of a part of it.
pub(crate) struct Needle {
    spelling: &'static str,
    finder: Finder<'static>,
}

impl Needle {
    fn new(spelling: &'static str, bytes: &[u8]) -> Self {
        Self { spelling, finder: Finder::new(bytes).into_owned() }
    }
}

/// All spellings of a secret.
pub(crate) struct Search(Vec<Needle>);

/// A place where a secret stands, and how it is spelled there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: String,
    pub(crate) spelling: &'static str,
}

impl Search {
    /// For a secret of at least [`PART_BYTES`] bytes.
    pub(crate) fn new(secret: &[u8]) -> Self {
        assert!(secret.len() >= PART_BYTES, "what is searched for must not be there by chance");
        let parts = secret.chunks_exact(PART_BYTES);
        Self(parts.flat_map(spellings).collect())
    }

    /// How the secret is spelled in these bytes, if it is.
    pub(crate) fn find(&self, place: &str, bytes: &[u8]) -> Vec<Found> {
        let is_in = |needle: &&Needle| needle.finder.find(bytes).is_some();
        let found = self.0.iter().filter(is_in);
        found.map(|needle| Found { place: place.to_owned(), spelling: needle.spelling }).collect()
    }

    /// The same for every file below a folder but these.
    pub(crate) fn find_below(&self, folder: &Path, but: &[&Path]) -> Vec<Found> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder can be listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(self.find_below(&path, but));
            } else if !but.contains(&path.as_path()) {
                found.extend(
                    self.find(&path.display().to_string(), &std::fs::read(&path).expect("the file can be read")),
                );
            }
        }
        found
    }
}

fn spellings(part: &[u8]) -> Vec<Needle> {
    let each = |write: fn(&u8) -> String, between: &str| part.iter().map(write).collect::<Vec<_>>().join(between);
    let mut needles = vec![
        Needle::new("raw", part),
        Needle::new("hex", each(|byte| format!("{byte:02x}"), "").as_bytes()),
        Needle::new("HEX", each(|byte| format!("{byte:02X}"), "").as_bytes()),
        Needle::new("numbers", each(u8::to_string, ",").as_bytes()),
        Needle::new("spaced numbers", each(u8::to_string, ", ").as_bytes()),
    ];
    // three bytes make four characters: what stands before the secret shifts it by 0, 1 or 2 bytes, and the characters that
    // it shares with its neighbours are left out
    for skipped in 0..3 {
        let whole = &part[skipped..];
        let whole = &whole[..whole.len() / 3 * 3];
        needles.push(Needle::new("base64", STANDARD_NO_PAD.encode(whole).as_bytes()));
        needles.push(Needle::new("base64url", URL_SAFE_NO_PAD.encode(whole).as_bytes()));
    }
    needles
}

#[test]
fn a_planted_secret_is_found_however_it_is_spelled() {
    let secret: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).expect("32 is small").wrapping_mul(0x5b) ^ 0xfb);
    let search = Search::new(&secret);
    let folder = super::harness::temporary();
    let standard = base64::engine::general_purpose::STANDARD;
    let hex = secret.map(|byte| format!("{byte:02x}")).concat();
    let mut table = vec![
        ("raw", secret.to_vec()),
        ("hex", hex.clone().into_bytes()),
        ("HEX", hex.to_uppercase().into_bytes()),
        ("spaced numbers", format!("{secret:?}").into_bytes()),
        ("numbers", serde_json::to_vec(&secret.to_vec()).expect("numbers have a JSON form")),
        ("half", secret[16..].to_vec()),
    ];
    for before in 0..3 {
        let shifted = [&vec![7; before][..], &secret, b"after"].concat();
        table.push(("base64", standard.encode(&shifted).into_bytes()));
        table.push(("base64url", URL_SAFE_NO_PAD.encode(&shifted).into_bytes()));
    }
    for (row, (spelling, planted)) in table.iter().enumerate() {
        let place = folder.path().join("deep").join(row.to_string());
        std::fs::create_dir_all(&place).expect("a folder can be made");
        let text = [b"before ", planted.as_slice(), b" after"].concat();
        std::fs::write(place.join("file"), &text).expect("a file can be written");
        let found = search.find_below(&place, &[]);
        let wanted = if *spelling == "half" { "raw" } else { spelling };
        assert!(found.iter().any(|found| found.spelling == wanted), "{spelling} in row {row}: {found:?}");
        assert!(search.find_below(&place, &[&place.join("file")]).is_empty());
    }
    assert!(search.find("elsewhere", b"nothing of the kind").is_empty());
}
