//! The audit file on disk: opened for appending, readable by its owner alone, and synced ten times a second by a
//! thread that this owns. A power cut loses at most what came since the last sync; a killed process loses nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::log::AuditLog;

/// How long a line may wait for its sync.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// An open audit file and the thread that syncs it. Dropping it writes and syncs what is left.
pub struct AuditFile {
    log: Arc<AuditLog>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    is_asked: Mutex<bool>,
    asked: Condvar,
}

impl AuditFile {
    /// Opens the file, made if it is not there, and terminates a line that a crash tore.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let is_torn = ends_torn(&mut file)?;
        file.sync_all()?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        let synced = file.try_clone()?;
        let log = Arc::new(AuditLog::over(Box::new(file)));
        if is_torn {
            log.end_torn_line();
        }
        let stop = Arc::new(Stop::default());
        let thread = std::thread::Builder::new().name("audit-sync".to_owned()).spawn({
            let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
            move || sync_until_stopped(&log, &synced, &stop)
        })?;
        Ok(Self { log, stop, thread: Some(thread) })
    }

    /// The log that writes to it.
    pub fn log(&self) -> &Arc<AuditLog> {
        &self.log
    }
}

impl Drop for AuditFile {
    fn drop(&mut self) {
        *self.stop.is_asked.lock() = true;
        self.stop.asked.notify_all();
        if let Some(thread) = self.thread.take() {
            // a panic of the thread has been reported by the panic hook; there is nobody left to tell
            drop(thread.join());
        }
    }
}

/// Whether the file ends in the middle of a line. It is ended like any other line, so a full disk keeps nothing from starting.
fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn sync_until_stopped(log: &AuditLog, file: &File, stop: &Stop) {
    loop {
        let is_asked = {
            let mut is_asked = stop.is_asked.lock();
            if !*is_asked {
                stop.asked.wait_for(&mut is_asked, SYNC_INTERVAL);
            }
            *is_asked
        };
        // also without traffic, what the file refused is offered to it again
        log.write_out();
        if log.take_dirty() {
            match file.sync_data() {
                Ok(()) => log.synced(),
                Err(error) => log.sync_failed(&error),
            }
        }
        if is_asked {
            log.end();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_torn_line_is_terminated_and_lines_go_on_after_it() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("audit.jsonl");
        for (before, after) in [("", "new\n"), ("old\n", "old\nnew\n"), ("old\nto", "old\nto\nnew\n")] {
            std::fs::write(&path, before)?;
            let file = AuditFile::open(&path)?;
            file.log().append(b"new\n");
            assert_eq!(std::fs::read_to_string(&path)?, after, "in the file before the answer leaves");
        }
        Ok(())
    }

    #[test]
    fn only_the_owner_reads_the_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("audit.jsonl");
        drop(AuditFile::open(&path)?);
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(AuditFile::open(Path::new("/nonexistent/audit.jsonl")).is_err());
    }
}
