//! Confirmation before harm, with a terminal and without one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::harness::{Dev, ekmctl, ekmctl_json, soon, temporary};

/// `ekmctl` at a terminal of its own, where somebody types a line; gives its exit status and what stood on the screen.
async fn at_terminal(folder: &Path, args: &[&str], typed: &str) -> (Option<i32>, String) {
    let controller =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal can be made");
    grantpt(&controller).and_then(|()| unlockpt(&controller)).expect("the terminal is ours");
    let name = ptsname(&controller, Vec::new()).expect("a terminal has a name");
    let name = name.to_str().expect("a terminal's name is plain").to_owned();
    let open = || File::options().read(true).write(true).open(&name).expect("the terminal can be opened");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
    command.arg("--dev").arg(folder).args(args).stdin(open()).stdout(Stdio::null()).stderr(open());
    let mut child = command.spawn().expect("ekmctl can be started");
    drop(command);
    let mut screen = File::from(controller);
    // what is typed early waits in the terminal until it is read
    screen.write_all(format!("{typed}\n").as_bytes()).expect("a terminal takes what is typed");
    let ended = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        // a terminal whose last user has gone ends with an error
        drop(screen.read_to_end(&mut shown));
        let status = child.wait().expect("a child can be waited for");
        (status.code(), String::from_utf8_lossy(&shown).into_owned())
    });
    soon("ekmctl at a terminal", ended).await.expect("the reader does not panic")
}

async fn state(dev: &Dev) -> String {
    let keys = ekmctl_json(&dev.folder, &["key", "list", "--tenant", "demo"]).await;
    keys[0]["versions"][0]["state"].as_str().expect("a version has a state").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_asked_and_only_the_name_goes_on() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let key = dev.file.key_path.clone();
    let disable = ["version", "disable", key.as_str()];
    for wrong in ["y", "yes", "", "v0/keys/"] {
        let (code, screen) = at_terminal(&dev.folder, &disable, wrong).await;
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("stops every wrap and unwrap") && screen.contains("nothing was changed"), "{screen}");
        assert_eq!(state(&dev).await, "enabled", "{wrong}");
    }
    let (code, screen) = at_terminal(&dev.folder, &disable, &key).await;
    assert_eq!((code, state(&dev).await.as_str()), (Some(0), "disabled"), "{screen}");
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_harm_needs_yes_and_says_so() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let key = dev.file.key_path.clone();
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, r#"{"denies": [], "grants": []}"#).expect("a file can be written");
    let policy = policy.to_str().expect("a temporary folder has a plain name");
    let before = ekmctl_json(&dev.folder, &["tenant", "show", "demo"]).await;
    let of_key = ["--tenant", "demo", "--key", "demo-key"];
    let harm: &[&[&str]] = &[
        &["version", "disable", &key],
        &["version", "schedule-destroy", &key],
        &[&["policy", "set", policy][..], &of_key].concat(),
        &[&["policy", "remove-rule", "demo-caller"][..], &of_key].concat(),
        &[&["policy", "clear"][..], &of_key].concat(),
        &[&["quota", "set", "--per-second", "1", "--burst", "1"][..], &of_key].concat(),
    ];
    for args in harm {
        let ended = ekmctl(&dev.folder, args).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""), "{args:?}: {}", ended.err);
        assert!(ended.err.contains("nothing was changed") && ended.err.contains("--yes"), "{args:?}: {}", ended.err);
    }
    assert_eq!(ekmctl_json(&dev.folder, &["tenant", "show", "demo"]).await, before, "nothing was changed");
    let done = ekmctl(&dev.folder, &[&["policy", "set", policy, "--yes"][..], &of_key].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    let now = ekmctl_json(&dev.folder, &["policy", "show", "--tenant", "demo", "--key", "demo-key"]).await;
    assert_eq!(now["own"], serde_json::json!({"denies": [], "grants": []}));
    dev.stop().await;
}
