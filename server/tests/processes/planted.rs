//! A server whose key material is a known pattern, and a search for it in everything that it lets out: logs, metrics, audit
//! lines, errors, admin answers, files. The same for material that is imported, a plaintext and a token. The server runs in a process of its own, which
//! is this test binary once more, because the released binary has no such randomness.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use replication::ids::CheckValue;
use replication::machine::request::{Base64Bytes, WrappedMaterial};
use replication::raft::group::SnapshotLimits;
use server::crypto::danger_patterned_entropy::DangerPatternedEntropy;
use server::dev::{Chosen, DevOptions, Flags, run_with};

use super::google::{Google, Protocol};
use super::harness::{Dev, Process, asked, ekm, ekmctl, finish, temporary};
use super::imports::Importer;
use super::scene::admin;
use super::search::{Found, Search};

/// Set for the process that is to be the server, to its data directory.
const SERVE: &str = "EKM_TEST_SERVE_PLANTED";
/// The only thing that the server makes keys of.
const PATTERN: [u8; 32] = *b"\xd5\x1ek\xe9planted\xfakey\xffmaterial\x80\x9c~\xb1of\xf2\xa7";
/// What is imported.
const IMPORTED: [u8; 32] = *b"\x8e\xd3brought\xf1in\xc8from\xb6elsewhere\x93\xe4\x07\xaa\x81";
/// What is wrapped.
const PLAINTEXT: &[u8; 32] = b"planted plaintext \xc3\x91\xfe a customer";

