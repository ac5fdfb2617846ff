//! `ekmctl`: the operator's command line. Parses, runs, prints; everything else is in the library.
#![allow(clippy::print_stderr, reason = "a command line speaks through its streams")]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use server::crypto::harden_process;
use server::ctl::{Args, Output, run};
use server::exit;

fn main() -> ExitCode {
    // it holds the operator's key, and material on its way in
    if let Err(error) = harden_process() {
        return exit::failure(exit::OS, &error);
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failure(exit::OS, &error),
    };
    match runtime.block_on(run(&args)) {
        Ok(printed) => match writeln!(std::io::stdout(), "{}", printed.render(args.output)) {
            Ok(()) => ExitCode::from(printed.exit_code()),
            // whoever read the answer has read enough of it
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(printed.exit_code()),
            Err(error) => exit::failure(exit::LOCAL_FILE, &error),
        },
        Err(error) if args.output == Output::Json => exit::failure_json(error.exit_code(), &error),
        Err(error) => exit::failure(error.exit_code(), &error),
    }
}
