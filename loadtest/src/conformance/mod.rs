//! `loadtest conformance`: tests any external key manager against the wire contract of Google Cloud EKM, from outside. It
//! changes nothing at the target but what wraps and refusals leave in its logs. CONFORMANCE.md is its page.

mod call;
mod case;
mod cases;
mod error_body;
mod expect;
mod judge;
mod options;
mod preflight;
mod report;
mod run;
mod scene;
mod sender;
mod trust;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use thiserror::Error;

use self::case::{Case, Severity};
use self::options::{OptionError, Target};
use self::report::Report;
use self::run::Parties;
use self::sender::Sender;
use crate::clock;
use crate::exit::{UNREACHABLE, USAGE, WRONG_ANSWER, complain};
use crate::issuer::Issuer;

const EXAMPLES: &str = "Examples:
  loadtest conformance --dev ./ekm-dev
  loadtest conformance --url https://ekm.example.com --ca ca.pem \\
      --issuer-key test-issuer.pem --key-id test-1 --key-path v0/keys/payroll \\
      --email service-1@gcp-sa-ekms.iam.gserviceaccount.com --junit result.xml
  loadtest conformance --dev ./ekm-dev --only tokens --only expired
  loadtest conformance --list
  loadtest conformance --issuer-key test-issuer.pem --key-id test-1 --print-key-set

Exit status: 0 every required case passed, 1 one failed, 64 wrong usage, 69 no answer, or not from an EKM.";

/// What `loadtest conformance` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Data folder of a running `ekm dev`: it says everything that other options leave out
    #[arg(long, value_name = "DIR")]
    dev: Option<PathBuf>,
    /// Where the EKM is: `https://HOST` or `https://HOST:PORT`
    #[arg(long)]
    url: Option<String>,
    /// Connect to this IP address, with or without a port, instead of looking the host up
    #[arg(long, value_name = "ADDR")]
    resolve: Option<String>,
    /// Authorities of the EKM, or its own certificate as it is registered with Cloud KMS, PEM; else this machine's authorities
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What tokens must name as their audience; else `https://` and the host
    #[arg(long)]
    audience: Option<String>,
    /// What tokens name as their issuer; else `https://accounts.google.com`
    #[arg(long)]
    issuer: Option<String>,
    /// RSA key whose public half the EKM trusts for the test, PEM
    #[arg(long, value_name = "FILE")]
    issuer_key: Option<PathBuf>,
    /// The kid of that public half in the EKM's key set; else made from the key, as `ekm dev` does
    #[arg(long, value_name = "KID")]
    key_id: Option<String>,
    /// The caller that may wrap and unwrap with the key
    #[arg(long)]
    email: Option<String>,
    /// The key, as it follows the host: v0/keys/…
    #[arg(long, value_name = "PATH")]
    key_path: Option<String>,
    /// Another key that the caller may use, for cases about two keys
    #[arg(long, value_name = "PATH")]
    second_key_path: Option<String>,
    /// A key version that is disabled, granted to the caller
    #[arg(long, value_name = "PATH")]
    disabled_key_path: Option<String>,
    /// A path that no key has; else made from that of the key
    #[arg(long, value_name = "PATH")]
    unknown_key_path: Option<String>,
    /// Try only this case or group; may be repeated
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Leave out this case or group; may be repeated
    #[arg(long, value_name = "CASE")]
    skip: Vec<String>,
    /// Which cases are tried: the required ones, or the recommended ones as well
    #[arg(long, value_enum, default_value_t = Level::Recommended)]
    level: Level,
    /// A failed recommended case is a failure too
    #[arg(long)]
    strict: bool,
    /// Print the cases instead of trying them
    #[arg(long)]
    list: bool,
    /// Print the key set (JWKS) that the EKM has to trust for the test, made from --issuer-key, instead of trying anything
    #[arg(long, conflicts_with = "list")]
    print_key_set: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Write the result as XML for build servers (`JUnit`) to this file as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Which cases are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Required,
    Recommended,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Required => Self::Required,
            Level::Recommended => Self::Recommended,
        }
    }
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One object, for programs.
    Json,
    /// XML, for build servers.
    Junit,
    /// The table of cases, with --list.
    Markdown,
}

/// The result cannot be handed over.
#[derive(Debug, Error)]
enum PrintError {
    #[error("cannot write the result to {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

/// Tries the cases and prints the result.
pub async fn main(args: &Args) -> ExitCode {
    let chosen = match chosen(args) {
        Ok(chosen) => chosen,
        Err(error) => return complain(&error, USAGE),
    };
    if args.list {
        return print(&report::list(&chosen, args.output));
    }
    if args.print_key_set {
        return match options::issuer(args) {
            Ok(issuer) => print(&format!("{:#}\n", issuer.key_set())),
            Err(error) => complain(&error, USAGE),
        };
    }
    let target = match options::target(args) {
        Ok(target) => target,
        Err(error) => return complain(&error, USAGE),
    };
    examine(args, target, &chosen).await
}

fn chosen(args: &Args) -> Result<Vec<&'static Case>, OptionError> {
    if args.output == Output::Markdown && !args.list {
        return Err(OptionError::MarkdownWithoutList);
    }
    options::chosen(args)
}

async fn examine(args: &Args, target: Target, chosen: &[&'static Case]) -> ExitCode {
    let Target { address, tls, facts, issuer, url } = target;
    let forger = Issuer::unknown(issuer.key_id());
    let parties = Parties { facts: &facts, issuer: &issuer, forger: &forger };
    let mut sender = Sender::new(address, tls);
    if let Err(error) = preflight::look(&mut sender, &parties, clock::unix_seconds()).await {
        return complain(&error, if error.is_usage() { USAGE } else { UNREACHABLE });
    }
    let (verdicts, seen) = run::run(&mut sender, &parties, chosen, clock::unix_seconds).await;
    let report = Report::new(&url, &facts.key_path, verdicts, seen);
    let text = match args.output {
        Output::Text => report.text(),
        Output::Json => report.json(),
        Output::Junit | Output::Markdown => report.junit(),
    };
    let printed = print(&text);
    if let Some(path) = &args.junit
        && let Err(cause) = fs::write(path, report.junit())
    {
        return complain(&PrintError::File { path: path.clone(), cause }, USAGE);
    }
    let failed = report.failed(Severity::Required) > 0 || (args.strict && report.failed(Severity::Recommended) > 0);
    if failed { ExitCode::from(WRONG_ANSWER) } else { printed }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, WRONG_ANSWER),
    }
}
