//! `loadtest verify`: wraps and unwraps, one case after the other, and checks every answer. Measures only in passing.

pub mod judge;
mod report;
mod run;

use std::io;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::client::ClientError;
use crate::clock;
use crate::dev::{self, DevServer};
use crate::exit::{UNREACHABLE, USAGE, WRONG_ANSWER, complain};

/// What `loadtest verify` is told.
#[derive(clap::Args)]
pub struct Args {
    /// Data folder of a running `ekm dev` or cluster
    #[arg(long, value_name = "DIR")]
    dev: PathBuf,
    /// Plaintexts to wrap, each with a round trip and one further check; 60 meet every combination
    #[arg(long, value_name = "N", default_value = "1000")]
    count: NonZeroU64,
    /// Connections that work at the same time, each with one call under way
    #[arg(long, value_name = "C", default_value = "4")]
    connections: NonZeroU16,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = crate::Output::Text)]
    output: crate::Output,
}

/// Goes through the cases and prints the report.
pub async fn main(args: &Args) -> ExitCode {
    match dev::read(&args.dev) {
        Ok(server) => verify(&server, args).await,
        Err(error) => complain(&error, USAGE),
    }
}

async fn verify(server: &DevServer, args: &Args) -> ExitCode {
    let started_at = clock::now();
    let report = match run::run(server, args.count, args.connections).await {
        Ok(report) => report,
        Err(error) => return complain(&error, code_of(&error)),
    };
    let mut out = io::stdout().lock();
    let printed = match args.output {
        crate::Output::Text => report.print_text(started_at.elapsed(), &mut out),
        crate::Output::Json => report.print_json(started_at.elapsed(), &mut out),
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
