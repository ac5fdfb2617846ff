//! `loadtest run`: plays Cloud KMS at a given rate in an open loop, checks every answer, and says honestly how late it was itself.
//! It reads the command line, puts the run together, prints what it found, and turns that into an exit code.

mod blobs;
mod conductor;
mod expect;
mod habits;
mod html;
mod plots;
mod progress;
mod report;
mod schedule;
mod tally;
mod target;
pub mod tokens;
mod verdict;
mod weighted;
mod worker;

use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use crate::cpu::{self, CpuError, Process};
use crate::exit::{UNREACHABLE, USAGE, WRONG_ANSWER, complain};
use conductor::{Conductor, RunError};
use habits::Habit;
use progress::Progress;
use report::{Circumstances, Page};
use schedule::{Operation, Plan, Spread};
use tally::Tally;
use target::{Target, TargetArgs};
use verdict::Demands;
use weighted::{Size, Weighted};

/// Calls a second beyond this are no single generator's work.
const RATE_MAX: f64 = 1_000_000.0;
/// The longest run, in seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;
/// The mix without another: mostly unwraps, as Cloud KMS makes them.
const MIX: &str = "wrap=20,unwrap=74,other-aad=5,no-token=1";
/// Plaintexts without another: mostly what a data key makes, and a tail up to the most.
const SIZES: &str = "64=900,0=5,256=50,1024=25,4096=15,16384=3,65536=2";
const ASSOCIATED_SIZES: &str = "0=50,32=45,1024=5";

/// What `loadtest run` is told.
#[derive(clap::Args)]
#[command(after_help = "\
The schedule is decided before the run by seed, rate and mix. A latency counts from the intended start of its call, however late the \
call was sent; the generator reports its own lateness, and a run that it could not offer is void. Calls that are told to try again \
(429, 503, 504) and calls without an answer are errors; every other answer that is not the right one is wrong.

Habits (--habits NAME=WEIGHT,...): plain, no-context, null-context, no-justification, null-justification, empty-reason, \
unspecified-reason, reason-number, unknown-reason, unknown-reason-number, health-check, no-health-check, null-health-check, unpadded, \
url-safe, url-safe-unpadded, unknown-fields, key-path-in-body. Default: all, mostly plain. A key whose policy asks for a reason \
refuses some of them rightly: take plain=1 for it.

Exit codes: 0 offered, and every demand kept; 1 a wrong answer, a demand not kept, or a void run; 64 usage; 69 unreachable.

Examples:
  loadtest run --dev ./ekm-dev --rate 500 --duration 10
  loadtest run --dev ./ekm-dev --rate 2000 --duration 60 --html report.html --good-min 0.999
  loadtest run --dev ./ekm-dev --rate 500 --output json | jq .latency.p99_seconds
  loadtest run --url https://ekm.example --ca ca.pem --key-path v0/keys/abc \\
      --token-file token --rate 100
  loadtest run --dev ./ekm-dev --issuer-key ./ekm-dev/issuer/issuer-key.pem --rate 500 \\
      --hot-share 0.8 --key-path v0/keys/abc \\
      --key-path v0/keys/def=service-1@gcp-sa-ekms.iam.gserviceaccount.com")]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    demands: DemandArgs,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = crate::Output::Text)]
    output: crate::Output,
    /// Write the report with its plots into this file, for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is asked for.
#[derive(clap::Args)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// Calls a second
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: f64,
    /// Length of the run in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// How calls are spread over time
    #[arg(long, value_enum, default_value_t = Spread::Poisson)]
    spread: Spread,
    /// Decides every choice of the run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Connections, each with one call under way
    #[arg(long, value_name = "C", default_value = "64")]
    connections: NonZeroU16,
    /// Shares of wrap, unwrap, other-aad (must be refused) and no-token (must be refused)
    #[arg(long, value_name = "OPERATION=WEIGHT,...", default_value = MIX)]
    mix: Weighted<Operation>,
    /// Sizes of plaintexts in bytes
    #[arg(long, value_name = "BYTES=WEIGHT,...", default_value = SIZES)]
    sizes: Weighted<Size>,
    /// Sizes of associated data in bytes
    #[arg(long, value_name = "BYTES=WEIGHT,...", default_value = ASSOCIATED_SIZES)]
    aad_sizes: Weighted<Size>,
    /// How calls are written; see below
    #[arg(long, value_name = "NAME=WEIGHT,...")]
    habits: Option<Weighted<&'static Habit>>,
    /// The share of the first key; the others share the rest evenly
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = share)]
    hot_share: f64,
}

/// What is demanded.
#[derive(clap::Args)]
#[command(next_help_heading = "Demands")]
struct DemandArgs {
    /// Share of calls that may be told to try again or go unanswered
    #[arg(long, value_name = "SHARE", default_value = "0.001", value_parser = share)]
    errors_max: f64,
    /// An answer is good if it is right and comes within so many milliseconds of its intended start
    #[arg(long, value_name = "MS", default_value_t = 90)]
    good_within: u32,
    /// Share of calls that must be answered well
    #[arg(long, value_name = "SHARE", value_parser = share)]
    good_min: Option<f64>,
    /// The run is void if the generator was later than so many milliseconds at the 99th percentile
    #[arg(long, value_name = "MS", default_value_t = 10)]
    lateness_max: u32,
}

