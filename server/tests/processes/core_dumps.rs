//! `ekmctl` holds its operator's key, and material that is brought in: it leaves no core dump, even where the system would make one.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::harness::{Dev, soon, temporary};

#[tokio::test]
async fn ekmctl_leaves_no_core_dump() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, ..limit })
        .expect("a limit can be raised to its maximum");
    let mut importing = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
    importing.arg("--dev").arg(folder.path()).args(["key", "import", "k", "--tenant", "demo", "--hex"]);
    let mut importing = importing.stdin(Stdio::piped()).spawn().expect("ekmctl can be started");
    let mut input = importing.stdin.take().expect("standard input is piped");
    input.write_all(b"00112233").expect("the pipe takes the beginning of a key");
    // it waits for the rest of the key
    let limits = format!("/proc/{}/limits", importing.id());
    let leaves_none = async {
        loop {
            let text = fs::read_to_string(&limits).expect("it is there until its input ends");
            let line =
                text.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("Linux has that limit");
            if line.split_whitespace().take(2).eq(["0", "0"]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("ekmctl to forbid core dumps", leaves_none).await;
    drop(input);
    let ended = importing.wait().expect("it ends with its input");
    assert_eq!(ended.code(), Some(64), "half a key is none");
    dev.stop().await;
}
