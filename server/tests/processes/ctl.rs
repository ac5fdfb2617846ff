//! `ekmctl` and `ekm dev token` as an operator meets them: what they print, how they end, and what the server does then.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use replication::clock::{Clock as _, Timestamp};
use serde_json::{Value, json};
use server::authn::mint::{TokenIssuer, TokenRequest};
use server::clock::SystemClock;

use super::examples::{all_words, tree};
use super::google::{Google, Protocol};
use super::harness::{Dev, Ended, asked, ekm, ekmctl, ekmctl_json, finish, temporary};

/// Set to write the pinned texts anew instead of comparing them.
const REWRITE: &str = "EKM_REWRITE_HELP";
const CALLER: &str = "service-7@gcp-sa-ekms.iam.gserviceaccount.com";

/// What was printed, with what differs from run to run named instead: paths, revisions, times.
fn shape(text: &str) -> String {
    let word = |word: &str| -> String {
        let (before, value) = word.rsplit_once('=').map_or(("", word), |(name, value)| (&word[..=name.len()], value));
        let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = match value.rsplit_once('/') {
            Some((kind, id)) if is_hex(id) => format!("{kind}/ID"),
            _ if is_hex(value) => "ID".to_owned(),
            _ if before == "revision=" => "N".to_owned(),
            _ => value.to_owned(),
        };
        format!("{before}{value}")
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The same of JSON: every field by name, strings that are ids and numbers that grow replaced.
fn json_shape(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(json_shape),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "index" | "revision" | "applied" | "created_at" if value.is_u64() => *value = "N".into(),
                    "age_seconds" if value.is_number() => *value = "N".into(),
                    "digest" | "lineage" if value.is_string() => *value = "ID".into(),
                    _ => json_shape(value),
                }
            }
        }
        Value::String(text) => *text = shape(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The counts of versions by state, as a status prints them.
fn versions(enabled: u32, disabled: u32) -> Value {
    json!({"pending": 0, "enabled": enabled, "disabled": disabled, "destroy_scheduled": 0, "destroyed": 0})
}

/// The path that a change printed.
fn path_of(ended: &Ended) -> String {
    let path = ended.out.split(' ').find_map(|word| word.strip_prefix("path="));
    path.unwrap_or_else(|| panic!("a path in {:?} {:?}", ended.out, ended.err)).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_text_for_people_and_json_for_programs() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let own = ekmctl(&dev.folder, &["key", "create", "spare", "--tenant", "demo"]).await;
    let version = path_of(&own);
    let grant = ["grant", "kms", "--tenant", "acme", "--key", "payroll", "--caller", CALLER];
    let narrow = [
        "grant",
        "narrow",
        "--tenant",
        "acme",
        "--key",
        "payroll",
        "--caller",
        CALLER,
        "--operations",
        "unwrap",
        "--justifications",
        "1,5",
        "--allow-missing",
        "--project",
        "p",
        "--location",
        "l",
        "--key-ring",
        "r",
        "--crypto-key",
        "k",
    ];
    let table: &[(&[&str], &str)] = &[
        (&["cryptospace", "list", "--tenant", "demo"], "demo-space  v0/cryptospaces/ID"),
        (&["tenant", "create", "acme", "--staleness", "strict"], "ok shard=1 revision=N usable-on=dev-1"),
        (&["tenant", "list"], "acme  shard=1 revision=N staleness=strict\ndemo  shard=1 revision=N staleness=balanced"),
        (&["shard", "add", "2"], "ok shard=2 usable-on=dev-1"),
        (&["shard", "list"], "shard 1  serves  tenants=2\nshard 2  serves  tenants=0"),
        (&["cryptospace", "list", "--tenant", "acme"], "(none)"),
        (
            &["cryptospace", "create", "vault", "--tenant", "acme"],
            "ok revision=N path=v0/cryptospaces/ID usable-on=dev-1",
        ),
        (
            &["key", "create", "payroll", "--tenant", "acme", "--crypto-space", "vault"],
            "ok revision=N path=v0/keys/ID state=enabled usable-on=dev-1",
        ),
        (&grant, "ok revision=N usable-on=dev-1"),
        (&narrow, "ok revision=N usable-on=dev-1"),
        (&["key", "list", "--tenant", "acme"], "payroll  crypto space vault\n  1  v0/keys/ID  enabled"),
        (&["version", "disable", &version, "--yes"], "ok revision=N state=disabled usable-on=dev-1"),
        (&["version", "enable", &version], "ok revision=N state=enabled usable-on=dev-1"),
    ];
    for (args, text) in table {
        let ended = ekmctl(&dev.folder, args).await;
        assert_eq!((ended.code, shape(&ended.out).as_str(), ended.err.as_str()), (Some(0), *text, ""), "{args:?}");
    }
    let status = ekmctl(&dev.folder, &["status"]).await;
    let words: Vec<&str> = status.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(
        words,
        ["version", "cluster", "frontend", "group", "group", "group", "tenants", "versions"],
        "{}",
        status.out
    );
    assert!(
        status.out.contains("(dev, for trying out only)") && status.out.contains("frontend  ready"),
        "{}",
        status.out
    );
    assert_json(&dev, &version).await;
    dev.stop().await;
}

async fn assert_json(dev: &Dev, version: &str) {
    let changed = |more: Value| {
        let mut answer =
            json!({"repeated": false, "index": "N", "revision": "N", "usable_on": ["dev-1"], "not_yet_on": []});
        let fields = answer.as_object_mut().expect("an answer is an object");
        fields.extend(more.as_object().expect("fields").clone());
        answer
    };
    let group =
        |number: u16| json!({"group": number, "applied": "N", "halted": null, "digest": "ID", "age_seconds": "N"});
    let table: &[(&[&str], Value)] = &[
        // the shard without a tenant is the emptiest
        (&["tenant", "create", "globex"], changed(json!({"shard": 2}))),
        (&["cryptospace", "create", "s", "--tenant", "globex"], changed(json!({"path": "v0/cryptospaces/ID"}))),
        (&["key", "create", "k", "--tenant", "globex"], changed(json!({"path": "v0/keys/ID", "state": "enabled"}))),
        (&["grant", "g", "--tenant", "globex", "--key", "k", "--caller", CALLER], changed(json!({}))),
        (&["version", "disable", version, "--yes"], changed(json!({"state": "disabled"}))),
        (&["version", "enable", version], changed(json!({"state": "enabled"}))),
        (
            &["cryptospace", "list", "--tenant", "globex"],
            json!([{"name": "s", "path": "v0/cryptospaces/ID", "policy": null, "quota": null, "created_at": "N"}]),
        ),
        (
            &["key", "list", "--tenant", "globex"],
            json!([{
                "name": "k", "crypto_space": null, "quota": null, "purpose": "encrypt_decrypt", "primary": 1, "created_at": "N",
                "policy": {"denies": [], "grants": [{
                    "name": "g", "callers": [CALLER], "resources": [], "operations": ["wrap", "unwrap"], "justifications": null,
                }]},
                "versions": [{
                    "number": 1, "path": "v0/keys/ID", "state": "enabled", "algorithm": "aes256_gcm_siv", "origin": "generated",
                    "created_at": "N",
                }],
            }]),
        ),
    ];
    for (args, expected) in table {
        let mut printed = ekmctl_json(&dev.folder, args).await;
        json_shape(&mut printed);
        assert_eq!(&printed, expected, "{args:?}");
    }
    let mut status = ekmctl_json(&dev.folder, &["status"]).await;
    json_shape(&mut status);
    assert_eq!((&status["groups"], &status["key_versions"]), (&json!([group(0), group(1), group(2)]), &versions(4, 0)));
    assert_eq!((&status["tenants"], &status["dev"], &status["ready"]), (&json!(3), &json!(true), &json!(true)));
    let tenants = ekmctl_json(&dev.folder, &["tenant", "list"]).await;
    let names: Vec<&Value> = tenants.as_array().expect("a list").iter().map(|tenant| &tenant["tenant"]).collect();
    assert_eq!(names, ["acme", "demo", "globex"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_with_an_exit_status() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let (key, unknown) = (dev.file.key_path.as_str(), format!("v0/keys/{}", "0".repeat(32)));
    let before = ekmctl_json(&dev.folder, &["status"]).await;
    let nobodys = "00000000000000000000000000000009";
    let table: &[(&[&str], i32, &str)] = &[
        (&["key", "list", "--tenant", "nobody"], 1, "nobody"),
        (&["key", "create", "k", "--tenant", "nobody"], 1, "nobody"),
        (&["tenant", "create", "demo"], 1, "demo"),
        (&["tenant", "create", "system"], 1, "system"),
        (&["cryptospace", "create", "demo-space", "--tenant", "demo"], 1, "demo-space"),
        (&["key", "create", "demo-key", "--tenant", "demo"], 1, "demo-key"),
        (&["key", "create", "k", "--tenant", "demo", "--crypto-space", "none"], 1, "none"),
        (&["grant", "demo-caller", "--tenant", "demo", "--key", "demo-key", "--caller", CALLER], 1, "demo-caller"),
        (&["grant", "g", "--tenant", "demo", "--key", "none", "--caller", CALLER], 1, "none"),
        (&["version", "enable", key], 1, "enabled"),
        (&["version", "disable", &unknown, "--yes"], 1, &unknown),
        (&["version", "disable", "v0/keys/short"], 64, "32 hexadecimal digits"),
        (&["tenant", "create", "UPPER"], 64, "UPPER"),
        (&["tenant", "create"], 64, "NAME"),
        (&["grant", "g", "--tenant", "demo", "--caller", "no-email"], 64, "no-email"),
        (&["grant", "g", "--tenant", "demo"], 64, "--caller"),
        (&["deny", "key", "demo-key", "--tenant", "demo", "--for", "1h", "--yes"], 1, "takes a security officer"),
        (&["--as", "dev-officer-1", "deny", "list", "--tenant", "nobody"], 1, "nobody"),
        (&["--as", "dev-officer-1", "deny", "lift", nobodys, "--tenant", "demo"], 1, "--not-listed"),
        (&["deny", "key", "demo-key", "--tenant", "demo", "--for", "119s"], 64, "two minutes to 31 days"),
        (&["deny", "caller", "probe", "--tenant", "demo", "--for", "1h"], 64, "probe"),
        (&["deny", "lift", "short", "--tenant", "demo"], 64, "32 lower-case hexadecimal digits"),
        (&["explode"], 64, "explode"),
        (&["status", "--output", "xml"], 64, "xml"),
        (&["status", "--url", "https://localhost:1"], 64, "--url"),
        (&["tenant", "list", "--idempotency-id", "zz"], 64, "zz"),
    ];
    for (args, code, said) in table {
        let ended = ekmctl(&dev.folder, args).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(*code), ""), "{args:?}: {}", ended.err);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(said), "{args:?}: {}", ended.err);
        assert!(!ended.err.contains("panicked"), "{args:?}: {}", ended.err);
    }
    let told = ekmctl(&dev.folder, &["key", "list", "--tenant", "nobody", "--output", "json"]).await;
    let error: Value = serde_json::from_str(&told.err).expect("an error is JSON where answers are");
    assert_eq!((told.code, &error["error"]["exit_status"]), (Some(1), &json!(1)));
    assert!(error["error"]["message"].as_str().is_some_and(|message| message.contains("nobody")), "{error}");
    assert_eq!(ekmctl(&dev.folder, &["version", "disable", key, "--yes"]).await.code, Some(0));
    let again = ekmctl(&dev.folder, &["version", "disable", key, "--yes"]).await;
    assert_eq!(again.code, Some(1), "{}", again.err);
    assert!(again.err.contains("disabled"), "{}", again.err);
    let after = ekmctl_json(&dev.folder, &["status"]).await;
    assert_eq!(after["tenants"], before["tenants"]);
    assert_eq!((&before["key_versions"], &after["key_versions"]), (&versions(1, 0), &versions(0, 1)));
    dev.stop().await;

    let nobody = ekmctl(folder.path(), &["status"]).await;
    assert_eq!(nobody.code, Some(69), "{}", nobody.err);
    assert!(nobody.err.contains("does not answer"), "{}", nobody.err);
    let elsewhere = ekmctl(&folder.path().join("none"), &["status"]).await;
    assert_eq!(elsewhere.code, Some(74), "{}", elsewhere.err);
    let nowhere = finish(Command::new(env!("CARGO_BIN_EXE_ekmctl")).arg("status")).await;
    assert_eq!(nowhere.code, Some(64), "{}", nowhere.err);
    assert!(nowhere.err.contains("say which cluster"), "{}", nowhere.err);
}

