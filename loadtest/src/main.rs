//! `loadtest`: an outsider that speaks the wire. It reads the command line and turns a finding into an exit code; it knows
//! nothing of the server but its address, its certificate authority and the tokens it may show.

mod client;
mod clock;
mod cloud_kms;
mod cluster;
mod compare;
mod conformance;
mod consumer;
mod cpu;
mod ctl;
mod dev;
mod exit;
mod issuer;
mod line;
mod load;
mod verify;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "loadtest", version, about = "Checks an external key manager from outside, over the wire")]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Wraps and unwraps, and checks every answer: exit 0 all right, 1 a wrong answer, 64 usage, 69 unreachable
    Verify(verify::Args),
    /// Plays Cloud KMS at a given rate and checks every answer: exit 0 all kept, 1 wrong, not kept or void, 64 usage, 69 unreachable
    Run(Box<load::Args>),
    /// Drives a bare echo and the product alternately, and says what the product costs: exit 0 kept, 1 not kept, wrong or void, 64 usage, 69 unreachable
    Compare(compare::Args),
    /// Plays services protected by a customer's key behind a stand-in for Cloud KMS: exit 0 every promise held, 1 one broken, 64 usage, 69 unreachable
    Consumer(consumer::Args),
    /// Starts and stops a whole cluster on this machine: exit 0 done, 1 refused or wrong, 64 usage, 69 not to be had
    Cluster(cluster::Args),
    /// The bare server that `compare` measures against
    #[command(hide = true)]
    Echo(compare::echo::Args),
    /// Tests any external key manager against the wire contract of Cloud EKM: exit 0 conforms, 1 it does not, 64 usage, 69 no EKM
    Conformance(Box<conformance::Args>),
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One object, for programs.
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(told) => {
            // a closed terminal leaves nobody to tell
            let _ = told.print();
            return if told.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match command.action {
        Action::Verify(args) => verify::main(&args).await,
        Action::Run(args) => load::main(&args).await,
        Action::Compare(args) => compare::main(&args).await,
        Action::Consumer(args) => consumer::main(&args).await,
        Action::Cluster(args) => cluster::main(args).await,
        Action::Echo(args) => compare::echo::main(&args),
        Action::Conformance(args) => conformance::main(&args).await,
    }
}