/// Why a quantity is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum QuantityError {
    /// No number.
    #[error("not a number")]
    NoNumber,
    /// Beyond what is allowed.
    #[error("give a number {0}")]
    Beyond(&'static str),
}

fn number(text: &str) -> Result<f64, QuantityError> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or(QuantityError::NoNumber)
}

fn rate(text: &str) -> Result<f64, QuantityError> {
    let rate = number(text)?;
    if rate > 0.0 && rate <= RATE_MAX { Ok(rate) } else { Err(QuantityError::Beyond("above 0, up to 1000000")) }
}

fn seconds(text: &str) -> Result<Duration, QuantityError> {
    let seconds = number(text.strip_suffix('s').unwrap_or(text))?;
    if (0.1..=SECONDS_MAX).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(QuantityError::Beyond("of seconds from 0.1 to 86400"))
    }
}

fn share(text: &str) -> Result<f64, QuantityError> {
    let share = number(text)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(QuantityError::Beyond("from 0 to 1")) }
}

/// Why there is no report.
#[derive(Debug, Error)]
enum LoadError {
    /// The run did not take place.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The generator's own cost cannot be told.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The page cannot be written.
    #[error("cannot write {}", path.display())]
    Html {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The report cannot be printed.
    #[error("cannot print the report")]
    Print(#[from] io::Error),
}

impl LoadError {
    const fn code(&self) -> u8 {
        match self {
            Self::Run(RunError::Line(_)) => UNREACHABLE,
            Self::Run(RunError::Wrong { .. } | RunError::Timer(_)) | Self::Cpu(_) | Self::Print(_) => WRONG_ANSWER,
            Self::Html { .. } => USAGE,
        }
    }
}

/// Runs, prints and judges.
pub async fn main(args: &Args) -> ExitCode {
    let mut target = match args.target.resolve().await {
        Ok(target) => target,
        Err(error) => return complain(&error, if error.is_unreachable() { UNREACHABLE } else { USAGE }),
    };
    match run(args, &mut target).await {
        Ok(page) if page.is_passed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(WRONG_ANSWER),
        Err(error) => complain(&error, error.code()),
    }
}

async fn run(args: &Args, target: &mut Target) -> Result<Page, LoadError> {
    // an hour's report must not be lost to a folder that is not there
    if let Some(path) = &args.html {
        fs::write(path, "").map_err(|cause| LoadError::Html { path: path.clone(), cause })?;
    }
    let plan = args.load.plan(target.keys.len());
    let within = Duration::from_millis(args.demands.good_within.into());
    let connections = args.load.connections.get();
    let tally = Tally::new(plan.duration, within);
    let conductor = Conductor::prepare(&plan, target, connections, tally).await?;
    let before = cpu::spent(Process::Own)?;
    let tally = conductor.run(&mut Progress::new(plan.duration)).await?;
    let around = Circumstances {
        connections,
        within,
        token_renewals_failed: target.tokens.failures(),
        generator_cpu: cpu::spent(Process::Own)?.saturating_sub(before),
    };
    let page = Page::new(&plan, tally, args.demands.all(), &around);
    let mut out = io::stdout().lock();
    match args.output {
        crate::Output::Text => page.print_text(&mut out)?,
        crate::Output::Json => page.print_json(&mut out)?,
    }
    if let Some(path) = &args.html {
        fs::write(path, html::render(&page)).map_err(|cause| LoadError::Html { path: path.clone(), cause })?;
    }
    Ok(page)
}

impl LoadArgs {
    fn plan(&self, keys: usize) -> Plan {
        Plan {
            seed: self.seed,
            rate: self.rate,
            duration: self.duration,
            spread: self.spread,
            mix: self.mix.clone(),
            sizes: self.sizes.clone(),
            associated_sizes: self.aad_sizes.clone(),
            keys,
            hot_share: self.hot_share,
            habits: self.habits.clone().unwrap_or_else(Plan::all_habits),
        }
    }
}

impl DemandArgs {
    fn all(&self) -> Demands {
        Demands {
            lateness_max: Duration::from_millis(self.lateness_max.into()),
            errors_max: self.errors_max,
            good_min: self.good_min,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_beyond_their_bounds_are_refused_with_the_bounds() {
        assert_eq!((rate("500"), seconds("2.5s")), (Ok(500.0), Ok(Duration::from_millis(2500))));
        for bad in ["0", "-1", "1e9"] {
            assert_eq!(rate(bad), Err(QuantityError::Beyond("above 0, up to 1000000")), "{bad}");
        }
        assert_eq!(
            (rate("x"), rate("NaN"), seconds("inf")),
            (Err(QuantityError::NoNumber), Err(QuantityError::NoNumber), Err(QuantityError::NoNumber))
        );
        assert!(seconds("0.01").is_err() && seconds("86401").is_err() && share("1.1").is_err() && share("1").is_ok());
    }

    #[test]
    fn the_defaults_can_be_read_and_the_sizes_reach_the_most() {
        assert!(MIX.parse::<Weighted<Operation>>().is_ok());
        let sizes: Weighted<Size> = SIZES.parse().expect("the default is a right list");
        assert_eq!(sizes.choices().map(|size| size.0).max(), Some(65536));
        assert!(ASSOCIATED_SIZES.parse::<Weighted<Size>>().is_ok());
    }
}
