//! Confirmation before harm: what a command takes away, said in words, and the name that whoever wants it types. `Harm` is pure;
//! `confirmed` asks the terminal. Must never let harm through where nobody can be asked and nobody said `--yes`.

use std::fmt;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::num::NonZeroU32;
use std::time::Duration;

use replication::ids::TenantId;
use replication::machine::policy::Subject;
use replication::machine::request::Level;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 512;

/// Whether harm was agreed to beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// By `--yes`.
    Given,
    /// The terminal is asked.
    Asked,
}

/// What a command is about to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Harm {
    DisableVersion { path: String, key: String, tenant: String },
    ScheduleDestroy { path: String, key: String, tenant: String, window: Duration },
    RemoveAlias { path: String, key: String, tenant: String },
    SetPolicy { tenant: String, level: Level },
    RemoveRule { tenant: String, level: Level, rule: String },
    ClearPolicy { tenant: String, level: Level },
    SetQuota { tenant: String, level: Level, per_second: NonZeroU32 },
    Revoke { name: String },
    Deny { subject: String, name: String, tenant: String },
}

impl Harm {
    /// Of a deny entry.
    pub(super) fn deny(subject: &Subject, tenant: &TenantId) -> Self {
        Self::Deny { subject: subject.to_string(), name: subject.name(), tenant: tenant.to_string() }
    }

    /// What must be typed to go on.
    fn name(&self) -> &str {
        match self {
            Self::DisableVersion { path, .. } | Self::ScheduleDestroy { path, .. } | Self::RemoveAlias { path, .. } => {
                path
            }
            Self::SetPolicy { tenant, level }
            | Self::ClearPolicy { tenant, level }
            | Self::SetQuota { tenant, level, .. } => name_of(tenant, level),
            Self::RemoveRule { rule, .. } => rule,
            Self::Revoke { name } | Self::Deny { name, .. } => name,
        }
    }
}

fn name_of<'a>(tenant: &'a str, level: &'a Level) -> &'a str {
    match level {
        Level::Tenant => tenant,
        Level::CryptoSpace(name) => name.as_str(),
        Level::Key(name) => name.as_str(),
    }
}

/// A level in words, for example `key payroll of tenant acme`.
pub(super) fn level_of(tenant: &str, level: &Level) -> String {
    match level {
        Level::Tenant => format!("tenant {tenant}"),
        Level::CryptoSpace(name) => format!("crypto space {name} of tenant {tenant}"),
        Level::Key(name) => format!("key {name} of tenant {tenant}"),
    }
}

/// What Google makes of a refusal with 403.
const FINAL: &str = "Cloud KMS takes that as final and disables its own key version at the first one.";

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DisableVersion { path, key, tenant } => write!(
                f,
                "This stops every wrap and unwrap with {path} (key {key} of tenant {tenant}) within seconds: data that needs it is out of \
                 reach. Cloud KMS takes that as final. `ekmctl version enable` puts it back."
            ),
            Self::ScheduleDestroy { path, key, tenant, window } => write!(
                f,
                "This destroys the material of {path} (key {key} of tenant {tenant}) when {} have passed: all data that was wrapped with \
                 it is lost then, for ever. Until then `ekmctl version restore` calls it off.",
                window_of(*window)
            ),
            Self::RemoveAlias { path, key, tenant } => write!(
                f,
                "This takes the alias {path} of key {key} of tenant {tenant} away: calls to it get 404, which \
                 Cloud KMS takes as final. The version itself stays."
            ),
            Self::SetPolicy { tenant, level } => write!(
                f,
                "This replaces the whole policy of {}: whoever it granted something that the new one does not grant is refused. {FINAL}",
                level_of(tenant, level)
            ),
            Self::RemoveRule { tenant, level, rule } => write!(
                f,
                "This takes the rule {rule} out of the policy of {}: if it was a grant, its callers are refused. {FINAL}",
                level_of(tenant, level)
            ),
            Self::ClearPolicy { tenant, level } => write!(
                f,
                "This takes the policy of {} away: it inherits from the next level, and where there is none everybody is refused. {FINAL}",
                level_of(tenant, level)
            ),
            Self::Deny { subject, tenant, .. } => write!(
                f,
                "This shuts {subject} out of tenant {tenant} on every machine at once, without preview or stages: calls get 403. {FINAL}"
            ),
            Self::SetQuota { tenant, level, per_second } => write!(
                f,
                "This limits {} to {per_second} calls a second on each frontend: calls beyond it are answered 429, and Cloud KMS tries them again.",
                level_of(tenant, level)
            ),
            Self::Revoke { name } => {
                write!(f, "This revokes {name}: their signatures count no more, and the name is not used again.")
            }
        }
    }
}

