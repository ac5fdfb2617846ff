//! From what was seen to what is wrong, whom it hurts and what to do. Pure: reads no clock and calls nobody.

use std::time::Duration;

use super::notes::Notes;
use super::observed::{Admin, DevFolder, Health, HealthAnswer, Identity, Observed, Process, TlsTrouble};
use super::troubles::{
    CERTIFICATE_WARNING, audit_is_lost, certificate_ends, days, disk_is_short, halted, shard_is_down, span, stale,
    unready,
};
use super::{Diagnosis, Severity};
use crate::admin::wire::{FailureCode, Status};
use crate::ctl::print::safe;

/// Two clocks that are further apart than this are not believed: times in tokens are judged by them.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(30);
/// Less free room than this is warned of.
const FREE_BYTES_WARNING: u64 = 1 << 30;

/// What is wrong, the worst first.
pub(super) fn diagnose(seen: &Observed) -> Diagnosis {
    let mut notes = Notes::default();
    if let Some(dev) = &seen.dev {
        folder(&mut notes, dev);
    }
    identity(&mut notes, seen);
    admin(&mut notes, seen);
    clocks(&mut notes, seen);
    health(&mut notes, seen);
    let mut findings = notes.findings;
    findings.sort_by_key(|finding| finding.severity);
    let healthy = findings.iter().all(|finding| finding.severity != Severity::Broken);
    Diagnosis { healthy, findings, looked_at: notes.looked_at, not_looked_at: notes.not_looked_at }
}

const ALL_CALLERS: &str =
    "every caller: Cloud KMS gets no answer, and data under these keys is out of reach until it is back";
const OPERATORS: &str =
    "operators: nothing can be changed or looked at from here; wraps and unwraps do not need the admin API";
const THIS_OPERATOR: &str = "you alone: other operators and all callers are served";

fn folder(notes: &mut Notes, dev: &DevFolder) {
    notes.looked("the data directory and the process of ekm dev");
    let folder = dev.folder.display();
    match &dev.process {
        Process::Unknown { why } => {
            notes.broken(
                why.clone(),
                "whoever relies on this ekm dev, if it should run: it says of itself that it does not",
                format!("start it: ekm dev --data-dir {folder}; or give the folder of the one that runs to --dev"),
            );
        }
        Process::Gone { pid } => notes.broken(
            format!("ekm dev does not run: process {pid}, which {folder}/dev.json names, is gone"),
            ALL_CALLERS,
            format!("start it again on the same folder: ekm dev --data-dir {folder}; if it refuses, see runbooks/damaged-data.md"),
        ),
        Process::Alive { .. } => {}
    }
    if let Some(free) = dev.free_bytes.filter(|free| *free < FREE_BYTES_WARNING) {
        notes.warning(
            format!("{} MiB are free where {folder} lies", free >> 20),
            "operators first: changes are refused before the disk is full; callers are served",
            "make room: runbooks/full-disk.md",
        );
    }
}

fn identity(notes: &mut Notes, seen: &Observed) {
    match &seen.identity {
        Identity::NotRead { why } => notes.broken(
            why.clone(),
            THIS_OPERATOR,
            "put back the certificate and key that were issued to you, or name them with --cert and --cert-key",
        ),
        Identity::Read { name, not_before, not_after } => {
            notes.looked("your certificate");
            if seen.now >= *not_after {
                notes.broken(
                    format!("your certificate ({name}) has expired"),
                    THIS_OPERATOR,
                    "have it renewed for the same key and name: runbooks/certificates.md",
                );
            } else if seen.now < *not_before {
                notes.broken(
                    format!("your certificate ({name}) is not valid yet by this machine's clock"),
                    THIS_OPERATOR,
                    "compare this machine's clock with the time; then wait, or have another certificate issued",
                );
            } else if not_after.0 - seen.now.0 < millis(CERTIFICATE_WARNING) {
                notes.warning(
                    format!("your certificate ({name}) ends in {}", days((not_after.0 - seen.now.0) / 1000)),
                    THIS_OPERATOR,
                    "have it renewed for the same key and name: runbooks/certificates.md",
                );
            }
        }
    }
}

