//! `loadtest`: an outsider that speaks the wire. It reads the command line and turns a finding into an exit code; it knows
//! nothing of the server but its address, its certificate authority and one token.

mod client;
mod dev;
mod report;
mod run;
mod verify;
mod wire;

use std::error::Error;
use std::io::{self, Write};
use std::iter;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::client::ClientError;
use crate::dev::DevServer;

/// A wrong answer was seen.
const WRONG_ANSWER: u8 = 1;
/// The command line, or the folder it names, is unusable.
const USAGE: u8 = 64;
/// The server cannot be reached.
const UNREACHABLE: u8 = 69;

#[derive(Parser)]
#[command(name = "loadtest", version, about = "Checks an external key manager from outside, over the wire")]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Wraps and unwraps, and checks every answer: exit 0 all right, 1 a wrong answer, 64 usage, 69 unreachable
    Verify(Verify),
}

#[derive(Args)]
struct Verify {
    /// Data folder of a running `ekm dev`
    #[arg(long, value_name = "DIR")]
    dev: PathBuf,
    /// Plaintexts to wrap, each with a round trip and one further check; 60 meet every combination
    #[arg(long, value_name = "N", default_value = "1000")]
    count: NonZeroU64,
    /// Connections that work at the same time, each with one call under way
    #[arg(long, value_name = "C", default_value = "4")]
    connections: NonZeroU16,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(told) => {
            // a closed terminal leaves nobody to tell
            let _ = told.print();
            return if told.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let Action::Verify(asked) = command.action;
    match dev::read(&asked.dev) {
        Ok(server) => verify(&server, &asked).await,
        Err(error) => complain(&error, USAGE),
    }
}

#[expect(clippy::disallowed_methods, reason = "the length of the run is measured, with the clock of this machine")]
async fn verify(server: &DevServer, asked: &Verify) -> ExitCode {
    let started_at = Instant::now();
    let report = match run::run(server, asked.count, asked.connections).await {
        Ok(report) => report,
        Err(error) => return complain(&error, code_of(&error)),
    };
    let mut out = io::stdout().lock();
    let printed = match asked.output {
        Output::Text => report.print_text(started_at.elapsed(), &mut out),
        Output::Json => report.print_json(started_at.elapsed(), &mut out),
    };
    match printed {
        Err(error) => complain(&error, WRONG_ANSWER),
        Ok(()) if report.is_clean() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(WRONG_ANSWER),
    }
}

const fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::Authority(_) | ClientError::NoAuthority | ClientError::Setup(_) => USAGE,
        ClientError::Unresolved { .. } | ClientError::NoAddress { .. } | ClientError::Unreachable { .. } => UNREACHABLE,
    }
}

/// Says what went wrong, down to its cause.
fn complain(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    let words: Vec<String> = iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    // a closed terminal leaves nobody to tell
    let _ = writeln!(io::stderr(), "error: {}", words.join(": "));
    ExitCode::from(code)
}