/// The search, and where it has looked.
struct Outputs {
    searches: Vec<(&'static str, Search)>,
    found: Vec<(&'static str, Found)>,
}

impl Outputs {
    fn look(&mut self, place: &str, bytes: &[u8]) {
        for (secret, search) in &self.searches {
            self.found.extend(search.find(place, bytes).into_iter().map(|found| (*secret, found)));
        }
    }

    fn look_below(&mut self, folder: &Path, but: &[&Path]) {
        for (secret, search) in &self.searches {
            self.found.extend(search.find_below(folder, but).into_iter().map(|found| (*secret, found)));
        }
    }
}

/// What the process does that is started as the server.
#[allow(clippy::print_stdout, reason = "it is the server, whose greeting belongs there")]
fn serve(data_dir: PathBuf) {
    // everything but what the wire and the runtime say of themselves at every packet
    server::logging::start("debug").expect("the filter is legal");
    let options = DevOptions { data_dir, ready_file: None, flags: Flags { port: Some(0), ..Flags::default() } };
    let entropy = Arc::new(DangerPatternedEntropy { pattern: PATTERN });
    let chosen = Chosen { entropy, snapshots: SnapshotLimits::default() };
    run_with(options, chosen, &|text| println!("{text}")).expect("the server runs until it is told to end");
}

#[test]
fn planted_secrets_are_found_in_nothing_that_the_server_lets_out() {
    if let Some(folder) = asked(SERVE) {
        return serve(folder.into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be started");
    runtime.block_on(search_everything());
}

async fn search_everything() {
    let folder = temporary();
    let folder = folder.path().join("ekm-dev");
    let name = "planted::planted_secrets_are_found_in_nothing_that_the_server_lets_out";
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(SERVE, &folder);
    let dev = Dev::of(Process::start(&mut command), &folder).await;
    let token = token(&folder).await;
    let signature = URL_SAFE_NO_PAD.decode(token.rsplit_once('.').expect("a token has three parts").1).expect("base64");
    let claims = token.split('.').nth(1).expect("a token has three parts").to_owned();
    let mut outputs = Outputs {
        searches: vec![
            ("key material", Search::new(&PATTERN)),
            ("imported material", Search::new(&IMPORTED)),
            ("plaintext", Search::new(PLAINTEXT)),
            ("token's signature", Search::new(&signature)),
            ("token's claims", Search::new(claims.as_bytes())),
        ],
        found: Vec::new(),
    };
    let blobs = misuse(&dev, &token, &mut outputs).await;
    assert!(blobs > 0, "something was wrapped");
    operate(&dev, &mut outputs).await;
    import(&dev, &token, &mut outputs).await;
    outputs.look("metrics", dev.metrics().await.as_bytes());
    for path in ["livez", "readyz"] {
        let health = reqwest::get(format!("{}/{path}", dev.file.health_url)).await.expect("an answer");
        outputs.look(path, &health.bytes().await.expect("a body"));
    }
    dev.process.terminate();
    let ended = dev.process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.lines().count() > 50, "the log says much at this level: {}", ended.err);
    outputs.look("log", ended.err.as_bytes());
    outputs.look("greeting", ended.out.as_bytes());
    let root = std::fs::read(folder.join("root.key")).expect("the root key lies in its file");
    let shown = outputs.searches[0].1.find("the root key's own file", &root);
    assert!(!shown.is_empty(), "the root key is of the pattern, and its file is the one place that holds it");
    outputs.look_below(&folder, &[&folder.join("token"), &folder.join("root.key")]);
    assert_eq!(outputs.found, vec![], "{} places", outputs.found.len());
}

async fn token(folder: &Path) -> String {
    let ended = finish(ekm().args(["dev", "token", "--data-dir"]).arg(folder)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    ended.out.trim().to_owned()
}

/// Wraps and unwraps, rightly and in every wrong way, and looks at all answers but the plaintext that was asked for.
async fn misuse(dev: &Dev, token: &str, outputs: &mut Outputs) -> usize {
    let plaintext = STANDARD.encode(PLAINTEXT);
    let mut blobs = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let google = Google::new(dev, protocol).with_token(token);
        let key = &dev.file.key_path;
        let wrapped = google.settled_wrap(key, &plaintext).await.expect("an answer");
        assert_eq!(wrapped.status, 200, "{wrapped:?}");
        outputs.look("wrapped", wrapped.body.to_string().as_bytes());
        let blob = wrapped.text("wrappedBlob").to_owned();
        outputs.look("blob", &STANDARD.decode(&blob).expect("a blob is base64"));
        let unwrapped = google.settled_unwrap(key, &blob).await.expect("an answer");
        assert_eq!(unwrapped.text("plaintext"), plaintext, "the one place where it belongs");
        let damaged = format!("AAAA{}", &blob[4..]);
        let stranger = format!("{token}x");
        let refused = [
            google.settled_unwrap(key, &damaged).await,
            google.settled_unwrap(key, &plaintext).await,
            google.settled_unwrap(key, &format!("{plaintext}!")).await,
            google.settled_wrap(&format!("v0/keys/{}", "0".repeat(32)), &plaintext).await,
            google.settled(key, &plaintext, &serde_json::json!({"plaintext": plaintext})).await,
            google.settled(key, "wrap", &serde_json::json!([plaintext])).await,
            google.with_token(&stranger).settled_wrap(key, &plaintext).await,
            google.with_token("").settled_wrap(key, &plaintext).await,
        ];
        for answer in refused {
            let answer = answer.expect("an answer");
            assert!(answer.status >= 400, "{answer:?}");
            outputs.look("error", answer.body.to_string().as_bytes());
        }
        blobs.push(blob);
    }
    blobs.len()
}

/// What an operator sees, with keys of the pattern's material made on the way.
async fn operate(dev: &Dev, outputs: &mut Outputs) {
    let key = dev.file.key_path.as_str();
    for args in [
        &["tenant", "create", "acme"][..],
        &["tenant", "create", "acme"],
        &["cryptospace", "create", "space", "--tenant", "acme"],
        &["key", "create", "payroll", "--tenant", "acme", "--crypto-space", "space"],
        &["grant", "all", "--tenant", "acme", "--key", "payroll", "--caller", server::dev::CALLER],
        &["version", "disable", key, "--yes"],
        &["version", "disable", key, "--yes"],
        &["version", "enable", key],
        &["tenant", "list"],
        &["cryptospace", "list", "--tenant", "acme"],
        &["key", "list", "--tenant", "acme"],
        &["key", "list", "--tenant", "system"],
        &["status"],
    ] {
        for output in ["text", "json"] {
            let ended = ekmctl(&dev.folder, &[args, &["--output", output]].concat()).await;
            outputs.look("ekmctl", format!("{}{}", ended.out, ended.err).as_bytes());
        }
    }
}

/// Imports material, rightly and in every wrong way, and uses it.
async fn import(dev: &Dev, token: &str, outputs: &mut Outputs) {
    let admin = admin(dev);
    let tenant = "acme".parse().expect("a legal tenant name");
    let importer = Importer { admin: &admin, tenant, folder: &dev.folder };
    let material = importer.wrapped(&IMPORTED).await;
    let with = |wrapped: &[u8]| WrappedMaterial { wrapped: Base64Bytes(wrapped.to_vec()), ..material.clone() };
    let other = WrappedMaterial { check_value: Some(CheckValue::from_bytes([0; 3])), ..material.clone() };
    let bought = "bought".parse().expect("a legal key name");
    let mut path = None;
    for (operation, refused) in [
        (importer.key("bought", &material), None),
        (importer.version(&bought, &material), None),
        (importer.key("bought", &material), Some("key bought exists already")),
        (importer.key("other", &other), Some("the check value given is 000000")),
        (importer.key("other", &with(&material.wrapped.0[1..])), Some("the wrapped material has 383 bytes")),
        // the material itself, sent by mistake in the place of what was wrapped
        (importer.key("other", &with(&IMPORTED)), Some("the wrapped material has 32 bytes")),
        (importer.key("other", &with(&IMPORTED.repeat(12))), Some("the wrapped material does not open")),
    ] {
        match (importer.ask(operation).await, refused) {
            (Ok(answer), None) => {
                outputs.look("admin answer", &serde_json::to_vec(&answer).expect("an answer has a JSON form"));
                path = path.or(answer.path);
            }
            (Err(error), Some(words)) => {
                assert!(error.to_string().starts_with(words), "{error}");
                outputs.look("admin refusal", format!("{error} {error:?}").as_bytes());
            }
            (answered, _) => panic!("{answered:?}, and not {refused:?}"),
        }
    }
    for args in [
        &["grant", "all", "--tenant", "acme", "--key", "bought", "--caller", server::dev::CALLER][..],
        &["key", "list", "--tenant", "acme"],
    ] {
        let ended = ekmctl(&dev.folder, args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.err);
        outputs.look("ekmctl", format!("{}{}", ended.out, ended.err).as_bytes());
    }
    let (path, plaintext) = (path.expect("what was imported has a path"), STANDARD.encode(PLAINTEXT));
    let google = Google::new(dev, Protocol::Http2).with_token(token);
    let wrapped = google.settled_wrap(&path, &plaintext).await.expect("an answer");
    assert_eq!(wrapped.status, 200, "{wrapped:?}");
    outputs.look("wrapped", wrapped.body.to_string().as_bytes());
    let unwrapped = google.settled_unwrap(&path, wrapped.text("wrappedBlob")).await.expect("an answer");
    assert_eq!(unwrapped.text("plaintext"), plaintext, "the material that was imported is of use");
}