fn admin(notes: &mut Notes, seen: &Observed) {
    let url = seen.admin_url.as_deref().unwrap_or("the admin API");
    let at = format!("the admin API at {url}");
    match &seen.admin {
        Admin::NotTried { why } => {
            notes.not_looked_at.push(format!("the admin API: {why}"));
            return;
        }
        Admin::NoName { host } => notes.broken(
            format!("the name {host} has no address"),
            OPERATORS,
            format!("look at --url and at the name service: getent hosts {host}"),
        ),
        Admin::Refused => notes.broken(
            format!("{at} refuses connections: nothing listens there"),
            OPERATORS,
            "start the server there, or correct --url; if it ended by itself, its log says why with a status of 69",
        ),
        Admin::TimedOut => notes.broken(
            format!("{at} does not answer in time"),
            OPERATORS,
            "look at firewalls and routes on the way, and whether that machine is alive",
        ),
        Admin::Tls(trouble) => tls(notes, &at, *trouble),
        Admin::Broken { why } => notes.broken(
            format!("{at} broke off: {why}"),
            OPERATORS,
            "try again; if it stays so, look whether your certificate was issued for this cluster (--cert), then at that server's log",
        ),
        Admin::NotOurs { status } => notes.broken(
            format!("what answers as {at} is no admin API of an external key manager (status {status})"),
            THIS_OPERATOR,
            "correct --url: it is the admin listener's, not the data or health listener's, and no proxy stands between",
        ),
        Admin::Said(failure) if failure.code == FailureCode::Denied => notes.broken(
            format!("{at} does not accept you: {}", failure.message),
            THIS_OPERATOR,
            "have a security officer enrol the public key of your certificate: ekmctl operator enrol",
        ),
        Admin::Said(failure) => notes.broken(
            format!("{at} cannot answer: {}", failure.message),
            OPERATORS,
            "try again; if it stays so, look at that server's log",
        ),
        Admin::Answered(status) => cluster(notes, status),
    }
    notes.looked("the way to the admin API: name, connection, TLS, enrolment");
}

fn tls(notes: &mut Notes, at: &str, trouble: TlsTrouble) {
    let (what, hurts, todo) = match trouble {
        TlsTrouble::WrongAuthority => (
            "shows a certificate that the given authority did not sign",
            THIS_OPERATOR,
            "give the authority that signed it with --ca; if it should have, somebody may stand between: do not go on",
        ),
        TlsTrouble::ServerExpired => {
            ("shows an expired certificate", OPERATORS, "put a new certificate in place: runbooks/certificates.md")
        }
        TlsTrouble::ServerNotYetValid => (
            "shows a certificate that is not valid yet",
            OPERATORS,
            "compare the clocks of both machines with the time; then see runbooks/certificates.md",
        ),
        TlsTrouble::WrongName => (
            "shows a certificate for another name",
            THIS_OPERATOR,
            "give a name that stands on the certificate with --url, or have it issued for this one",
        ),
        TlsTrouble::OursRefused => (
            "does not take your certificate: it is of an authority that the server does not trust, or not the one of your key",
            THIS_OPERATOR,
            "use the certificate that was issued to you for this cluster: --cert and --cert-key",
        ),
        TlsTrouble::OursExpired => (
            "does not take your certificate: it has expired",
            THIS_OPERATOR,
            "have it renewed for the same key and name: runbooks/certificates.md",
        ),
        TlsTrouble::NotTls => (
            "does not speak TLS",
            THIS_OPERATOR,
            "correct --url: it is the admin listener's, not the health listener's",
        ),
        TlsTrouble::Other => (
            "breaks the TLS handshake off",
            OPERATORS,
            "look at that server's log for the handshake, and at what stands between",
        ),
    };
    notes.broken(format!("{at} {what}"), hurts, todo);
}

