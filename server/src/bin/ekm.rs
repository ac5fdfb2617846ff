//! `ekm`: the server. Parses its command line, starts what is asked for, and says how it ended.
#![allow(clippy::print_stdout, reason = "a command line speaks through its streams")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use replication::ids::Email;
use server::dev::settings::DevSettings;
use server::dev::{self, DevError, DevOptions, Flags, TokenOptions};
use server::exit;
use server::frontend_process::{self, FrontendOptions, FrontendProcessError};
use server::replica::{self, ReplicaError, ReplicaOptions};
use server::settings::frontend::FrontendSettings;
use server::settings::key_store::{KeyStoreSettings, Role};
use server::settings::kind::Kind;
use server::settings::mistake::SettingsError;
use server::settings::parts::UrlPath;
use server::settings::reader::ReadBy;
use server::wire::ErrorShape;

/// An external key manager for Google Cloud KMS.
#[derive(Debug, Parser)]
#[command(name = "ekm", version)]
struct Args {
    /// What to log, as a filter such as `info` or `server=debug`.
    #[arg(long, env = "EKM_LOG", default_value = "info,openraft=error,h2=error,sled=off", global = true)]
    log: String,
    #[command(subcommand)]
    command: Command,
}

/// The last data port that leaves two for admin and health.
const PORT_MAX: i64 = 65_533;

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process on loopback, for trying it out: certificates, tokens and a demo key included.
    Dev(Box<DevArgs>),
    /// Answer Google: wrap and unwrap with the keys that key stores feed it.
    Frontend(ProcessArgs),
    /// Run one replica of a cluster: one that holds keys and answers operators, or a witness, as its settings file says.
    Keystore(KeystoreArgs),
    /// Say what is wrong with a settings file, all of it at once, or that it is in order.
    Check(CheckArgs),
}

/// What a process of a cluster is told on its command line.
#[derive(Debug, clap::Args)]
struct ProcessArgs {
    /// The settings file; `ekm check FILE` says what is wrong with it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file that appears when it is ready for the first time.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "It belongs to no cluster at first. `ekmctl cluster init` founds one on the first replica; `ekmctl cluster join` takes the others \
                        in, by the file replica.json that each writes into its data folder."
)]
struct KeystoreArgs {
    /// The settings file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file that appears when it listens.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Take a file that is stamped `dev = true`, as `ekm dev` writes it. Everything else refuses the stamp.
    #[arg(long)]
    dev: bool,
    /// The settings file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Settings stand in DIR/ekm-dev.toml. The first start makes the file and keeps its --port, --error-body and \
                  --info-path in it; later starts read it, and there a flag counts for that start only."
)]
struct DevArgs {
    #[command(subcommand)]
    command: Option<DevCommand>,
    /// Where everything is kept; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./ekm-dev")]
    data_dir: PathBuf,
    /// The data port; admin and health take the next two. 0 takes three free ones. Default: that of the
    /// settings file, else 8443.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(..=PORT_MAX))]
    port: Option<u16>,
    /// A file that appears when it serves.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// How error bodies are laid out: `google.rpc.Status` as it is, or inside {"error": …}.
    /// Default: as in the settings file, else status.
    #[arg(long, value_enum)]
    error_body: Option<ShapeArg>,
    /// A path on which GET is getInfo. Give it several times for several paths. Default: those of the settings
    /// file, else /v0/info.
    #[arg(long, value_name = "PATH")]
    info_path: Vec<UrlPath>,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Print a further token of the dev issuer.
    Token {
        /// Where everything is kept.
        #[arg(long, value_name = "DIR", default_value = "./ekm-dev")]
        data_dir: PathBuf,
        /// The caller it proves. Default: the one that the demo grant admits.
        #[arg(long)]
        email: Option<Email>,
        /// For which server. Default: this one.
        #[arg(long)]
        audience: Option<String>,
        /// For how long, in seconds; the server takes no more than an hour.
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        ttl: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShapeArg {
    Status,
    Envelope,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    if let Err(error) = server::logging::start(&args.log) {
        return exit::failure(exit::USAGE, &error);
    }
    let args = match args.command {
        Command::Dev(args) => args,
        Command::Frontend(args) => return run_frontend(args),
        Command::Keystore(args) => return keystore(args),
        Command::Check(args) => return check(&args),
    };
    match args.command {
        Some(DevCommand::Token { data_dir, email, audience, ttl }) => {
            match dev::mint(&TokenOptions { data_dir, email, audience, ttl: Duration::from_secs(ttl) }) {
                Ok(token) => {
                    println!("{token}");
                    ExitCode::SUCCESS
                }
                Err(error) => exit::failure(exit::USAGE, &error),
            }
        }
        None => run(*args),
    }
}

fn run(args: DevArgs) -> ExitCode {
    let error_shape = args.error_body.map(|shape| match shape {
        ShapeArg::Status => ErrorShape::Status,
        ShapeArg::Envelope => ErrorShape::Envelope,
    });
    let flags = Flags { port: args.port, error_shape, info_paths: args.info_path };
    let options = DevOptions { data_dir: args.data_dir, ready_file: args.ready_file, flags };
    // a reader that has gone away (`ekm dev | head`) is no reason to end
    match dev::run(options, &|text| drop(writeln!(std::io::stdout(), "{text}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ DevError::Settings(_)) => exit::failure(exit::USAGE, &error),
        Err(error) => exit::failure(exit::UNAVAILABLE, &error),
    }
}

fn run_frontend(args: ProcessArgs) -> ExitCode {
    let options = FrontendOptions { settings_file: args.file, ready_file: args.ready_file };
    match frontend_process::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ FrontendProcessError::Settings(_)) => exit::failure(exit::USAGE, &error),
        Err(error) => exit::failure(exit::UNAVAILABLE, &error),
    }
}

fn keystore(args: KeystoreArgs) -> ExitCode {
    match replica::run(&ReplicaOptions { file: args.file, ready_file: args.ready_file }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ ReplicaError::Settings(_)) => exit::failure(exit::USAGE, &error),
        Err(error) => exit::failure(exit::UNAVAILABLE, &error),
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    match settings_of(args) {
        Ok(found) => {
            println!("ok: settings of {found}");
            ExitCode::SUCCESS
        }
        Err(error) => exit::failure(exit::USAGE, &error),
    }
}

/// What the file is of, if it is in order.
fn settings_of(args: &CheckArgs) -> Result<&'static str, SettingsError> {
    let (kind, by) = if args.dev { (Kind::Dev, ReadBy::Dev) } else { (Kind::of_file(&args.file)?, ReadBy::Others) };
    Ok(match kind {
        Kind::Dev => DevSettings::load(&args.file, by).map(|_| "ekm dev")?,
        Kind::KeyStore => match KeyStoreSettings::load(&args.file)?.role {
            Role::Data { .. } => "a key store",
            Role::Witness => "a witness",
        },
        Kind::Frontend => FrontendSettings::load(&args.file).map(|_| "a frontend")?,
    })
}