/// `ekmctl` with the four parts given by themselves.
async fn ekmctl_as(dev: &Dev, owner: &Dev, args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
    command.arg("--url").arg(&dev.file.admin_url).arg("--ca").arg(&dev.file.ca_file);
    command.arg("--cert").arg(&owner.file.operator_cert_file).arg("--cert-key").arg(&owner.file.operator_key_file);
    finish(command.args(args)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_enrolled_operator_gets_an_answer() {
    let (ours, theirs) = (temporary(), temporary());
    let (ours, theirs) = (Dev::start(ours.path()).await, Dev::start(theirs.path()).await);
    assert_eq!(ekmctl_as(&ours, &ours, &["status"]).await.code, Some(0), "the four parts are as good as --dev");
    let stranger = ekmctl_as(&ours, &theirs, &["tenant", "create", "mine"]).await;
    assert_eq!(stranger.code, Some(69), "{}", stranger.err);
    let mut mixed = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
    mixed.arg("--url").arg(&ours.file.admin_url).arg("--ca").arg(&theirs.file.ca_file);
    mixed.arg("--cert").arg(&ours.file.operator_cert_file).arg("--cert-key").arg(&ours.file.operator_key_file);
    assert_eq!(finish(mixed.arg("status")).await.code, Some(69), "a server of another authority is not believed");
    let without = super::socket::client(&ours).get(format!("{}/admin/v1/status", ours.file.admin_url)).send().await;
    assert!(without.is_err(), "no certificate, no answer");
    let tenants = ekmctl_json(&ours.folder, &["status"]).await["tenants"].clone();
    assert_eq!(tenants, 1, "nothing was made");
    ours.stop().await;
    theirs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_under_an_id_is_answered_as_done_before() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let id = ["--idempotency-id", "000102030405060708090a0b0c0d0e0f"];
    let create = [&["key", "create", "k", "--tenant", "demo"][..], &id].concat();
    let first = ekmctl_json(&dev.folder, &create).await;
    let again = ekmctl_json(&dev.folder, &create).await;
    assert_eq!((&first["repeated"], &again["repeated"]), (&false.into(), &true.into()));
    assert_eq!(first["path"], again["path"]);
    assert!(ekmctl(&dev.folder, &create).await.out.starts_with("ok (done before) "));
    let other = ekmctl(&dev.folder, &[&["key", "create", "other", "--tenant", "demo"][..], &id].concat()).await;
    assert_eq!(other.code, Some(1), "an id stands for one request: {}", other.err);
    let keys = ekmctl_json(&dev.folder, &["key", "list", "--tenant", "demo"]).await;
    assert_eq!(keys.as_array().map(Vec::len), Some(2), "{keys}");
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_version_refuses_and_says_what_to_do_until_it_is_enabled() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let (google, key) = (Google::new(&dev, Protocol::Http2), dev.file.key_path.clone());
    let blob = google.settled_wrap(&key, "c2VjcmV0").await.expect("an answer").text("wrappedBlob").to_owned();
    assert_eq!(ekmctl(&dev.folder, &["version", "disable", &key, "--yes"]).await.code, Some(0));
    for refused in [google.settled_wrap(&key, "").await, google.settled_unwrap(&key, &blob).await] {
        let refused = refused.expect("an answer");
        assert_eq!((refused.status, &refused.body["code"]), (400, &9.into()));
        let said = refused.text("message");
        assert!(said.contains(&key) && said.contains("is disabled") && said.contains("Enable it"), "{said}");
    }
    dev.stop().await;
    let dev = Dev::start(folder.path()).await;
    let google = Google::new(&dev, Protocol::Http1);
    assert_eq!(google.settled_wrap(&key, "").await.expect("an answer").status, 400, "it stays disabled over a restart");
    assert!(dev.printed_calls().is_empty(), "no calls are printed that do not work");
    assert_eq!(ekmctl(&dev.folder, &["version", "enable", &key]).await.code, Some(0));
    assert_eq!(google.settled_unwrap(&key, &blob).await.expect("an answer").text("plaintext"), "c2VjcmV0");
    dev.stop().await;
}

async fn token(folder: &Path, args: &[&str]) -> String {
    let ended = finish(ekm().args(["dev", "token", "--data-dir"]).arg(folder).args(args)).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.err);
    ended.out.trim().to_owned()
}

/// A token that was good for a minute, a day ago.
fn expired_token(dev: &Dev) -> String {
    let pem = std::fs::read(&dev.file.issuer_key_file).expect("the issuer's key is there");
    let request = TokenRequest {
        email: server::dev::CALLER.parse().expect("the demo caller is an e-mail address"),
        audience: dev.file.audience.clone(),
        issued_at: Timestamp(SystemClock.wall().0 - 24 * 60 * 60 * 1000),
        ttl: Duration::from_mins(1),
    };
    TokenIssuer::load(&pem).expect("the issuer's key can be used").mint(&request)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_prove_their_caller_and_nothing_more() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let (google, key) = (Google::new(&dev, Protocol::Http2), dev.file.key_path.clone());
    let table: &[(&[&str], u16, i32, &str)] = &[
        (&[], 200, 0, ""),
        (&["--ttl", "60"], 200, 0, ""),
        (&["--email", CALLER], 403, 7, "No grant allows service-7@gcp-sa-ekms.iam.gserviceaccount.com this operation"),
        (&["--ttl", "0"], 401, 16, "the token's times contradict each other"),
        (&["--ttl", "86400"], 401, 16, "not authenticated"),
        (&["--audience", "https://localhost:8443"], 401, 16, "not authenticated"),
        (&["--audience", "https://localhost/"], 401, 16, "not authenticated"),
    ];
    for (args, status, rpc, said) in table {
        let answer =
            google.with_token(&token(&dev.folder, args).await).settled_wrap(&key, "").await.expect("an answer");
        assert_eq!(answer.status, *status, "{args:?}: {answer:?}");
        if *status != 200 {
            assert_eq!(answer.body["code"], *rpc, "{args:?}");
            assert!(answer.text("message").contains(said), "{args:?}: {answer:?}");
        }
    }
    let expired = google.with_token(&expired_token(&dev)).settled_wrap(&key, "").await.expect("an answer");
    assert_eq!((expired.status, &expired.body["code"]), (401, &16.into()));
    assert!(expired.text("message").contains("the token has expired"), "{expired:?}");
    // a grant makes the difference, at once
    let granted =
        ["grant", "seven", "--tenant", "demo", "--key", "demo-key", "--caller", CALLER, "--operations", "wrap"];
    assert_eq!(ekmctl(&dev.folder, &granted).await.code, Some(0));
    let seven = google.with_token(&token(&dev.folder, &["--email", CALLER]).await);
    let blob = seven.settled_wrap(&key, "").await.expect("an answer").text("wrappedBlob").to_owned();
    assert_eq!(
        seven.settled_unwrap(&key, &blob).await.expect("an answer").status,
        403,
        "wrap was granted, unwrap was not"
    );
    dev.stop().await;
    token(folder.path(), &[]).await;
    let nowhere = finish(ekm().args(["dev", "token", "--data-dir"]).arg(folder.path().join("none"))).await;
    assert_eq!(nowhere.code, Some(64), "{}", nowhere.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_reads_as_pinned() {
    let (ekm, ctl) = (env!("CARGO_BIN_EXE_ekm"), env!("CARGO_BIN_EXE_ekmctl"));
    let mut commands: Vec<(&str, String)> = ["", "dev", "dev token", "frontend", "keystore", "check"]
        .into_iter()
        .map(|words| (ekm, words.to_owned()))
        .collect();
    commands.extend(all_words(&tree()).into_iter().map(|words| (ctl, words)));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/processes/help");
    let mut pinned = Vec::new();
    for (program, words) in &commands {
        let ended = finish(Command::new(program).args(words.split_whitespace()).arg("--help")).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{program} {words}");
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).expect("a program has a name");
        let file = folder.join(format!("{}.txt", format!("{name} {words}").trim().replace(' ', "-")));
        let lines: Vec<&str> = ended.out.lines().map(str::trim_end).collect();
        let text = lines.join("\n") + "\n";
        if asked(REWRITE).is_some() {
            std::fs::write(&file, &text).expect("the pinned texts can be written");
        }
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, known, "{} (set {REWRITE}=1 to pin it anew)", file.display());
        pinned.push(file);
    }
    let files = std::fs::read_dir(&folder).expect("the pinned texts are there").flatten().map(|entry| entry.path());
    assert_eq!(files.filter(|file| !pinned.contains(file)).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}
