//! Ends and beginnings of `ekm dev`: SIGTERM under load, restarts, and starts that must be refused.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::channel;
use tokio::task::JoinSet;

use super::google::{Google, Protocol};
use super::harness::{Dev, Ended, Process, alarms, ekm, ekm_dev, ekmctl_json, finish, soon, temporary};
use super::socket::{self, Tls};
use super::words;

/// Clients of each protocol that call while the server is told to end.
const CLIENTS: usize = 3;
/// Answers that they have got by then.
const ANSWERS_BEFORE: usize = 60;

/// The requests in the audit file that this caller's own calls made, as (id, decision).
fn audited(folder: &Path) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(folder.join("audit/audit.jsonl")).expect("the audit file is there");
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record is JSON"));
    let own = records.filter(|record| record["caller"] == server::dev::CALLER);
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    own.map(|record| (text(&record, "request"), text(&record, "decision"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_taken_up_gets_its_whole_answer_although_the_server_is_told_to_end() {
    let folder = temporary();
    let folder = folder.path().join("ekm-dev");
    let dev = Dev::start(&folder).await;
    // the server wrapped its greeting for the printed calls, as this caller
    let before = audited(&folder);
    let (sender, mut answers) = channel(ANSWERS_BEFORE);
    let mut clients = JoinSet::new();
    for client in 0..2 * CLIENTS {
        let protocol = if client % 2 == 0 { Protocol::Http1 } else { Protocol::Http2 };
        let (google, path, sender) = (Google::new(&dev, protocol), dev.file.key_path.clone(), sender.clone());
        clients.spawn(async move {
            while let Ok(answer) = google.wrap(&path, "bG9hZA==").await {
                sender.send(answer).await.expect("the listener listens to the end");
            }
        });
    }
    drop(sender);
    // two requests whose heads the server has taken up, and whose bodies come only after the signal
    let mut halves = [half_a_request(&dev).await, half_a_request(&dev).await];
    let mut idle = socket::connect(&dev, socket::HTTP1).await.expect("a connection");
    let mut received = BTreeSet::new();
    let mut told = false;
    while let Some(answer) = soon("an answer", answers.recv()).await {
        assert!(matches!(answer.status, 200 | 503 | 504), "{answer:?}");
        let decision = if answer.status == 200 { "allowed" } else { "unavailable" };
        received.insert((answer.request, decision.to_owned()));
        if received.len() >= ANSWERS_BEFORE && !told {
            dev.process.terminate();
            told = true;
            // an idle connection is closed: the server is draining by now
            let mut end = Vec::new();
            drop(soon("the end of an idle connection", idle.read_to_end(&mut end)).await);
            assert!(end.is_empty(), "{}", String::from_utf8_lossy(&end));
            for half in &mut halves {
                received.insert(the_other_half(half).await);
            }
        }
    }
    assert!(told, "the clients gave up after {} answers, before the server was told to end", received.len());
    let ended = dev.process.ended().await;
    assert_eq!((ended.code, alarms(&ended.err)), (Some(0), vec![]));
    let taken_up: BTreeSet<_> = audited(&folder).difference(&before).cloned().collect();
    assert_eq!(
        taken_up.difference(&received).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "answers were lost"
    );
    assert_eq!(
        received.difference(&taken_up).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "records were lost"
    );
    while let Some(client) = clients.join_next().await {
        client.expect("a client ends with the server");
    }
}

const BODY: &str = r#"{"plaintext":"aGFsZg=="}"#;

/// A connection with a request whose head has been answered with `100 Continue`.
async fn half_a_request(dev: &Dev) -> Tls {
    let token = std::fs::read_to_string(&dev.file.token_file).expect("the token file is there");
    let head = format!(
        "POST /{}:wrap HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        dev.file.key_path,
        BODY.len()
    );
    let mut stream = socket::connect(dev, socket::HTTP1).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("a head can be sent");
    let mut go_on = [0; 25];
    soon("leave to go on", stream.read_exact(&mut go_on)).await.expect("an interim answer");
    assert_eq!(String::from_utf8_lossy(&go_on), "HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Sends the body and gives the id of the request, and how it was decided.
async fn the_other_half(stream: &mut Tls) -> (String, String) {
    stream.write_all(BODY.as_bytes()).await.expect("a body can be sent");
    let mut answer = Vec::new();
    soon("an answer", stream.read_to_end(&mut answer)).await.expect("an answer and a polite end");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let is_success = answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"wrappedBlob\"");
    // the budget of a request runs from its head: on a busy machine the body may have come too late for it
    assert!(is_success || answer.starts_with("HTTP/1.1 504 "), "{answer}");
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an answer names its request");
    (id.trim().to_owned(), if is_success { "allowed" } else { "unavailable" }.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_calls_work_today_and_after_a_restart_on_the_same_ports() {
    let folder = temporary();
    let folder = folder.path().join("ekm dev's");
    let ready = folder.with_extension("ready");
    let ready_name = ready.to_str().expect("temporary names are text");
    let port = socket::three_ports().to_string();
    let dev = Dev::start_with(&folder, &["--port", &port, "--ready-file", ready_name]).await;
    let first = dev.file.clone();
    let printed = dev.printed_calls();
    assert_eq!(printed.len(), 2, "{printed:?}");
    run_printed(&printed, &dev).await;
    ekmctl_json(&folder, &["tenant", "create", "acme"]).await;
    let before = ekmctl_json(&folder, &["status"]).await;
    dev.stop().await;
    assert_eq!(std::fs::read_to_string(&ready).ok().as_deref(), Some("ready\n"));

    let dev = Dev::start_with(&folder, &["--ready-file", ready_name]).await;
    let again = |file: &server::dev::DevFile| server::dev::DevFile { pid: 0, ..file.clone() };
    assert_eq!(again(&dev.file), again(&first), "ports, key and files are those of the last start");
    assert_eq!(dev.file.pid, dev.process.pid());
    run_printed(&printed, &dev).await;
    run_printed(&dev.printed_calls(), &dev).await;
    let after = ekmctl_json(&folder, &["status"]).await;
    for field in ["lineage", "tenants", "key_versions", "dev", "version"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    dev.stop().await;
}

/// Makes a printed wrap and a printed unwrap: with curl where there is one, and always by the same words without it.
async fn run_printed(calls: &[String], dev: &Dev) {
    let http = socket::client(dev);
    for (call, field) in calls.iter().zip(["wrappedBlob", "plaintext"]) {
        let mut answers = vec![words::send(&http, call).await];
        if Command::new("curl").arg("--version").output().is_ok() {
            let ended = finish(Command::new("sh").args(["-c", call])).await;
            assert_eq!(ended.code, Some(0), "{call}: {}", ended.err);
            answers.push(ended.out);
        }
        for answer in answers {
            let body: Value = serde_json::from_str(&answer).expect("an answer is JSON");
            let text = body[field].as_str().unwrap_or_else(|| panic!("{call}: {answer}"));
            assert!(!text.is_empty() && (field != "plaintext" || call.contains("wrappedBlob")), "{answer}");
            if field == "plaintext" {
                assert_eq!(body, json!({"plaintext": "aGVsbG8sIGV4dGVybmFsIGtleSBtYW5hZ2Vy"}));
            }
        }
    }
}

async fn dev_with(folder: &Path, args: &[&str]) -> Ended {
    finish(ekm().arg("dev").arg("--data-dir").arg(folder).args(args)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_is_refused_clearly_and_harms_nothing() {
    let parent = temporary();
    let ours = parent.path().join("ours");
    let dev = Dev::start(&ours).await;
    let google = Google::new(&dev, Protocol::Http2);
    let status = ekmctl_json(&ours, &["status"]).await;
    let foreign = parent.path().join("foreign");
    std::fs::create_dir(&foreign).expect("a folder can be made");
    std::fs::write(foreign.join("thesis.txt"), "mine").expect("a file can be written");
    let file = parent.path().join("file");
    std::fs::write(&file, "mine").expect("a file can be written");
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let taken = taken.local_addr().map(|address| (taken, address.port().to_string())).expect("it has an address");
    let own_port = dev.port().to_string();
    let new = parent.path().join("new");
    let table: &[(&Path, &[&str], i32, &str)] = &[
        (&ours, &["--port", "0"], 69, "another ekm dev runs on"),
        (&ours, &[], 69, "another ekm dev runs on"),
        (&foreign, &["--port", "0"], 69, "was not made by ekm dev"),
        (&file, &["--port", "0"], 69, "cannot"),
        (&new, &["--port", &taken.1], 69, &taken.1),
        (&new, &["--port", &own_port], 69, &own_port),
        (&new, &["--port", "65536"], 64, "65536"),
        (&new, &["--port", "65534"], 64, "0..=65533"),
        (&new, &["--error-body", "xml"], 64, "xml"),
        (&new, &["--colour"], 64, "--colour"),
    ];
    for (folder, args, code, said) in table {
        let ended = dev_with(folder, args).await;
        assert_eq!(ended.code, Some(*code), "{args:?}: {}", ended.err);
        assert!(ended.err.contains(said) && !ended.err.contains("panicked"), "{args:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{args:?}");
    }
    let left: Vec<_> =
        std::fs::read_dir(&foreign).expect("readable").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["thesis.txt"], "a foreign folder is left as it was");
    assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), Some("mine"));
    assert_eq!(google.settled_wrap(&dev.file.key_path, "").await.expect("an answer").status, 200);
    let now = ekmctl_json(&ours, &["status"]).await;
    assert_eq!((&now["tenants"], &now["key_versions"]), (&status["tenants"], &status["key_versions"]));
    dev.stop().await;
    drop(taken);
    Dev::start(&new).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_leaves_no_core_dump_and_binds_loopback_alone() {
    let folder = temporary();
    let server = ekm_dev(folder.path());
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -S -n 512; exec \"$0\" \"$@\" --port 0"])
        .arg(server.get_program())
        .args(server.get_args());
    let dev = Dev::of(Process::start(&mut command), folder.path()).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", dev.process.pid())).expect("limits are readable");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("the kernel lists the limit");
    let files: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(files[0], files[1], "as many connections as may be must not take a file away from a snapshot");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the kernel lists the limit");
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    let listening = socket::listening(dev.process.pid());
    assert_eq!(listening.len(), 3, "{listening:?}");
    assert!(listening.iter().all(|address| address.starts_with("0100007F:")), "{listening:?}");
    // what Ctrl-C sends ends it as well as SIGTERM
    dev.process.signal(rustix::process::Signal::INT);
    let ended = dev.process.ended().await;
    assert_eq!((ended.code, alarms(&ended.err)), (Some(0), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_cannot_be_written_serves_and_ends_as_ever() {
    let folder = temporary();
    let server = ekm_dev(folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" --port 0 2>/dev/full"]).arg(server.get_program()).args(server.get_args());
    let dev = Dev::of(Process::start(&mut command), folder.path()).await;
    let google = Google::new(&dev, Protocol::Http2);
    let answer = google.settled_wrap(&dev.file.key_path, "bG9n").await.expect("it answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    dev.process.terminate();
    assert_eq!(dev.process.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_other_than_the_certificates_is_not_believed() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", dev.port())).await.expect("it listens");
    let config = Arc::new(socket::config(&dev, socket::HTTP1));
    let name = ServerName::try_from("ekm.example.com").expect("a legal name");
    let refused = soon("a handshake", tokio_rustls::TlsConnector::from(config).connect(name, stream)).await;
    assert!(refused.is_err(), "the certificate is for localhost");
    dev.stop().await;
}
