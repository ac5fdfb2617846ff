//! A key manager of the scenarios' own: `ekm dev` in a temporary folder, on ports that the system chooses, with so few places
//! for calls in progress that a small crowd fills them. It ends with the value, and takes its folder with it.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;
use tokio::process::{Child, Command};

/// Places for calls in progress.
pub const PLACES: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");
/// Longer than any start takes.
const START_TIME_MAX: Duration = Duration::from_mins(2);
/// How often it is looked whether it serves.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why there is none.
#[derive(Debug, Error)]
pub enum OwnError {
    /// There is no such program, or it cannot be run.
    #[error("cannot run {}; build it, or name it with --ekm", program.display())]
    NotStarted {
        program: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// Its folder cannot be used.
    #[error("cannot use a temporary folder")]
    Folder(#[source] io::Error),
    /// It ended before it served.
    #[error("{} dev ended before it served: {told}", program.display())]
    Ended { program: PathBuf, told: String },
    /// It did not serve in time.
    #[error("{} dev did not serve within {} s", program.display(), START_TIME_MAX.as_secs())]
    TooSlow { program: PathBuf },
}

/// A running `ekm dev`.
#[derive(Debug)]
pub struct Own {
    process: Child,
    folder: TempDir,
}

impl Own {
    /// Starts one: first to have its folder made, then with few places.
    ///
    /// # Errors
    /// See [`OwnError`].
    pub async fn start(program: &Path) -> Result<Self, OwnError> {
        let folder = tempfile::tempdir().map_err(OwnError::Folder)?;
        let process = serve(program, folder.path()).await?;
        let mut own = Self { process, folder };
        own.process.kill().await.map_err(OwnError::Folder)?;
        let settings = own.data().join("ekm-dev.toml");
        let text = fs::read_to_string(&settings).map_err(OwnError::Folder)?;
        fs::write(&settings, with_few_places(&text)).map_err(OwnError::Folder)?;
        own.process = serve(program, own.folder.path()).await?;
        Ok(own)
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("ekm-dev")
    }
}

async fn serve(program: &Path, folder: &Path) -> Result<Child, OwnError> {
    let (ready, log) = (folder.join("ready"), folder.join("log"));
    if ready.exists() {
        fs::remove_file(&ready).map_err(OwnError::Folder)?;
    }
    let told = fs::File::create(&log).map_err(OwnError::Folder)?;
    let mut command = Command::new(program);
    command.arg("dev").arg("--data-dir").arg(folder.join("ekm-dev")).args(["--port", "0", "--ready-file"]).arg(&ready);
    command.env_remove("EKM_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(told).kill_on_drop(true);
    let mut process = command.spawn().map_err(|cause| OwnError::NotStarted { program: program.to_owned(), cause })?;
    let serving = async {
        while !ready.exists() {
            if process.try_wait().map_err(OwnError::Folder)?.is_some() {
                let told = fs::read_to_string(&log).unwrap_or_default();
                let told = told.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(OwnError::Ended { program: program.to_owned(), told });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    match tokio::time::timeout(START_TIME_MAX, serving).await {
        Ok(served) => served.map(|()| process),
        Err(_) => Err(OwnError::TooSlow { program: program.to_owned() }),
    }
}

/// The settings with few places, which a slow body may hold for a while.
fn with_few_places(settings: &str) -> String {
    let line = |line: &str| match line.split(" = ").next() {
        Some("in_progress_max") => format!("in_progress_max = {PLACES}\n"),
        Some("body_time_max") => "body_time_max = \"20s\"\n".to_owned(),
        _ => format!("{line}\n"),
    };
    settings.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_settings_change_and_the_rest_stays() {
        let settings = "[data]\nport = 1\nbody_time_max = \"2s\"\n# in_progress_max = 7\nin_progress_max = 512\n";
        let expected = "[data]\nport = 1\nbody_time_max = \"20s\"\n# in_progress_max = 7\nin_progress_max = 8\n";
        assert_eq!(with_few_places(settings), expected);
    }

    #[tokio::test]
    async fn a_program_that_ends_or_is_not_there_is_told() {
        let ended = Own::start(Path::new("/bin/false")).await.expect_err("false does not serve");
        assert_eq!(ended.to_string(), "/bin/false dev ended before it served: it said nothing");
        let missing = Own::start(Path::new("/nowhere/ekm")).await.expect_err("there is none");
        assert_eq!(missing.to_string(), "cannot run /nowhere/ekm; build it, or name it with --ekm");
    }
}
