//! What two sources tell of, the status of the cluster and the metrics of its health listener, in one set of words. Pure.

use std::time::Duration;

use replication::freshness::{FRESH_MAX, bound};
use replication::machine::rows::Staleness;

use super::notes::Notes;

/// A certificate that ends within this time is warned of, as the log does.
pub(super) const CERTIFICATE_WARNING: Duration = Duration::from_hours(14 * 24);
/// The classes that get 503 beyond their bound, with it. Tenants of `available` are served beyond theirs, with an alarm.
const CLASSES: [(&str, Duration); 2] = [("strict", bound(Staleness::Strict)), ("balanced", bound(Staleness::Balanced))];

pub(super) fn halted(notes: &mut Notes, group: &str, entry: Option<u64>) {
    let at = entry.map(|entry| format!(" at entry {entry}")).unwrap_or_default();
    notes.broken(
        format!("group {group} has halted{at}: this release cannot decode what stands there"),
        "operators now: changes are refused; callers by class as the view ages: strict after 5 min, balanced after a day get 503",
        "start the release that wrote the entry on the same data; nothing is lost",
    );
}

pub(super) fn stale(notes: &mut Notes, group: &str, age: f64) {
    if age <= FRESH_MAX.as_secs_f64() {
        return;
    }
    let is_beyond = |bound: &Duration| age >= bound.as_secs_f64();
    let refused: Vec<&str> = CLASSES.iter().filter(|(_, bound)| is_beyond(bound)).map(|(class, _)| *class).collect();
    let next = CLASSES.iter().find(|(_, bound)| !is_beyond(bound));
    let now = if refused.is_empty() {
        String::new()
    } else {
        format!("tenants of class {} get 503 now; ", refused.join(" and "))
    };
    let then = next.map_or_else(
        || "tenants of class available are served, with an alarm after 7 days".to_owned(),
        |(class, bound)| format!("tenants of class {class} get 503 in {}", span(bound.as_secs_f64() - age)),
    );
    let hurts = format!("{now}{then}; callers of unknown keys or without a grant get 503 at once");
    notes.broken(
        format!("the view of group {group} was last confirmed {} ago", span(age)),
        &hurts,
        "the group has no leader, or this machine does not reach it: look at the other replicas and the network between",
    );
}

pub(super) fn unready(notes: &mut Notes, reasons: &[String]) {
    notes.broken(
        format!("the machine is not ready: {}", reasons.join("; ")),
        "callers whom the load balancer sends here; it takes the machine out if others are ready",
        "do what the reason names; the probe looks again every half second",
    );
}

pub(super) fn shard_is_down(notes: &mut Notes, shard: &str, why: &str) {
    let of = format!("shard {shard} does not serve");
    if notes.told(&of) {
        return;
    }
    notes.broken(
        format!("{of}{why}"),
        "its tenants' operators now; its callers as the view ages, or at once after a restart; unknown keys of all shards get 503, not 404",
        "do what the reason says: runbooks/shards.md; the other shards go on meanwhile",
    );
}

pub(super) fn disk_is_short(notes: &mut Notes) {
    notes.broken(
        "the disk is nearly full: changes are refused",
        "operators: nothing can be created, granted or disabled; callers are served",
        "make room: runbooks/full-disk.md",
    );
}

pub(super) fn audit_is_lost(notes: &mut Notes) {
    notes.warning(
        "audit records were lost since the start",
        "auditors: the file says at the place how many are missing; callers are served",
        "make room for the audit file: runbooks/full-disk.md",
    );
}

pub(super) fn certificate_ends(notes: &mut Notes, listener: &str, left_seconds: f64) {
    let of = format!("the certificate of the {listener} listener ");
    let hurts = "whoever calls that listener: on the data listener Cloud KMS, which then takes the endpoint for down";
    if notes.told(&of) {
        return;
    }
    if left_seconds <= 0.0 {
        notes.broken(format!("{of}has expired"), hurts, "put a new certificate in place: runbooks/certificates.md");
    } else if left_seconds < CERTIFICATE_WARNING.as_secs_f64() {
        notes.warning(
            format!("{of}ends in {}", span(left_seconds)),
            hurts,
            "add the next one at Google first, then put it in place: runbooks/certificates.md",
        );
    }
}

pub(super) fn days(seconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown in days")]
    span(seconds as f64)
}

/// A span of time as a person says it.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
