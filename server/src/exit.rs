//! How the programs end: exit statuses as in sysexits, and errors told with their causes.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

/// The request was refused, or `doctor` found something broken.
pub const REFUSED: u8 = 1;
/// It is not known whether a change was made.
pub const UNKNOWN: u8 = 2;
/// Wrong usage, or settings that cannot be used.
pub const USAGE: u8 = 64;
/// Something that is needed does not answer.
pub const UNAVAILABLE: u8 = 69;
/// The operating system refused something.
pub const OS: u8 = 71;
/// A local file cannot be read or written.
pub const LOCAL_FILE: u8 = 74;
/// Not now; nothing was changed, and later the same may succeed.
pub const TRY_LATER: u8 = 75;

/// Prints what the command line parser said; help and version are no errors.
pub fn usage(error: &clap::Error) -> ExitCode {
    // nothing is left to do if the terminal is gone
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints an error with its causes, one a line, and gives the exit status.
pub fn failure(code: u8, error: &dyn Error) -> ExitCode {
    // a full disk behind the stream must not turn the exit status into that of a panic
    let _ = writeln!(std::io::stderr(), "error: {}", with_causes(error));
    ExitCode::from(code)
}

/// Prints an error for programs, as `{"error": {"exit_status": …, "message": …}}`, and gives the exit status.
pub fn failure_json(code: u8, error: &dyn Error) -> ExitCode {
    let body = serde_json::json!({"error": {"exit_status": code, "message": with_causes(error)}});
    // as above
    let _ = writeln!(std::io::stderr(), "{body}");
    ExitCode::from(code)
}

/// An error and the errors that caused it, one a line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  caused by: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
