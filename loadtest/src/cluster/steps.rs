//! Where a start is: told on standard error while it goes on, and with the end of a log if it fails.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::error::ClusterError;
use super::layout::Layout;
use crate::exit::complain;

/// So many lines of a log are shown.
const LINES_MAX: usize = 20;
/// They are looked for in the last so many bytes of it.
const TAIL_BYTES: u64 = 64 * 1024;

/// The step under way, and the process that it is about.
#[derive(Debug, Default)]
pub struct Steps {
    current: String,
    about: Option<String>,
}

/// A start that came to nothing.
pub struct Failed {
    cause: ClusterError,
    step: String,
    /// A log and the end of it.
    said: Option<(PathBuf, Vec<String>)>,
}

impl Steps {
    /// Begins a step; its process is the one whose log tells most if it fails.
    pub fn enter(&mut self, step: impl Into<String>, about: Option<String>) {
        self.current = step.into();
        self.about = about;
        // a closed terminal leaves nobody to tell
        let _ = writeln!(io::stderr(), "{} ...", self.current);
    }

    /// The step that was under way failed.
    pub fn failed(self, cause: ClusterError, layout: &Layout) -> Failed {
        let process = cause.process().map(ToOwned::to_owned).or(self.about);
        let log = process.map(|process| layout.log(&process));
        let said = log.and_then(|log| Some((last_lines(&log)?, log)));
        Failed { cause, step: self.current, said: said.map(|(lines, log)| (log, lines)) }
    }
}

impl From<ClusterError> for Failed {
    /// Before the first step, when there is no log.
    fn from(cause: ClusterError) -> Self {
        Self { cause, step: String::new(), said: None }
    }
}

impl Failed {
    /// Says what failed and why.
    pub fn tell(&self) -> ExitCode {
        let mut err = io::stderr();
        if let Some((log, lines)) = &self.said {
            // a closed terminal leaves nobody to tell
            let _ = writeln!(err, "--- the last lines of {}\n{}\n---", log.display(), lines.join("\n"));
        }
        if !self.step.is_empty() {
            let _ = writeln!(err, "failed: {}; what was started is ended", self.step);
        }
        complain(&self.cause, self.cause.code())
    }
}

/// The last lines of a file; `None` if there are none.
fn last_lines(path: &Path) -> Option<Vec<String>> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    (!last.is_empty()).then(|| last.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_log_of_the_process_that_failed_is_shown_from_its_end() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        fs::create_dir(folder.path().join("logs")).expect("the folder is writable");
        let many: Vec<String> = (0..100_000).map(|line| format!("line {line}")).collect();
        fs::write(layout.log("keystore-b1"), many.join("\n")).expect("the folder is writable");
        let steps = || Steps { current: "starting".to_owned(), about: Some("keystore-a1".to_owned()) };
        let ended = ClusterError::Ended { process: "keystore-b1".to_owned(), status: "exit status: 64".to_owned() };
        let (log, lines) = steps().failed(ended, &layout).said.expect("there is a log");
        assert_eq!((log, lines.len()), (layout.log("keystore-b1"), LINES_MAX));
        assert_eq!(lines.last().map(String::as_str), Some("line 99999"));
        let none = steps().failed(ClusterError::NoBalancer, &layout);
        assert!(none.said.is_none(), "keystore-a1 has no log");
    }
}
