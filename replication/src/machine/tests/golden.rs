//! Bytes that stand in logs: one golden file per command kind, and the digest they come to.
//!
//! A changed file is a changed format. `EKM_WRITE_GOLDEN=1 cargo test -p replication golden` writes them anew.

use std::path::PathBuf;

use crate::codec;
use crate::ids::{GroupId, KeyVersionId, Revision};
use crate::machine::request::Level;
use crate::testkit::Author;

use super::{Machine, SHARD, name, rule, tenant};

fn entries(author: &Author) -> Vec<(&'static str, GroupId, Vec<u8>)> {
    let acme = tenant("acme");
    let version = KeyVersionId::from_bytes([0xab; 16]);
    let space = name("space");
    let [adopt, advance] = author.disable(&acme, version, Revision(4));
    vec![
        ("genesis", SHARD, author.genesis(SHARD)),
        ("create_tenant", SHARD, author.create_tenant(&acme)),
        ("create_crypto_space", SHARD, author.create_crypto_space(&acme, &space)),
        ("create_key", SHARD, author.create_key(&acme, &name("k1"), Some(&space), version)),
        ("add_grant", SHARD, author.grant(&acme, Level::Key(name("k1")), rule("r1"))),
        ("adopt_plan", SHARD, {
            let _ = adopt;
            author.disable(&acme, version, Revision(4))[0].clone()
        }),
        ("advance_stage", SHARD, advance),
        ("step_version", SHARD, author.enable(&acme, version)),
        ("system_genesis", GroupId::SYSTEM, author.genesis(GroupId::SYSTEM)),
        ("place_tenant", GroupId::SYSTEM, author.place_tenant(&acme)),
        ("reserve_path", GroupId::SYSTEM, author.reserve_path(&acme, &name("k1"), [0xab; 16])),
    ]
}

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file)
}

#[expect(clippy::disallowed_methods, reason = "a person asks for new golden files through the environment")]
fn written_anew() -> bool {
    std::env::var_os("EKM_WRITE_GOLDEN").is_some()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    let lines: Vec<&str> =
        digits.as_bytes().chunks(100).map(|line| std::str::from_utf8(line).expect("hex is ASCII")).collect();
    lines.join("\n") + "\n"
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex is ASCII"), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("golden files hold hex")).collect()
}

#[test]
fn every_command_kind_encodes_as_it_always_did() {
    for (kind, _, entry) in entries(&Author::default()) {
        let path = golden(&format!("entry-1-{kind}.hex"));
        if written_anew() {
            std::fs::write(&path, hex(&entry)).expect("the golden folder is writable when files are written anew");
        }
        let text = std::fs::read_to_string(&path).expect("every kind has its golden file");
        assert_eq!(hex(&entry), text, "{kind}");
        let signed = codec::decode_entry(&unhex(&text)).expect("a golden entry decodes");
        let command = codec::decode_command(&signed.command).expect("a golden command decodes");
        assert_eq!(codec::encode_command(&command), signed.command, "{kind}");
    }
}

#[test]
fn the_golden_log_comes_to_the_golden_digest() {
    let mut text = String::new();
    for group in [GroupId::SYSTEM, SHARD] {
        let mut machine = Machine { author: Author::default(), state: super::State::empty(), index: 0 };
        for (kind, of, entry) in entries(&Author::default()) {
            if of == group {
                let outcome = machine.feed(&entry);
                text.push_str(&format!("{kind}: {outcome:?}\n"));
            }
        }
        text.push_str(&format!("digest: {}\n", machine.state.digest()));
    }
    let path = golden("log-1.trace");
    if written_anew() {
        std::fs::write(&path, &text).expect("the golden folder is writable when files are written anew");
    }
    assert_eq!(text, std::fs::read_to_string(path).expect("the trace is there"));
}
