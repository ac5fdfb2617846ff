//! `loadtest cluster`: a whole cluster on this machine, with two sites, a witness and a load balancer. It runs the server's programs
//! as an operator would and shares no code with them; what it makes is for trying out and for breaking.

mod balanced;
mod certificates;
mod crew;
mod demo;
mod error;
mod file;
mod haproxy;
mod layout;
mod members;
mod plan;
mod prepare;
mod programs;
mod settings;
mod start;
mod steps;
mod stop;
mod summary;
mod token;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::exit::complain;

/// The first port, if nothing else is asked for.
const BASE_PORT_DEFAULT: u16 = 21_000;

/// What `loadtest cluster` is told.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Starts the cluster below a folder, which is made at the first start
    #[command(after_help = EXAMPLES)]
    Start(StartArgs),
    /// Stops it; its data stays
    Stop(StopArgs),
    /// Prints a token of an hour for the demo key, and renews the token file
    Token(TokenArgs),
}

const EXAMPLES: &str = "Examples:
  loadtest cluster start --dir ./cluster
  loadtest verify --dev ./cluster
  loadtest cluster stop --dir ./cluster

Two sites, a and b, of three machines each; on each machine a key store and a frontend; a witness w1; HAProxy before the frontends.
a1, a2, b1, b2 and w1 vote; a3 and b3 learn. All of it listens on 127.0.0.1.

Exit status: 0 the cluster serves, 1 a step was refused or a call answered wrongly, 64 wrong usage, 69 something is not there.";

/// What `loadtest cluster start` is told.
#[derive(clap::Args)]
struct StartArgs {
    /// The folder of the cluster
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The first of 39 ports in a row, the load balancer's; 0 takes free ones. Default: 21000, and later those of the first start
    #[arg(long, value_name = "P")]
    base_port: Option<u16>,
    /// The folder of ekm and ekmctl. Default: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// The program haproxy. Default: the one on the path, or in /usr/sbin
    #[arg(long, value_name = "PATH")]
    haproxy: Option<PathBuf>,
}

/// What `loadtest cluster stop` is told.
#[derive(clap::Args)]
struct StopArgs {
    /// The folder of the cluster
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// What `loadtest cluster token` is told.
#[derive(clap::Args)]
struct TokenArgs {
    /// The folder of a cluster that runs
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Does what was asked, and says so.
pub async fn main(args: Args) -> ExitCode {
    let done = match args.action {
        Action::Start(args) => match start::start(&args).await {
            Ok(text) => Ok(text),
            Err(failed) => return failed.tell(),
        },
        Action::Stop(args) => stop::stop(&args.dir).await,
        Action::Token(args) => token::renew(&args.dir),
    };
    match done {
        Ok(text) => {
            // a closed terminal leaves nobody to tell
            let _ = writeln!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, error.code()),
    }
}
