//! The processes under comparison: started in a temporary folder on free ports, and ended with whoever holds them. Never ends a
//! process that it did not start.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use thiserror::Error;

use super::echo::Form;
use crate::clock::now;

/// Longer than the product takes to start on a busy machine.
const READY_WAIT_MAX: Duration = Duration::from_mins(2);
/// How often a file is looked for that appears when a process serves.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longer than the product takes to end politely.
const END_WAIT_MAX: Duration = Duration::from_secs(20);

/// Why a process does not serve.
#[derive(Debug, Error)]
pub enum StartError {
    /// The own executable cannot be found.
    #[error("the path of this program is unknown")]
    Unknown(#[source] io::Error),
    /// No folder to work in.
    #[error("no temporary folder can be made")]
    Folder(#[source] io::Error),
    /// The program cannot be run.
    #[error("cannot start {}; name the server's program with --ekm FILE", program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It ended before it served. What it said is told.
    #[error("{} ended before it served; it said: {said}", program.display())]
    Ended { program: PathBuf, said: String },
    /// It did not serve in time.
    #[error("{} did not serve within {} s", program.display(), READY_WAIT_MAX.as_secs())]
    Late { program: PathBuf },
    /// The echo's first line is not what it should be.
    #[error("the echo did not say where it listens")]
    Mute(#[source] serde_json::Error),
}

/// What the echo says of itself.
#[derive(Deserialize)]
struct EchoLine {
    address: SocketAddr,
    certificate: String,
}

/// A running echo. It ends when this is dropped.
pub struct Echo {
    child: Child,
    /// Its standard input, whose end is its own end.
    _life: ChildStdin,
    pub address: SocketAddr,
    pub certificate: String,
}

impl Echo {
    /// Starts this program as an echo.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(form: Form) -> Result<Self, StartError> {
        let program = std::env::current_exe().map_err(StartError::Unknown)?;
        let form = match form {
            Form::Mirrored => "mirrored",
            Form::Plain => "plain",
        };
        let mut child = Command::new(&program)
            .args(["echo", "--form", form])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|cause| StartError::Spawn { program, cause })?;
        let life = child.stdin.take().expect("its input was asked for");
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take().expect("its output was asked for")).read_line(&mut line);
        let line = said.map_err(serde_json::Error::io).and_then(|_| serde_json::from_str::<EchoLine>(&line));
        match line {
            Ok(EchoLine { address, certificate }) => Ok(Self { child, _life: life, address, certificate }),
            Err(cause) => {
                end(&mut child);
                Err(StartError::Mute(cause))
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A running `ekm dev` with a folder of its own. Both are gone when this is dropped.
pub struct Product {
    child: Child,
    folder: TempDir,
}

impl Product {
    /// Starts `ekm dev` on free ports and waits until it serves.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(program: Option<&Path>) -> Result<Self, StartError> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => std::env::current_exe().map_err(StartError::Unknown)?.with_file_name("ekm"),
        };
        let folder = tempfile::tempdir().map_err(StartError::Folder)?;
        let said = folder.path().join("said");
        let log = File::create(&said).map_err(StartError::Folder)?;
        let ready = folder.path().join("ready");
        let spawned = Command::new(&program)
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(folder.path().join("dev"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let child = spawned.map_err(|cause| StartError::Spawn { program: program.clone(), cause })?;
        let mut product = Self { child, folder };
        let started_at = now();
        while !ready.exists() {
            // a child that cannot be asked has not ended either: the wait is bounded
            if let Ok(Some(_)) = product.child.try_wait() {
                let said = std::fs::read_to_string(&said).unwrap_or_default();
                let last = said.lines().last().unwrap_or("nothing").to_owned();
                return Err(StartError::Ended { program, said: last });
            }
            if started_at.elapsed() > READY_WAIT_MAX {
                return Err(StartError::Late { program });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(product)
    }

    /// The folder with `dev.json`.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("dev")
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let asked = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // one that has ended already needs no signal
        let asked = asked.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let asked_at = now();
        while asked && asked_at.elapsed() < END_WAIT_MAX && matches!(self.child.try_wait(), Ok(None)) {
            pause();
        }
        end(&mut self.child);
    }
}

#[expect(clippy::disallowed_methods, reason = "a drop cannot await, and nothing else is left to do")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

/// The last resort, and a no-op for a child that has ended.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_not_there_or_ends_at_once_is_told_apart() {
        let missing =
            Product::start(Some(Path::new("/nonexistent/ekm"))).await.err().expect("there is no such program");
        assert!(matches!(missing, StartError::Spawn { .. }) && missing.to_string().contains("--ekm FILE"), "{missing}");
        let ends = Product::start(Some(Path::new("/bin/false"))).await.err().expect("it serves nothing");
        assert!(matches!(ends, StartError::Ended { .. }) && ends.to_string().ends_with("it said: nothing"), "{ends}");
    }
}
