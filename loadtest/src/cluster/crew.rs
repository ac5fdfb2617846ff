//! The processes of a start: run with their own logs, marked at once, waited for, and either left to themselves or ended together.
//! Never ends a process that it did not start.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::error::ClusterError;
use super::file::{self, Record};
use super::layout::{self, Layout};
use super::plan::Kind;
use super::stop;
use crate::clock::now;
use crate::exit::words;

/// Longer than a process takes to come up on a busy machine.
pub const READY_WAIT_MAX: Duration = Duration::from_mins(2);
/// How often whatever is waited for is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long one look may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(2);
/// So much of an answer is shown, in bytes.
const SHOWN_MAX: usize = 300;

/// What to run.
pub struct Job {
    pub name: String,
    pub kind: Kind,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// One of the arguments, absolute.
    pub settings: PathBuf,
}

impl Job {
    /// A process of `ekm`.
    pub fn ekm(name: String, kind: Kind, program: &Path, settings: PathBuf) -> Self {
        let word = match kind {
            Kind::Frontend => "frontend",
            Kind::Keystore | Kind::Witness => "keystore",
            Kind::Loadbalancer => unreachable!("the load balancer is another program"),
        };
        let arguments = vec![word.into(), settings.clone().into()];
        Self { name, kind, program: program.to_owned(), arguments, settings }
    }

    /// The load balancer, in the foreground.
    pub fn balancer(program: &Path, settings: PathBuf) -> Self {
        let arguments = vec!["-db".into(), "-f".into(), settings.clone().into()];
        let name = super::plan::BALANCER.to_owned();
        Self { name, kind: Kind::Loadbalancer, program: program.to_owned(), arguments, settings }
    }
}

struct Member {
    record: Record,
    child: Child,
}

/// What was started so far.
pub struct Crew {
    layout: Layout,
    members: Vec<Member>,
    http: reqwest::Client,
}

impl Crew {
    /// Nobody yet.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(layout: Layout) -> Result<Self, ClusterError> {
        let http = reqwest::Client::builder().no_proxy().timeout(LOOK_TIME_MAX).build();
        Ok(Self { layout, members: Vec::new(), http: http.map_err(ClusterError::Client)? })
    }

    /// Runs one more. It is in a process group of its own, so that an interrupt at the terminal is for this program alone.
    ///
    /// # Errors
    /// If it cannot be run or marked.
    pub fn run(&mut self, job: Job) -> Result<(), ClusterError> {
        let log = self.layout.log(&job.name);
        layout::make_folder(log.parent().expect("a log lies in the folder of logs"))?;
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
        let (out, err) = opened
            .and_then(|out| Ok((out.try_clone()?, out)))
            .map_err(|cause| ClusterError::file("write", &log, cause))?;
        let spawned = Command::new(&job.program)
            .args(&job.arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn();
        let child = spawned.map_err(|cause| ClusterError::Spawn { program: job.program, cause })?;
        let record = Record { name: job.name, kind: job.kind, pid: child.id(), settings: job.settings };
        self.members.push(Member { record, child });
        file::mark(&self.layout, &self.records())
    }

    /// Waits until a process answers 200 there.
    ///
    /// # Errors
    /// If it does not within [`READY_WAIT_MAX`], or any process ends.
    pub async fn answers(&mut self, name: &str, url: &str) -> Result<(), ClusterError> {
        let began = now();
        loop {
            self.all_live()?;
            let last = match self.http.get(url).send().await {
                Ok(answer) if answer.status().as_u16() == 200 => return Ok(()),
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    let body = answer.text().await.unwrap_or_default();
                    format!("{status} {}", excerpt(&body))
                }
                Err(error) => words(&error.without_url()),
            };
            if began.elapsed() > READY_WAIT_MAX {
                let (process, url) = (name.to_owned(), url.to_owned());
                return Err(ClusterError::Late { process, url, waited: READY_WAIT_MAX, last });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a file is there.
    ///
    /// # Errors
    /// If it is not within [`READY_WAIT_MAX`], or any process ends.
    pub async fn appears(&mut self, path: &Path) -> Result<(), ClusterError> {
        let began = now();
        while !path.exists() {
            self.all_live()?;
            if began.elapsed() > READY_WAIT_MAX {
                return Err(ClusterError::Absent { path: path.to_owned(), waited: READY_WAIT_MAX });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// That nobody has ended.
    ///
    /// # Errors
    /// [`ClusterError::Ended`] of the first that has.
    pub fn all_live(&mut self) -> Result<(), ClusterError> {
        for Member { record, child } in &mut self.members {
            // a child that cannot be asked has not ended either: every wait is bounded
            if let Ok(Some(status)) = child.try_wait() {
                return Err(ClusterError::Ended { process: record.name.clone(), status: status.to_string() });
            }
        }
        Ok(())
    }

    /// The marks of all.
    pub fn records(&self) -> Vec<Record> {
        self.members.iter().map(|member| member.record.clone()).collect()
    }

    /// Ends all that was started, and takes the marks away. What cannot be done is told by `stop`, later.
    pub async fn end(mut self) {
        let records = self.records();
        stop::end(&records).await;
        for Member { child, .. } in &mut self.members {
            // one that has just been started may not show its command line yet
            if let Ok(None) = child.try_wait() {
                drop(child.kill());
                drop(child.wait());
            }
        }
        if stop::living(&records).is_empty() {
            drop(layout::remove(&self.layout.running()));
        }
    }
}

fn excerpt(body: &str) -> &str {
    let end = body.char_indices().map(|(at, _)| at).take_while(|at| *at <= SHOWN_MAX).last().unwrap_or(0);
    if body.len() <= SHOWN_MAX { body } else { &body[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that waits for ever, and has no child that could outlive it.
    fn waiter(folder: &Path, name: &str) -> Job {
        let settings = folder.join(format!("{name}.toml"));
        std::fs::write(&settings, name).expect("the folder is writable");
        let arguments = vec!["-f".into(), settings.clone().into()];
        Job { name: name.to_owned(), kind: Kind::Keystore, program: PathBuf::from("tail"), arguments, settings }
    }

    #[tokio::test]
    async fn what_was_started_is_marked_and_ended_and_its_words_are_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        let mut crew = Crew::new(layout.clone()).expect("a client can be made");
        for name in ["one", "two"] {
            crew.run(waiter(layout.root(), name)).expect("there is a tail");
        }
        let records = file::running(&layout).expect("marks were written");
        assert_eq!(records, crew.records());
        crew.appears(&layout.log("one")).await.expect("it is opened before the process runs");
        crew.all_live().expect("both wait");
        crew.end().await;
        assert!(stop::living(&records).is_empty());
        assert!(!layout.running().exists());
    }

    #[tokio::test]
    async fn a_process_that_ends_is_named_while_another_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        let mut crew = Crew::new(layout.clone()).expect("a client can be made");
        let job = waiter(layout.root(), "gone");
        let arguments = vec!["-c".into(), "echo why; exit 64".into()];
        crew.run(Job { program: PathBuf::from("/bin/sh"), arguments, ..job }).expect("there is a shell");
        let error = crew.appears(&layout.root().join("never")).await.expect_err("it has ended");
        assert!(matches!(&error, ClusterError::Ended { process, .. } if process == "gone"), "{error}");
        assert!(error.to_string().ends_with("(exit status: 64)"), "{error}");
        let said = std::fs::read_to_string(layout.log("gone")).expect("it has a log");
        assert_eq!(said, "why\n");
        crew.end().await;
    }
}