/// A window as `ekmctl` takes it, in its largest whole unit.
fn window_of(window: Duration) -> String {
    let seconds = window.as_secs();
    let (unit, name) = [(86_400, "days"), (3600, "hours"), (60, "minutes")]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .unwrap_or((1, "seconds"));
    format!("{} {name}", seconds / unit)
}

/// Harm was not agreed to; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Nobody can be asked.
    #[error("{warning}\nnothing was changed: without a terminal to ask, this needs --yes")]
    NoTerminal {
        /// What it would take away.
        warning: String,
    },
    /// Something else was typed.
    #[error("nothing was changed: {name} was not typed")]
    Declined {
        /// What had to be typed.
        name: String,
    },
    /// The terminal is gone.
    #[error("nothing was changed: the terminal cannot be read")]
    Terminal(#[source] std::io::Error),
}

/// Asks, unless `--yes` was said.
pub(super) fn confirmed(harm: &Harm, consent: Consent) -> Result<(), ConfirmError> {
    if consent == Consent::Given {
        return Ok(());
    }
    let (input, mut error) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !error.is_terminal() {
        return Err(ConfirmError::NoTerminal { warning: harm.to_string() });
    }
    let name = harm.name();
    write!(error, "{harm}\nType {name} to go on: ").map_err(ConfirmError::Terminal)?;
    let mut answer = String::new();
    let mut bounded = std::io::Read::take(input.lock(), ANSWER_BYTES_MAX);
    bounded.read_line(&mut answer).map_err(ConfirmError::Terminal)?;
    if answer.trim() == name { Ok(()) } else { Err(ConfirmError::Declined { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Level {
        Level::Key("payroll".parse().expect("a legal name"))
    }

    #[test]
    fn each_harm_says_what_it_takes_and_asks_for_the_name_of_what_is_hurt() {
        let text = |text: &str| text.to_owned();
        let of = || (text("v0/keys/00"), text("payroll"), text("acme"));
        let ((p1, k1, t1), (p2, k2, t2), (p3, k3, t3)) = (of(), of(), of());
        let window = Duration::from_hours(30 * 24);
        let table = [
            (
                Harm::DisableVersion { path: p1, key: k1, tenant: t1 },
                "v0/keys/00",
                "`ekmctl version enable` puts it back",
            ),
            (Harm::ScheduleDestroy { path: p2, key: k2, tenant: t2, window }, "v0/keys/00", "when 30 days have passed"),
            (Harm::RemoveAlias { path: p3, key: k3, tenant: t3 }, "v0/keys/00", "The version itself stays"),
            (Harm::SetPolicy { tenant: text("acme"), level: key() }, "payroll", "key payroll of tenant acme"),
            (Harm::SetPolicy { tenant: text("acme"), level: Level::Tenant }, "acme", "policy of tenant acme"),
            (Harm::RemoveRule { tenant: text("acme"), level: key(), rule: text("kms") }, "kms", "the rule kms"),
            (Harm::ClearPolicy { tenant: text("acme"), level: key() }, "payroll", "inherits from the next level"),
            (
                Harm::SetQuota { tenant: text("acme"), level: key(), per_second: NonZeroU32::MIN },
                "payroll",
                "1 calls a second",
            ),
            (Harm::Revoke { name: text("ben") }, "ben", "signatures count no more"),
        ];
        for (harm, name, said) in table {
            assert_eq!(harm.name(), name);
            assert!(harm.to_string().contains(said), "{harm}");
        }
    }

    #[test]
    fn windows_are_said_in_their_largest_whole_unit() {
        for (seconds, said) in
            [(1, "1 seconds"), (90, "90 seconds"), (120, "2 minutes"), (7200, "2 hours"), (604_800, "7 days")]
        {
            assert_eq!(window_of(Duration::from_secs(seconds)), said);
        }
    }
}
