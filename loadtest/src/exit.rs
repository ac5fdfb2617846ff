//! How `loadtest` ends: exit statuses, and errors told with their causes.

use std::error::Error;
use std::io::{self, Write as _};
use std::iter;
use std::process::ExitCode;

/// A wrong answer was seen, or a promise not kept.
pub const WRONG_ANSWER: u8 = 1;
/// The command line, or a file it names, is unusable.
pub const USAGE: u8 = 64;
/// The server cannot be reached.
pub const UNREACHABLE: u8 = 69;

/// Says what went wrong, down to its cause.
pub fn complain(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    // a closed terminal leaves nobody to tell
    let _ = writeln!(io::stderr(), "error: {}", words(error));
    ExitCode::from(code)
}

/// An error and its causes, in one line.
pub fn words(error: &(dyn Error + 'static)) -> String {
    let words: Vec<String> = iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    words.join(": ")
}

/// Waits for an interrupt or a request to end, and says the exit code that shells give to it.
pub async fn interrupted() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // without handlers a signal ends the process as it always does
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}
