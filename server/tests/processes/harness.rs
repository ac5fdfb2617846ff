//! Processes under test: what they print is read as it comes, every wait is bounded, and none of them outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use server::dev::DevFile;
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

/// Longer than anything takes on a busy machine: a test that waits this long has failed.
const WAIT_MAX: Duration = Duration::from_mins(3);
/// Lines of standard output that wait for their reader.
const LINES_MAX: usize = 1024;
/// The last line that `ekm dev` prints once it serves begins so.
const LAST_WORDS: &str = "More tokens:";

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_MAX, awaited).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// The lines of a process's standard output, as they come.
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: ChildStdout) -> Self {
        let (sender, coming) = channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { return };
                if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { coming, seen: Vec::new() }
    }

    /// The next line; `None` at the end of the stream.
    async fn next(&mut self) -> Option<&str> {
        let line = self.coming.recv().await?;
        self.seen.push(line);
        self.seen.last().map(String::as_str)
    }

    async fn rest(&mut self) -> String {
        while self.next().await.is_some() {}
        self.seen.join("\n")
    }
}

/// All of a process's standard error, once it has ended: a log must never wait for its reader.
fn whole(mut stream: ChildStderr) -> oneshot::Receiver<String> {
    let (sender, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // what was read before an error is the log up to there
        drop(stream.read_to_end(&mut bytes));
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    ended
}

/// How a process ended, and all that it printed.
pub(crate) struct Ended {
    /// Its exit status; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A process that is killed when this goes away.
pub(crate) struct Process {
    child: Child,
    out: Lines,
    err: oneshot::Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in [
            "EKM_LOG",
            "EKM_DEV",
            "EKM_ADMIN_URL",
            "EKM_ADMIN_CA",
            "EKM_OPERATOR_CERT",
            "EKM_OPERATOR_KEY",
            "EKM_HEALTH_URL",
            "COLUMNS",
        ] {
            command.env_remove(name);
        }
        let mut child = command.spawn().expect("the program under test can be started");
        let out = Lines::of(child.stdout.take().expect("standard output is piped"));
        let err = whole(child.stderr.take().expect("standard error is piped"));
        Self { child, out, err }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Any signal. The child has not been waited for, so its id is its own still.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a child takes signals until it is waited for");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed until it is waited for");
    }

    /// Waits for a line of standard output that begins so; `None` if the process ended without it.
    pub(crate) async fn line(&mut self, beginning: &str) -> Option<String> {
        soon(beginning, async {
            while let Some(line) = self.out.next().await {
                if line.starts_with(beginning) {
                    return Some(line.to_owned());
                }
            }
            None
        })
        .await
    }

    /// What it has printed so far, as far as it was waited for.
    pub(crate) fn printed(&self) -> &[String] {
        &self.out.seen
    }

    /// Waits until it ends by itself, or by a signal that it was sent.
    pub(crate) async fn ended(mut self) -> Ended {
        let printed = async { (self.out.rest().await, (&mut self.err).await) };
        let (out, err) = soon("the end of a process", printed).await;
        let err = err.expect("the thread that reads gives what it has read");
        let status = self.child.wait().expect("a child can be waited for");
        Ended { code: status.code(), out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // both fail only if it has ended and was waited for, which is what is wanted
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program to its end.
pub(crate) async fn finish(command: &mut Command) -> Ended {
    Process::start(command).ended().await
}

pub(crate) fn ekm() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ekm"))
}

/// `ekm dev` on this data directory.
pub(crate) fn ekm_dev(folder: &Path) -> Command {
    let mut command = ekm();
    // what openraft warns of is not shown by default, and counts as an alarm here
    command.args(["--log", "info,openraft=warn,h2=error,sled=off"]);
    command.arg("dev").arg("--data-dir").arg(folder);
    command
}

/// `ekmctl --dev FOLDER …` to its end.
pub(crate) async fn ekmctl(folder: &Path, args: &[&str]) -> Ended {
    finish(Command::new(env!("CARGO_BIN_EXE_ekmctl")).arg("--dev").arg(folder).args(args)).await
}

/// The same, which must succeed; gives the JSON that it prints.
pub(crate) async fn ekmctl_json(folder: &Path, args: &[&str]) -> serde_json::Value {
    let ended = ekmctl(folder, &[args, &["--output", "json"]].concat()).await;
    assert_eq!(ended.code, Some(0), "ekmctl {args:?}: {}", ended.err);
    serde_json::from_str(&ended.out).expect("ekmctl prints JSON when asked to")
}

/// What whoever runs the tests asks of them.
#[allow(clippy::disallowed_methods, reason = "a run of tests has no settings, and cargo passes no flags of ours")]
pub(crate) fn asked(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

pub(crate) fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// A running `ekm dev`.
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) folder: PathBuf,
    /// What it says of itself, paths absolute.
    pub(crate) file: DevFile,
}

impl Dev {
    /// Starts one on ports of its own, and waits until it serves.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--port", "0"]).await
    }

    pub(crate) async fn start_with(folder: &Path, args: &[&str]) -> Self {
        Self::of(Process::start(ekm_dev(folder).args(args)), folder).await
    }

    /// One that was started by other means.
    pub(crate) async fn of(process: Process, folder: &Path) -> Self {
        match Self::served(process, folder).await {
            Ok(dev) => dev,
            Err(ended) => panic!("ekm dev ended with {:?} before it served: {}", ended.code, ended.err),
        }
    }

    /// The same for one that may end before it serves.
    pub(crate) async fn served(mut process: Process, folder: &Path) -> Result<Self, Ended> {
        if process.line(LAST_WORDS).await.is_none() {
            return Err(process.ended().await);
        }
        let file = DevFile::load(folder).expect("a serving ekm dev has written dev.json");
        Ok(Self { process, folder: folder.to_owned(), file })
    }

    pub(crate) fn port(&self) -> u16 {
        let port = self.file.data_url.rsplit_once(':').map(|(_, port)| port.parse());
        port.expect("the data URL has a port").expect("a port is a number")
    }

    /// The calls that it printed, in their order.
    pub(crate) fn printed_calls(&self) -> Vec<String> {
        self.process.printed().iter().filter(|line| line.starts_with("curl ")).cloned().collect()
    }

    pub(crate) async fn metrics(&self) -> String {
        let response = soon("the metrics", reqwest::get(&self.file.metrics_url)).await.expect("metrics are served");
        response.text().await.expect("metrics are text")
    }

    /// SIGTERM; it must end well and have logged nothing that a human must look at.
    pub(crate) async fn stop(self) -> Ended {
        self.process.terminate();
        let ended = self.process.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert_eq!(alarms(&ended.err), Vec::<&str>::new());
        ended
    }
}

/// Warnings that a healthy server may give, each with the reason why nobody needs to look.
const EXPECTED: &[(&str, &str)] = &[
    ("LimitMEMLOCK", "whether memory can be locked is the machine's affair, and it is said once"),
    ("LimitNOFILE", "so is how many files may be open"),
    ("msg sent by vote: <T0-N1:Q>", "openraft, when the first election of a new group overtakes the group's making"),
];

/// The lines of a log that report trouble.
pub(crate) fn alarms(log: &str) -> Vec<&str> {
    let is_alarm = |line: &&str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        let is_expected = event["level"] == "WARN" && EXPECTED.iter().any(|(said, _)| line.contains(said));
        event["level"] != "INFO" && !is_expected
    };
    log.lines().filter(is_alarm).collect()
}

#[test]
fn what_is_no_information_is_an_alarm() {
    let log = "{\"level\":\"INFO\"}\n{\"level\":\"WARN\"}\n{\"level\":\"WARN\",\"m\":\"LimitMEMLOCK\"}\nthread 'data' panicked\n{\"level\":\"ERROR\"}";
    assert_eq!(alarms(log), ["{\"level\":\"WARN\"}", "thread 'data' panicked", "{\"level\":\"ERROR\"}"]);
}
