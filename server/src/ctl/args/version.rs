//! Commands on key versions and their aliases.

use std::time::Duration;

use clap::Subcommand;
use replication::ids::{KeyVersionId, parse_key_path};

/// How long a destruction can be called off if nothing is said.
const WINDOW: &str = "30d";

/// What to do with key versions.
#[derive(Debug, Subcommand)]
pub enum VersionCommand {
    /// Show a key version by its path.
    ///
    /// Shows whose it is, its state, where its material came from and, if it is to be destroyed, how long that can be called off. The
    /// path may be an alias.
    #[command(after_help = "Examples:\n  ekmctl version show $KEY_PATH")]
    Show {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
    /// Take a version out of use: wrap and unwrap with it stop. The path is in `key list`.
    ///
    /// This is revocation, within seconds and for everybody. Cloud KMS gets a final answer (400): data that needs it is out of reach,
    /// running workloads stop as they are configured to. `version enable` puts it back. Look then whether Cloud KMS has disabled its own
    /// key version too: Google says that it does so after a refusal with 403 alone.
    #[command(after_help = "Examples:\n  ekmctl version disable $KEY_PATH --yes")]
    Disable {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
    /// Schedule the destruction of a disabled version's material.
    ///
    /// Disable it first and watch that nothing needs it. Until the window has passed `version restore` calls the destruction off; after
    /// that the material is gone for ever, and so is all data that was wrapped with it. Time in which the cluster cannot commit does
    /// not count. Destroy the version at Google too.
    #[command(after_help = "Examples:\n  ekmctl version schedule-destroy $KEY_PATH --window 60d --yes")]
    ScheduleDestroy {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
        /// How long it can be called off: a number with s, m, h or d; 7 to 365 days (`ekm dev` takes a second and more).
        #[arg(long, value_name = "TIME", default_value = WINDOW, value_parser = duration)]
        window: Duration,
    },
    /// Call a destruction off: the version is disabled again, not enabled.
    ///
    /// Works until the window has passed. Enable it with `version enable` when it is to be used again.
    #[command(after_help = "Examples:\n  ekmctl version restore $KEY_PATH")]
    Restore {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
    /// Put a disabled version back into use.
    ///
    /// Acts at once. If Cloud KMS was refused with 403 meanwhile it has disabled its own key version: enable that too, with
    /// `gcloud kms keys versions enable VERSION --key KEY --keyring RING --location LOCATION`.
    #[command(after_help = "Examples:\n  ekmctl version enable $KEY_PATH")]
    Enable {
        /// Its path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
}

/// What to do with aliases.
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Give a key version a further path.
    ///
    /// The same material answers under both. Use it when a reference at Google must change (another project, another connection) and
    /// what was wrapped before must still unwrap.
    #[command(after_help = "Examples:\n  ekmctl alias create $KEY_PATH")]
    Create {
        /// The version's path, for example `v0/keys/0001…`.
        #[arg(value_parser = version_path)]
        path: KeyVersionId,
    },
    /// Take an alias away: calls to it are refused from then on.
    ///
    /// The version and its own path stay. Cloud KMS versions that name the alias get a final answer (404) from then on.
    #[command(after_help = "Examples:\n  ekmctl alias remove $ALIAS_PATH --yes")]
    Remove {
        /// The alias's path, for example `v0/keys/0001…`.
        #[arg(value_name = "ALIAS_PATH", value_parser = version_path)]
        path: KeyVersionId,
    },
}

fn version_path(text: &str) -> Result<KeyVersionId, String> {
    let told =
        "a key version's path is v0/keys/ and 32 hexadecimal digits; `ekmctl key list --tenant TENANT` shows them";
    parse_key_path(text).ok_or_else(|| told.to_owned())
}

/// `90s`, `15m`, `12h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let told = "a time is a whole number with a unit: 90s, 15m, 12h or 30d";
    let unit = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)].into_iter().find(|(unit, _)| text.ends_with(*unit));
    let seconds =
        unit.and_then(|(unit, seconds)| text.strip_suffix(unit)?.parse::<u32>().ok().map(|n| u64::from(n) * seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| told.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "30", "30 d", "-1d", "1.5h", "1w", "99999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
