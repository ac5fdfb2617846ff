//! The operator's hand: runs `ekmctl` and reads its JSON. Knows nothing of the admin API behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::process::Command;

/// Longer than any change takes to be in force.
const COMMAND_TIME_MAX: Duration = Duration::from_mins(2);
/// How often a change is asked for again that cannot be made just now, and the pause before each time.
const REPEATS_MAX: u32 = 30;
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// What `ekmctl` would take from the environment instead of its flags.
const VARIABLES: [&str; 5] = ["EKM_DEV", "EKM_ADMIN_URL", "EKM_ADMIN_CA", "EKM_OPERATOR_CERT", "EKM_OPERATOR_KEY"];

/// Why a command came to nothing.
#[derive(Debug, Error)]
pub enum CtlError {
    /// There is no such program, or it cannot be run.
    #[error("cannot run {}; build it, or name it with --ekmctl", program.display())]
    NotStarted {
        program: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It said no.
    #[error("`ekmctl {command}` ended with {status}: {message}")]
    Refused { command: String, status: i32, message: String },
    /// It did not end.
    #[error("`ekmctl {command}` did not end within {} s", COMMAND_TIME_MAX.as_secs())]
    TooSlow { command: String },
    /// It printed no JSON.
    #[error("`ekmctl {command}` printed no JSON")]
    Unreadable {
        command: String,
        #[source]
        cause: serde_json::Error,
    },
}

impl CtlError {
    /// Whether nothing was changed, and the same may succeed later.
    pub const fn is_for_later(&self) -> bool {
        matches!(self, Self::Refused { status: 75, .. })
    }

    /// Whether the admin API did not answer.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Refused { status: 69, .. })
    }
}

/// Which cluster, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The data folder of `ekm dev`, as its operator.
    Dev(PathBuf),
    /// The four parts by themselves.
    Person {
        /// The admin API.
        url: String,
        /// Whom to trust there, PEM.
        ca: PathBuf,
        /// The person's certificate, PEM.
        certificate: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
    },
}

/// `ekmctl` for one cluster and one person.
#[derive(Debug, Clone)]
pub struct Ctl {
    program: PathBuf,
    access: Access,
}

impl Ctl {
    /// Runs this program so.
    pub const fn new(program: PathBuf, access: Access) -> Self {
        Self { program, access }
    }

    /// Runs one command and gives what it printed.
    ///
    /// # Errors
    /// If it does not end well, and in time.
    pub async fn run(&self, words: &[&str]) -> Result<Value, CtlError> {
        let command = words.join(" ");
        let mut process = Command::new(&self.program);
        match &self.access {
            Access::Dev(folder) => process.arg("--dev").arg(folder),
            Access::Person { url, ca, certificate, key } => process
                .args(["--url", url])
                .arg("--ca")
                .arg(ca)
                .arg("--cert")
                .arg(certificate)
                .arg("--cert-key")
                .arg(key),
        };
        process.args(["--output", "json"]).args(words);
        let said = said(process, &self.program, &command).await?;
        serde_json::from_slice(&said).map_err(|cause| CtlError::Unreadable { command, cause })
    }

    /// The same, and again for half a minute while the cluster says that it cannot be done just now.
    ///
    /// # Errors
    /// As [`Ctl::run`].
    pub async fn run_patiently(&self, words: &[&str]) -> Result<Value, CtlError> {
        for _ in 0..REPEATS_MAX {
            match self.run(words).await {
                Err(error) if error.is_for_later() => tokio::time::sleep(REPEAT_AFTER).await,
                done => return done,
            }
        }
        self.run(words).await
    }
}

/// A fresh id for the keys of a cluster that is to be made; asks no server.
///
/// # Errors
/// As [`Ctl::run`].
pub async fn lineage(program: &Path) -> Result<String, CtlError> {
    let mut process = Command::new(program);
    process.args(["cluster", "lineage"]);
    let said = said(process, program, "cluster lineage").await?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// What a command prints, if it ends well and in time.
async fn said(mut process: Command, program: &Path, command: &str) -> Result<Vec<u8>, CtlError> {
    for name in VARIABLES {
        process.env_remove(name);
    }
    let command = command.to_owned();
    let ended = process.stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(ended) = tokio::time::timeout(COMMAND_TIME_MAX, ended).await else {
        return Err(CtlError::TooSlow { command });
    };
    let output = ended.map_err(|cause| CtlError::NotStarted { program: program.to_owned(), cause })?;
    if !output.status.success() {
        let status = output.status.code().unwrap_or(-1);
        return Err(CtlError::Refused { command, status, message: message_of(&output.stderr) });
    }
    Ok(output.stdout)
}

/// The message of `{"error": {"message": …}}`, or what stands there instead.
fn message_of(stderr: &[u8]) -> String {
    let told: Value = serde_json::from_slice(stderr).unwrap_or_default();
    let plain = || String::from_utf8_lossy(stderr).trim().to_owned();
    told["error"]["message"].as_str().map_or_else(plain, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_with_its_name() {
        let ctl = Ctl::new(PathBuf::from("/nowhere/ekmctl"), Access::Dev(PathBuf::from("dev")));
        let error = ctl.run(&["status"]).await.expect_err("there is none");
        assert_eq!(error.to_string(), "cannot run /nowhere/ekmctl; build it, or name it with --ekmctl");
    }

    #[tokio::test]
    async fn a_refusal_and_a_page_that_is_no_json_are_told_apart() {
        let run = |program: &str| Ctl::new(PathBuf::from(program), Access::Dev(PathBuf::from("dev")));
        let refused = run("/bin/false").run(&["status"]).await.expect_err("false says no");
        assert!(matches!(refused, CtlError::Refused { status: 1, .. }), "{refused}");
        let unreadable = run("/bin/echo").run(&["status"]).await.expect_err("echo prints its arguments");
        assert!(matches!(unreadable, CtlError::Unreadable { .. }), "{unreadable}");
    }

    #[test]
    fn a_told_message_is_taken_out_of_its_json() {
        assert_eq!(message_of(br#"{"error":{"exit_status":1,"message":"tenant acme exists"}}"#), "tenant acme exists");
        assert_eq!(message_of(b"plain\n"), "plain");
    }
}
