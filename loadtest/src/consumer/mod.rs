//! `loadtest consumer`: plays services that are protected by a customer's key, behind a stand-in for Cloud KMS that calls the
//! real product, and checks what they see. Shares no code with the server: operators' moves are made by `ekmctl`.

mod event;
mod play;
mod premises;
mod promise;
mod report;
#[cfg(test)]
mod runbook_tests;
mod scenario;
mod symptom;
mod words;
mod workload;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use crate::cloud_kms::{CryptoKey, judge};
use crate::ctl::Ctl;
use crate::dev::{self, DevError};
use crate::exit::{UNREACHABLE, USAGE, WRONG_ANSWER, complain};
use play::{Clock, Played};
use premises::own::{self, Own, OwnError};
use premises::real::{Real, RealError};
use premises::site::{Site, SiteError};
use scenario::Name;

/// Bytes of a data key.
const DATA_KEY_BYTES: usize = 32;

/// What `loadtest consumer` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Data folder of a running `ekm dev` or cluster; without it, one is started and ended. `overloaded` always starts its own
    #[arg(long, value_name = "DIR")]
    dev: Option<PathBuf>,
    /// A scenario to play; several times for several. Default: all
    #[arg(long, value_name = "NAME", value_enum)]
    scenario: Vec<Name>,
    /// How long an hour of the service takes, for example 200ms or 1s
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    hour: Duration,
    /// How long one call of the key manager may take; Google allows 150ms
    #[arg(long, value_name = "TIME", default_value = "150ms", value_parser = duration)]
    deadline: Duration,
    /// The program `ekm`. Default: the one beside this program
    #[arg(long, value_name = "FILE")]
    ekm: Option<PathBuf>,
    /// The program `ekmctl`. Default: the one beside this program
    #[arg(long, value_name = "FILE")]
    ekmctl: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = crate::Output::Text)]
    output: crate::Output,
}

const EXAMPLES: &str = "Examples:
  loadtest consumer
  loadtest consumer --dev ./ekm-dev --scenario revocation-test --scenario unreachable --output json

Exit status: 0 every promise held, 1 one was broken, 64 wrong usage, 69 the server cannot be reached.";

/// Why nothing could be played.
#[derive(Debug, Error)]
enum ConsumerError {
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Dev(#[from] DevError),
    #[error(transparent)]
    Real(#[from] RealError),
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error("it is not known where this program is; name the others with --ekm and --ekmctl")]
    Unplaced(#[source] io::Error),
    #[error("no random bytes can be had")]
    Entropy(#[from] getrandom::Error),
}

impl ConsumerError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Site(error) if error.is_unreachable() => UNREACHABLE,
            Self::Real(error) if error.is_unreachable() => UNREACHABLE,
            Self::Own(OwnError::Ended { .. } | OwnError::TooSlow { .. }) => UNREACHABLE,
            Self::Site(_) | Self::Dev(_) | Self::Real(_) | Self::Own(_) | Self::Unplaced(_) | Self::Entropy(_) => USAGE,
        }
    }
}

/// Plays the scenarios and prints the report.
pub async fn main(args: &Args) -> ExitCode {
    let played = match play_all(args).await {
        Ok(played) => played,
        Err(error) => return complain(&error, error.exit_code()),
    };
    let mut out = io::stdout().lock();
    let printed = match args.output {
        crate::Output::Text => report::print_sum(&played, &mut out),
        crate::Output::Json => report::print_json(&played, &mut out),
    };
    match printed {
        Err(error) => complain(&error, WRONG_ANSWER),
        Ok(()) if played.iter().all(|one| one.broken.is_empty()) => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(WRONG_ANSWER),
    }
}

async fn play_all(args: &Args) -> Result<Vec<Played>, ConsumerError> {
    let names =
        if args.scenario.is_empty() { scenario::ALL.map(|one| one.name).to_vec() } else { args.scenario.clone() };
    let ekmctl = beside(args.ekmctl.as_ref(), "ekmctl")?;
    let needs_own = |name: Name| args.dev.is_none() || name == Name::Overloaded;
    let own = if names.iter().any(|name| needs_own(*name)) {
        Some(Own::start(&beside(args.ekm.as_ref(), "ekm")?).await?)
    } else {
        None
    };
    let mut played = Vec::new();
    for name in names {
        let (folder, places) = match (&args.dev, &own) {
            (Some(dev), _) if !needs_own(name) => (dev.clone(), None),
            (_, Some(own)) => (own.data(), Some(own::PLACES)),
            (_, None) => unreachable!("an own server is started wherever one is needed"),
        };
        let site = Site::read(&folder).await?;
        let real = Real::prepare(&site, Ctl::new(ekmctl.clone(), dev::access(&folder)?), args.deadline, places).await?;
        let mut key = CryptoKey::new(real.project, "cmek", judge);
        key.register(&real.path);
        let data_keys = [data_key()?, data_key()?, data_key()?];
        let one = play::play(name.scenario(), &real, key, data_keys, Clock::start(args.hour)).await;
        if args.output == crate::Output::Text {
            told(&one);
        }
        played.push(one);
    }
    Ok(played)
}

/// A story is printed when it is over, so that a long run shows something.
fn told(played: &Played) {
    let mut out = io::stdout().lock();
    // a closed terminal leaves nobody to tell
    let _ = report::print_story(played, &mut out).and_then(|()| out.flush());
}

fn data_key() -> Result<Vec<u8>, getrandom::Error> {
    let mut bytes = vec![0; DATA_KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The program that is named, or the one of this name beside this one.
fn beside(named: Option<&PathBuf>, name: &str) -> Result<PathBuf, ConsumerError> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    Ok(std::env::current_exe().map_err(ConsumerError::Unplaced)?.with_file_name(name))
}

/// Reads `200ms` or `2s`; not nothing.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len()));
    let parsed = number.parse().ok().and_then(|number: u32| match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        _ => None,
    });
    parsed.filter(|length| !length.is_zero()).ok_or_else(|| "write a time such as 200ms or 2s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        for text in ["", "0ms", "2", "ms", "2m", "-1s", "1.5s", "99999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
