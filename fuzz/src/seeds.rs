//! The seeds of every target, made from the entries of the test author, the golden files, the samples and plain calls.
//!
//! Made and not only kept, so that a test finds seeds that a change of a format has left behind. The committed token is signed
//! with a key whose private half was thrown away: it must never be written.

use replication::ids::{GroupId, LogIndex};
use replication::machine::state::State;
use replication::store::record;
use replication::store::testkit::{encode_snapshot, seal_log};

use crate::parts::join;
use crate::tokens::{AUDIENCE, GOOD, ISSUER, good_claims};
use crate::world::{WORLD, commands};

const GOLDEN_BLOBS: &str = include_str!("../../server/src/crypto/golden/blob-1.txt");
/// Of one import.
pub(crate) const GOLDEN_IMPORT: &str = include_str!("../../server/src/crypto/golden/import-1.txt");
const SETTINGS_FULL: &str = include_str!("../../deploy/settings/full.toml");
const SETTINGS_MINIMAL: &str = include_str!("../../deploy/settings/minimal.toml");
const SETTINGS_OF_A_CLUSTER: [&str; 3] = [
    include_str!("../../deploy/settings/keystore.toml"),
    include_str!("../../deploy/settings/witness.toml"),
    include_str!("../../deploy/settings/frontend.toml"),
];

/// Each target's name and its seeds.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("blob", blobs()),
        ("body", bodies()),
        ("chain", chains()),
        ("claims", claims()),
        ("command", command_seeds()),
        ("entry", entries()),
        ("import", imports()),
        ("path", paths()),
        ("record", vec![record::seal(b""), record::seal(b"body"), b"body".to_vec(), vec![record::FORMAT, 0, 0, 0, 0]]),
        ("request", requests()),
        ("rows", states().map(rows).collect()),
        ("settings", settings()),
        ("snapshot", snapshots()),
        ("token", tokens()),
    ]
}

/// The name of a seed's file in the folder of its target.
pub fn file_name(number: usize) -> String {
    format!("{number:02}")
}

fn after(first: &[u8], rest: impl AsRef<[u8]>) -> Vec<u8> {
    [first, rest.as_ref()].concat()
}

/// The bytes of a line of a golden file.
pub(crate) fn golden(file: &str, name: &str) -> Vec<u8> {
    let line = file.lines().find_map(|line| line.strip_prefix(name)).expect("the golden file has this line");
    let digits = line.trim_start().strip_prefix("hex:").expect("the line holds bytes").as_bytes();
    let digit = |at: usize| char::from(digits[at]).to_digit(16).expect("hexadecimal");
    (0..digits.len() / 2)
        .map(|at| u8::try_from(digit(2 * at) * 16 + digit(2 * at + 1)).expect("two digits are a byte"))
        .collect()
}

fn blobs() -> Vec<Vec<u8>> {
    let (blob, canary, data) =
        (golden(GOLDEN_BLOBS, "blob "), golden(GOLDEN_BLOBS, "canary "), golden(GOLDEN_BLOBS, "associated_data "));
    let seed = |data: &[u8], blob: &[u8]| after(&[3], after(&join([data]), blob));
    vec![seed(&data, &blob), seed(b"", &canary), seed(b"", &blob[..78]), seed(&data, &blob[..77]), seed(&data, b"\x02")]
}

/// What may be sent as wrapped material, or be read as material, or as the key to wrap it to.
fn imports() -> Vec<Vec<u8>> {
    let [wrapped, material, public_key, private_key] =
        ["wrapped ", "material ", "public_key ", "private_key "].map(|name| golden(GOLDEN_IMPORT, name));
    let digits = material.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
    let cut = wrapped[..383].to_vec();
    vec![wrapped, cut, vec![0; 384], public_key, private_key, material, (digits + "\r\n").into_bytes()]
}

