//! Commands on deny entries.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use replication::ids::{DenyId, Email, KeyName, TenantId};
use replication::machine::deny::{DENY_MAX, DENY_MIN};

use super::version::duration;

/// What to do with deny entries.
#[derive(Debug, Subcommand)]
pub enum DenyCommand {
    /// Shut a caller out of all keys of a tenant, at once.
    ///
    /// For credentials in wrong hands. It takes two security officers with the tenant in reach: this command signs the request and writes
    /// a file, and the second officer has it carried out with `operator approve FILE`. It needs no quorum: any key store takes it and
    /// passes it on to the others, and each to its frontends. It ends by itself; what is to last is a change of policy.
    ///
    /// A frontend that is in touch answers the caller 403, which Cloud KMS takes as final; one that is out of touch answers 503, and so do
    /// all within half a minute of the entry's end.
    #[command(
        after_help = "Examples:\n  ekmctl --as dev-officer-1 deny caller mallory@example.iam.gserviceaccount.com \\\n      --tenant acme --for 24h --yes --out mallory.request\n  ekmctl --as dev-officer-2 operator approve mallory.request --yes"
    )]
    Caller {
        /// The service account.
        caller: Email,
        #[command(flatten)]
        how: DenyArgs,
    },
    /// Shut everybody out of a key of a tenant, at once.
    ///
    /// As `deny caller`, for a key with all its versions.
    #[command(
        after_help = "Examples:\n  ekmctl --as dev-officer-1 deny key payroll --tenant acme --for 12h --yes --out payroll.request\n  ekmctl --as dev-officer-2 operator approve payroll.request --yes"
    )]
    Key {
        /// The key's name.
        name: KeyName,
        #[command(flatten)]
        how: DenyArgs,
    },
    /// List whom a tenant's deny entries shut out, as the key store that is asked holds it.
    ///
    /// Ask another key store too if some were cut off from each other when the entry was made.
    #[command(after_help = "Examples:\n  ekmctl --as dev-officer-1 deny list --tenant acme")]
    List {
        /// The tenant.
        #[arg(long)]
        tenant: TenantId,
    },
    Lift(LiftArgs),
}

/// Let in again whom an entry shuts out, before it ends by itself.
///
/// Takes two security officers, as the entry did, and a quorum. If Cloud KMS was refused with 403 meanwhile it has disabled its own key
/// version: enable that too.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ekmctl --as dev-officer-1 deny lift $DENY_ENTRY --tenant acme --out lift.request\n  ekmctl --as dev-officer-2 operator approve lift.request"
)]
pub struct LiftArgs {
    /// Its id, as `deny list` shows it, or as a refusal or an audit record names it.
    pub entry: DenyId,
    /// The tenant.
    #[arg(long)]
    pub tenant: TenantId,
    /// Lift it although the key store that is asked does not list it.
    #[arg(long)]
    pub not_listed: bool,
    /// The file to write for the second officer; lift-ENTRY.request if not said.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Whose, and for how long.
#[derive(Debug, Args)]
pub struct DenyArgs {
    /// The tenant.
    #[arg(long)]
    pub tenant: TenantId,
    /// When it ends by itself: a number with s, m, h or d; from two minutes to 31 days. The second officer must
    /// consent a minute before it ends.
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    pub lasts: Duration,
    /// The file to write for the second officer; deny-SUBJECT.request if not said.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// A while for an entry: long enough that a second officer can consent while it is of use.
fn lasting(text: &str) -> Result<Duration, String> {
    let lasts = duration(text)?;
    if (2 * DENY_MIN..=DENY_MAX).contains(&lasts) {
        return Ok(lasts);
    }
    Err("a deny entry lasts from two minutes to 31 days: what is to last longer is a change of policy".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lasts_from_two_minutes_to_31_days() {
        for (text, is_legal) in [("2m", true), ("31d", true), ("119s", false), ("0s", false), ("745h", false)] {
            assert_eq!(lasting(text).is_ok(), is_legal, "{text}");
        }
    }
}
