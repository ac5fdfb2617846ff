//! strace: around a program from its first call, or attached to a running one; counts, kills at, or falsifies chosen system
//! calls. A tracer ends with what it traces, and before its test does.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::harness::{Process, soon};

/// A program under strace. It stays the direct child, so that signals and exit statuses are its own.
pub(crate) fn traced(program: &Command, log: &Path, options: &[String]) -> Command {
    let mut command = Command::new("strace");
    // without its seccomp filter: signals are not delivered at the stops that the filter makes
    command.args(["-D", "-f", "-y", "-qq", "-o"]).arg(log).args(options);
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        command.env(name, value.expect("a program under test is given variables, and none is taken away"));
    }
    command
}

/// A tracer of a process that was running already.
pub(crate) struct Attached(Child);

impl Attached {
    /// Attaches to all threads, those to come included, and returns when it has.
    pub(crate) async fn to(process: &Process, calls: &str, inject: &str) -> Self {
        let pid = process.pid().to_string();
        let trace = format!("trace={calls}");
        let args: [&OsStr; 9] = ["-f", "-p", &pid, "-e", &trace, "-e", inject, "-o", "/dev/null"].map(OsStr::new);
        let mut command = Command::new("strace");
        let mut child = command.args(args).stderr(Stdio::piped()).spawn().expect("strace can be started");
        let told = child.stderr.take().expect("standard error is piped");
        let (sender, attached) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(told).lines().map_while(Result::ok);
            let first = lines.next();
            drop(sender.send(first));
            // read on, so that it never waits for its reader
            lines.for_each(drop);
        });
        let first = soon("strace to attach", attached).await.ok().flatten().unwrap_or_default();
        assert!(first.contains("attached"), "strace says: {first}");
        Self(child)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // both fail only if it has ended with its tracee, which is what is wanted
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