fn tokens() -> Vec<Vec<u8>> {
    let good = GOOD.trim_end();
    let unsigned = good.rsplit_once('.').map_or("", |(signed, _)| signed);
    [
        format!("Bearer {good}"),
        format!("bearer   {good}"),
        format!("Bearer {unsigned}."),
        format!("Bearer {unsigned}.AAAA"),
        format!("Bearer {}", good.replacen('.', "..", 1)),
        "Bearer eyJhbGciOiJub25lIn0.e30.AAAA".to_owned(),
        "Basic dXNlcjpwYXNz".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

fn claims() -> Vec<Vec<u8>> {
    let good = good_claims();
    [
        good.clone(),
        good.replace("true", "false"),
        good.replace("\"sub\":\"1\"", "\"nbf\":1799999400"),
        good.replace("1799999400", "1900000000"),
        good.replace(ISSUER, "https://issuer.example.com"),
        good.replace(&format!("\"{AUDIENCE}\""), &format!("[\"{AUDIENCE}\"]")),
        good.replace("sub", "exp"),
        "[]".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

fn bodies() -> Vec<Vec<u8>> {
    [
        r#"{"plaintext":"a2V5","additionalAuthenticatedData":"YWFk"}"#,
        r#"{"wrappedBlob":"AQGgoaKj","additional_authenticated_data":"_-8"}"#,
        r#"{"plaintext":"","additionalContext":{"relativeResourceName":"projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1","accessReasonContext":{"reason":"CUSTOMER_INITIATED_ACCESS"},"isKeyHealthCheck":true}}"#,
        r#"{"wrapped_blob":"AA==","additional_context":{"accessReasonContext":{"reason":3}},"more":[{"x":null},1e9,"\u00e4"]}"#,
        r#"{"plaintext":"a2V5","plaintext":"a2V5"}"#,
        r#"{"plaintext":null,"additionalContext":null}"#,
        r#"{"plaintext":7}"#,
        "{}",
        " ",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn paths() -> Vec<Vec<u8>> {
    const KEY: &str = "/v0/keys/abababababababababababababababab";
    [
        (0, format!("{KEY}:wrap")),
        (0, format!("{KEY}%3Aunwrap")),
        (0, format!("/v0/../{}%3awrap", &KEY[4..])),
        (0, "/v0/cryptospaces/abababababababababababababababab:createKey".to_owned()),
        (0, format!("{KEY}:asymmetricSign")),
        (1, "/v0/info".to_owned()),
        (1, "/odd:info".to_owned()),
        (2, format!("{KEY}:wrap")),
        (0, KEY.to_owned()),
        (0, "//:wrap".to_owned()),
    ]
    .map(|(method, path)| after(&[method], path))
    .into()
}

/// Each entry where it is the next one, and the last of them where it is not.
fn entries() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut known = WORLD.entries.iter();
    for (choice, pair) in (0_u8..).zip(WORLD.places.windows(2)) {
        if pair[0].group == pair[1].group {
            seeds.push(after(&[choice], known.next().expect("an entry leads from place to place")));
        }
    }
    seeds.push(after(&[2], &WORLD.entries[WORLD.entries.len() - 1]));
    seeds
}

fn command_seeds() -> Vec<Vec<u8>> {
    let all: Vec<Vec<u8>> = commands(&WORLD).collect();
    let mut seeds: Vec<Vec<u8>> = (0_u8..).zip(&all).map(|(at, one)| after(&[at, 0], join([one]))).collect();
    seeds.push(after(&[1, 0], join(&all[1..6])));
    seeds.push(after(&[1, 0xff], join(&all[1..6])));
    seeds.push(after(&[5, 0], join(&all[5..8])));
    seeds
}

fn requests() -> Vec<Vec<u8>> {
    let decoded = commands(&WORLD)
        .map(|bytes| replication::codec::decode_command(&bytes).expect("the author writes decodable commands"));
    decoded.filter_map(|command| command.request.map(|request| request.bytes)).collect()
}

fn states() -> impl Iterator<Item = &'static State> {
    WORLD.places.iter().map(|place| &place.state)
}

fn rows(state: &State) -> Vec<u8> {
    join(state.rows().flat_map(|(key, value)| [key, value]))
}

/// Whole logs, to be changed, and sealed ones, to be opened; what a log of 1 holds and one of 3.
fn chains() -> Vec<Vec<u8>> {
    let whole = |entries: &[Vec<u8>]| after(&[1, 3], join(entries));
    let sealed = |entries: &[Vec<u8>]| {
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        after(&[1, 3], join(seal_log(GroupId(1), LogIndex(1), &entries)))
    };
    let known = &WORLD.entries;
    let none: &[Vec<u8>] = &[];
    let same: &[Vec<u8>] = &[b"same".to_vec(), b"same".to_vec()];
    [none, same, &known[..1], &known[1..4]].into_iter().flat_map(|entries| [whole(entries), sealed(entries)]).collect()
}

fn settings() -> Vec<Vec<u8>> {
    let broken = "dev = true\ndata.port = \n[admin\nport = 0\n[health]\nport = 0\ncolour = 1";
    let others =
        "[data]\nport = 1\nkey_set = { url = \"https://a.example/jwks\", spool = \"a.spool\" }\nbody_time_max = \"2s\"";
    let stamped = format!("dev = true\n{others}");
    let texts = [SETTINGS_FULL, SETTINGS_MINIMAL, broken, others, &stamped].into_iter().chain(SETTINGS_OF_A_CLUSTER);
    texts.map(|text| text.as_bytes().to_vec()).collect()
}

/// Whole files; files whose checksums the target puts right; and two that only those checksums keep out: one whose head is longer
/// than what it says, and one whose rows stand in another order.
fn snapshots() -> Vec<Vec<u8>> {
    let file = |state| encode_snapshot(state, b"position").expect("the rows of this world are short");
    let whole = states().map(|state| after(&[0], file(state)));
    let unsummed = states().map(|state| {
        let file = file(state);
        after(&[1], &file[..file.len() - 4])
    });
    let last = file(&WORLD.places[WORLD.places.len() - 1].state);
    let (mut fields, end) = fields(&last);
    let mut longer = fields.clone();
    longer[0].push(0);
    let rows = fields.len() - 4;
    fields.swap(rows, rows + 2);
    fields.swap(rows + 1, rows + 3);
    let doubtful = [longer, fields].map(|fields| after(&[1], after(&lengths_and(&fields), end)));
    whole.chain(unsummed).chain(doubtful).collect()
}

/// The fields of a snapshot's file without their lengths, and the mark that ends it.
fn fields(mut file: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let mut fields = Vec::new();
    loop {
        let (length, rest) = file.split_first_chunk::<4>().expect("a file has an end mark");
        if *length == [0xff; 4] {
            return (fields, length);
        }
        let length = usize::try_from(u32::from_le_bytes(*length)).expect("rows are short");
        fields.push(rest[..length].to_vec());
        file = &rest[length..];
    }
}

fn lengths_and(fields: &[Vec<u8>]) -> Vec<u8> {
    let field = |field: &Vec<u8>| {
        let length = u32::try_from(field.len()).expect("rows are short");
        after(&length.to_le_bytes(), field)
    };
    fields.iter().flat_map(field).collect()
}