fn cluster(notes: &mut Notes, status: &Status) {
    notes.looked("what the cluster says of itself");
    if !status.ready {
        unready(notes, &status.unready_reasons);
    }
    if status.disk.is_short {
        disk_is_short(notes);
    }
    if status.audit.as_ref().is_some_and(|audit| audit.lost_records > 0) {
        audit_is_lost(notes);
    }
    for certificate in &status.certificates {
        certificate_ends(notes, &certificate.listener, certificate.expires_in_seconds);
    }
    if status.key_set.as_ref().is_some_and(|key_set| !key_set.is_loaded) {
        notes.broken(
            "no key set of Google's tokens is loaded",
            ALL_CALLERS,
            "look at the log for why it cannot be fetched: egress, proxy, or the file that the settings name",
        );
    }
    for shard in status.shards.iter().filter(|shard| !shard.serves) {
        let why = shard.trouble.as_ref().map(|why| format!(": {}", safe(why))).unwrap_or_default();
        shard_is_down(notes, &shard.shard.to_string(), &why);
    }
    for group in &status.groups {
        if let Some(entry) = group.halted {
            halted(notes, &group.group.to_string(), Some(entry.0));
        }
        match group.age_seconds {
            Some(age) => stale(notes, &group.group.to_string(), age),
            None => notes.broken(
                format!("the view of group {} was never confirmed since the start", group.group),
                "callers of unknown keys or without a grant get 503 instead of a final answer",
                "wait a few seconds; if it stays so, the group has no leader: look at the other replicas",
            ),
        }
    }
}

fn clocks(notes: &mut Notes, seen: &Observed) {
    let Some(theirs) = seen.server_time else { return };
    notes.looked("the clocks of both machines");
    let apart = Duration::from_millis(seen.now.0.abs_diff(theirs.0));
    if apart > CLOCK_SKEW_MAX {
        let direction = if seen.now > theirs { "ahead of" } else { "behind" };
        notes.broken(
            format!("this machine's clock is {} {direction} the server's", span(apart.as_secs_f64())),
            "if the server's is the wrong one, every caller: good tokens look expired or not yet valid there",
            "compare both with the time (timedatectl, chronyc tracking) and mend the wrong one",
        );
    }
}

fn health(notes: &mut Notes, seen: &Observed) {
    match &seen.health {
        Health::NotTried => notes.not_looked_at.push("the health listener: say where with --health-url".to_owned()),
        Health::Silent { url } => {
            notes.looked("the health listener");
            notes.broken(
                format!("the health listener at {url} does not answer"),
                "callers, if it is really down: a load balancer takes the machine out",
                "look whether the process runs and whether the address can be reached from here",
            );
        }
        Health::Answered(answer) => {
            notes.looked("the health listener and its metrics");
            listener(notes, answer);
        }
    }
}

fn listener(notes: &mut Notes, answer: &HealthAnswer) {
    if !answer.is_live {
        notes.broken("the process says that it is not live", ALL_CALLERS, "look at its log, then restart it");
    }
    if let Some(reasons) = answer.unready_reasons.as_ref().filter(|reasons| !reasons.is_empty()) {
        unready(notes, reasons);
    }
    let metrics = &answer.metrics;
    for (group, halted_now) in metrics.by("ekm_raft_halted", "group") {
        if halted_now > 0.0 && !notes.told(&format!("group {group} has halted")) {
            halted(notes, group, None);
        }
    }
    for (shard, age) in metrics.by("ekm_directory_age_seconds", "shard") {
        if !notes.told(&format!("the view of group {shard} ")) {
            stale(notes, shard, age);
        }
    }
    for (shard, _) in metrics.by("ekm_shard_serves", "shard").filter(|(_, serves)| *serves < 1.0) {
        shard_is_down(notes, shard, "");
    }
    if metrics.by("ekm_disk_short", "group").any(|(_, short)| short > 0.0) {
        disk_is_short(notes);
    }
    for (listener, left) in metrics.by("ekm_certificate_expiry_seconds", "listener") {
        certificate_ends(notes, listener, left);
    }
    if metrics.total("ekm_audit_lost_records_total").is_some_and(|lost| lost > 0.0) {
        audit_is_lost(notes);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
