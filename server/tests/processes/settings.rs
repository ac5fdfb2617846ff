//! Settings of the real binaries: `ekm check`, the file that `ekm dev` makes, and starts that it refuses.

use std::path::Path;

use super::google::{Google, Protocol};
use super::harness::{Dev, Ended, ekm, finish, soon, temporary};
use super::socket;

const SETTINGS_FILE: &str = server::dev::settings::SETTINGS_FILE;

async fn check(args: &[&str], file: &Path) -> Ended {
    finish(ekm().arg("check").args(args).arg(file)).await
}

#[tokio::test]
async fn a_check_says_what_a_file_is_or_all_that_is_wrong_with_it() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/settings");
    let folder = temporary();
    let wrong = folder.path().join("wrong.toml");
    let text = "[data]\nport = 0\ncolour = 1\nport = 2\n[data.limits]\nheader_bytes_max = 12\nage_max = 5\n";
    std::fs::write(&wrong, text).expect("the folder is writable");
    let all = "\
error: FILE has 6 mistakes
  line 4, column 1: this is not TOML: duplicate key
  dev: `dev = true` is missing: files of `ekm dev` are stamped so
  data.port: 0 is below 1
  data.limits.header_bytes_max: 12 is below 8192
  data.limits.age_max: a time such as \"500ms\" is expected, not a whole number
  data.colour: no such field
";
    let stamped = "\
error: FILE has 1 mistake
  dev: the file is stamped `dev = true`: `ekm dev` alone uses it, and only `ekm check --dev` takes it
";
    let missing = "error: cannot read the settings file FILE\n  caused by: No such file or directory (os error 2)\n";
    let ok = "ok: settings of ekm dev";
    let (full, minimal) = (samples.join("full.toml"), samples.join("minimal.toml"));
    let (gone, here) = (folder.path().join("gone.toml"), folder.path().to_owned());
    let unclear = "\
error: nobody can tell what FILE is for: settings of a key store have the table peers, those of a frontend the table data and not \
peers, and those of `ekm dev` begin with dev = true
";
    let both = folder.path().join("both.toml");
    std::fs::write(&both, "[data]\n[admin]\n").expect("the folder is writable");
    let sample = |name: &str| samples.join(name);
    let (key_store, witness, frontend) = (sample("keystore.toml"), sample("witness.toml"), sample("frontend.toml"));
    let (key_store_full, frontend_full) = (sample("keystore-full.toml"), sample("frontend-full.toml"));
    let table: [(&[&str], &Path, i32, &str, &str); 13] = [
        (&[], &key_store, 0, "ok: settings of a key store", ""),
        (&[], &key_store_full, 0, "ok: settings of a key store", ""),
        (&[], &witness, 0, "ok: settings of a witness", ""),
        (&[], &frontend, 0, "ok: settings of a frontend", ""),
        (&[], &frontend_full, 0, "ok: settings of a frontend", ""),
        (&[], &both, 64, "", unclear),
        (&["--dev"], &full, 0, ok, ""),
        (&["--dev"], &minimal, 0, ok, ""),
        (&[], &full, 64, "", stamped),
        (&[], &minimal, 64, "", stamped),
        (&["--dev"], &wrong, 64, "", all),
        (&["--dev"], &gone, 64, "", missing),
        (&["--dev"], &here, 64, "", "error: FILE is no file\n"),
    ];
    for (args, file, code, out, err) in table {
        let ended = check(args, file).await;
        let told = ended.err.replace(&file.display().to_string(), "FILE");
        assert_eq!((ended.code, ended.out.trim_end(), told.as_str()), (Some(code), out, err), "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_the_settings_file_and_later_ones_only_read_it() {
    let folder = temporary();
    let file = folder.path().join(SETTINGS_FILE);
    let dev = Dev::start_with(folder.path(), &["--port", "0", "--info-path", "/hello"]).await;
    let first = dev.file.clone();
    dev.stop().await;
    let made = std::fs::read_to_string(&file).expect("the first start made it");
    assert_eq!(check(&["--dev"], &file).await.out, "ok: settings of ekm dev");
    assert!(made.contains("info_paths = [\"/hello\"]") && made.contains("error_body = \"status\""), "{made}");
    let edited = made.replace("audit/audit.jsonl", "elsewhere/decisions.jsonl");
    std::fs::write(&file, &edited).expect("the folder is writable");

    let dev = Dev::start_with(folder.path(), &["--error-body", "envelope"]).await;
    let ports = |file: &server::dev::DevFile| [file.data_url.clone(), file.admin_url.clone(), file.health_url.clone()];
    assert_eq!(ports(&dev.file), ports(&first), "the ports are those of the first start");
    let answer = Google::new(&dev, Protocol::Http2).wrap("v0/keys/none", "").await.expect("an answer");
    assert_eq!(answer.body["error"]["code"], 404, "the flag goes before the file: {}", answer.body);
    let token = std::fs::read_to_string(&dev.file.token_file).expect("the token file is there");
    let call = socket::client(&dev).get(format!("{}/hello", dev.file.data_url)).bearer_auth(&token);
    assert_eq!(
        soon("an answer", call.send()).await.expect("an answer").status(),
        200,
        "what no flag names is the file's"
    );
    dev.stop().await;
    let decisions = std::fs::read_to_string(folder.path().join("elsewhere/decisions.jsonl")).expect("it was made");
    assert!(decisions.contains(&answer.request), "the file says where decisions are recorded");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), edited, "a flag is not written back");
}

#[tokio::test]
async fn a_start_on_wrong_settings_ends_with_64_before_it_makes_or_binds_anything() {
    let folder = temporary();
    let stamp = b"This folder was made by `ekm dev`, for trying out only. Nothing but ekm dev uses it.\n";
    std::fs::write(folder.path().join("EKM-DEV"), stamp).expect("the folder is writable");
    let file = folder.path().join(SETTINGS_FILE);
    let text = "dev = true\n[admin]\nport = 8443\n[health.limits]\nstreams_max = 0\n";
    std::fs::write(&file, text).expect("the folder is writable");
    let ended = finish(ekm().arg("dev").arg("--data-dir").arg(folder.path()).args(["--port", "0"])).await;
    let said = "has 2 mistakes\n  admin.port: 8443 is also data.port\n  health.limits.streams_max: 0 is below 1\n";
    assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""));
    assert!(ended.err.ends_with(said), "{}", ended.err);
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("it is there").flatten().map(|one| one.file_name()).collect();
    left.sort();
    assert_eq!(left, ["EKM-DEV", SETTINGS_FILE]);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
    let ended = finish(ekm().args(["dev", "--data-dir"]).arg(folder.path()).args(["--info-path", "hello"])).await;
    assert_eq!(ended.code, Some(64), "a flag is held to the rules of the file");
    assert!(ended.err.contains("no path of a URL"), "{}", ended.err);
}
