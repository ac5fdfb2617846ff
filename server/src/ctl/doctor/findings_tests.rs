//! Each thing that can be seen, and what is said of it. Only for tests.

use replication::clock::Timestamp;
use serde_json::{Value, json};

use super::super::metrics::Metrics;
use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const DAY: u64 = 86_400_000;

/// A cluster in which nothing is wrong.
fn well() -> Observed {
    Observed {
        now: NOW,
        dev: None,
        identity: Identity::Read {
            name: "CN=ada".to_owned(),
            not_before: Timestamp(NOW.0 - DAY),
            not_after: Timestamp(NOW.0 + 90 * DAY),
        },
        admin_url: Some("https://ekm.example:8444".to_owned()),
        admin: answered(&json!({})),
        server_time: Some(Timestamp(NOW.0 + 900)),
        health: healthy(""),
    }
}

/// A status with some fields as given.
fn answered(changed: &Value) -> Admin {
    let mut status = json!({
        "version": "0.1.0", "lineage": "0".repeat(32), "dev": true, "tenants": 1, "key_versions": {}, "ready": true,
        "unready_reasons": [], "groups": [{"group": 1, "applied": 7, "halted": null, "digest": "d", "age_seconds": 0.2}],
        "disk": {"free_bytes": null, "is_short": false, "shortage": null}, "certificates": [],
        "key_set": {"is_loaded": true, "age_seconds": 1.0, "attempts": 1, "failures": 0},
        "audit": {"records": 1, "unwritten_bytes": 0, "write_errors": 0, "sync_errors": 0, "lost_records": 0},
        "load": {"in_progress": 0, "shed_total": 0},
    });
    let fields = status.as_object_mut().expect("a status is an object");
    fields.extend(changed.as_object().expect("fields").clone());
    Admin::Answered(Box::new(serde_json::from_value(status).expect("a status")))
}

fn healthy(metrics: &str) -> Health {
    let metrics = Metrics::parse(metrics);
    Health::Answered(HealthAnswer { is_live: true, unready_reasons: Some(Vec::new()), metrics })
}

fn group(halted: Option<u64>, age: Option<f64>) -> Value {
    json!({"groups": [{"group": 1, "applied": 7, "halted": halted, "digest": "d", "age_seconds": age}]})
}

fn said(code: FailureCode) -> Admin {
    Admin::Said(serde_json::from_value(json!({"code": code, "message": "why"})).expect("a failure"))
}

fn folder(process: Process, free: u64) -> DevFolder {
    DevFolder { folder: "/data".into(), process, free_bytes: Some(free) }
}

#[test]
fn nothing_is_said_where_nothing_is_wrong() {
    let diagnosis = diagnose(&well());
    assert_eq!((diagnosis.healthy, diagnosis.findings), (true, Vec::new()));
    assert_eq!(diagnosis.looked_at.len(), 5, "{:?}", diagnosis.looked_at);
    assert_eq!(diagnosis.not_looked_at, Vec::<String>::new());
}

/// What is seen; then a part of what is said to be wrong, of whom it hurts, and of what to do.
type Row = (Observed, &'static str, &'static str, &'static str);

fn on_the_way() -> Vec<Row> {
    let admin = |admin| Observed { admin, ..well() };
    let cert = |not_before: u64, not_after: u64| Observed {
        identity: Identity::Read {
            name: "CN=ada".to_owned(),
            not_before: Timestamp(not_before),
            not_after: Timestamp(not_after),
        },
        ..well()
    };
    let dev = |process, free| Observed { dev: Some(folder(process, free)), ..well() };
    vec![
        (
            dev(Process::Unknown { why: "no dev.json".to_owned() }, 1 << 40),
            "no dev.json",
            "relies on",
            "ekm dev --data-dir /data",
        ),
        (dev(Process::Gone { pid: 7 }, 1 << 40), "process 7", "every caller", "start it again"),
        (dev(Process::Alive { pid: 7 }, 1 << 20), "1 MiB are free", "operators first", "full-disk.md"),
        (cert(NOW.0 - DAY, NOW.0), "has expired", "you alone", "renewed"),
        (cert(NOW.0 + 1, NOW.0 + 90 * DAY), "not valid yet", "you alone", "clock"),
        (cert(NOW.0 - DAY, NOW.0 + 3 * DAY), "ends in 3 days", "you alone", "renewed"),
        (
            Observed { identity: Identity::NotRead { why: "x.pem: no".to_owned() }, ..well() },
            "x.pem",
            "you alone",
            "--cert",
        ),
        (admin(Admin::NoName { host: "ekm.example".to_owned() }), "ekm.example has no address", "operators", "getent"),
        (admin(Admin::Refused), "refuses connections", "operators", "start the server"),
        (admin(Admin::TimedOut), "in time", "operators", "firewalls"),
        (admin(Admin::Broken { why: "reset".to_owned() }), "broke off: reset", "operators", "log"),
        (admin(Admin::NotOurs { status: 502 }), "status 502", "you alone", "--url"),
        (admin(said(FailureCode::Denied)), "does not accept you: why", "you alone", "operator enrol"),
        (admin(said(FailureCode::Unavailable)), "cannot answer: why", "operators", "log"),
        (admin(Admin::Tls(TlsTrouble::WrongAuthority)), "did not sign", "you alone", "--ca"),
        (admin(Admin::Tls(TlsTrouble::ServerExpired)), "expired certificate", "operators", "certificates.md"),
        (admin(Admin::Tls(TlsTrouble::ServerNotYetValid)), "not valid yet", "operators", "clocks"),
        (admin(Admin::Tls(TlsTrouble::WrongName)), "another name", "you alone", "--url"),
        (admin(Admin::Tls(TlsTrouble::OursRefused)), "does not take your certificate", "you alone", "--cert"),
        (admin(Admin::Tls(TlsTrouble::OursExpired)), "it has expired", "you alone", "renewed"),
        (admin(Admin::Tls(TlsTrouble::NotTls)), "does not speak TLS", "you alone", "--url"),
        (admin(Admin::Tls(TlsTrouble::Other)), "breaks the TLS handshake off", "operators", "log"),
        (
            Observed { server_time: Some(Timestamp(NOW.0 + 60_000)), ..well() },
            "60 s behind",
            "good tokens look expired",
            "chronyc",
        ),
        (Observed { server_time: Some(Timestamp(NOW.0 - 31_000)), ..well() }, "31 s ahead of", "good tokens", "mend"),
    ]
}

fn in_the_shards() -> Vec<Row> {
    let status = |changed: Value| Observed { admin: answered(&changed), ..well() };
    let metric = |text: &str| Observed { health: healthy(text), ..well() };
    vec![
        (
            status(
                json!({"shards": [{"shard": 2, "serves": false, "takes_changes": false, "trouble": "it cannot be opened",
                "tenants": 1, "task_panics": 0}]}),
            ),
            "shard 2 does not serve: it cannot be opened",
            "503, not 404",
            "runbooks/shards.md",
        ),
        (metric("ekm_shard_serves{shard=\"2\"} 0\n"), "shard 2 does not serve", "503, not 404", "runbooks/shards.md"),
    ]
}

fn in_the_cluster() -> Vec<Row> {
    let status = |changed: Value| Observed { admin: answered(&changed), ..well() };
    let metric = |text: &str| Observed { health: healthy(text), ..well() };
    let unready = Health::Answered(HealthAnswer {
        is_live: false,
        unready_reasons: Some(vec!["no key set".to_owned()]),
        metrics: Metrics::default(),
    });
    vec![
        (status(group(Some(9), Some(0.1))), "halted at entry 9", "changes are refused", "start the release"),
        (status(group(None, Some(120.0))), "2 min ago", "strict get 503 in 3 min", "no leader"),
        (status(group(None, Some(600.0))), "10 min ago", "strict get 503 now; tenants of class balanced", "no leader"),
        (status(group(None, Some(100_000.0))), "28 h ago", "strict and balanced get 503 now", "no leader"),
        (status(group(None, None)), "never confirmed", "503 instead of a final", "wait"),
        (
            status(json!({"ready": false, "unready_reasons": ["canary"]})),
            "not ready: canary",
            "load balancer",
            "reason",
        ),
        (
            status(json!({"disk": {"free_bytes": 5, "is_short": true, "shortage": "s"}})),
            "nearly full",
            "callers are served",
            "full-disk.md",
        ),
        (
            status(json!({"certificates": [{"listener": "admin", "expires_in_seconds": 90.0}]})),
            "admin listener ends in 2 min",
            "whoever calls",
            "certificates.md",
        ),
        (
            status(json!({"key_set": {"is_loaded": false, "age_seconds": null, "attempts": 3, "failures": 3}})),
            "no key set",
            "every caller",
            "egress",
        ),
        (
            Observed { health: Health::Silent { url: "http://h".to_owned() }, ..well() },
            "http://h",
            "load balancer",
            "process runs",
        ),
        (Observed { health: unready, ..well() }, "not live", "every caller", "restart"),
        (metric("ekm_disk_short{group=\"1\"} 1"), "disk is nearly full", "callers are served", "full-disk.md"),
        (metric("ekm_raft_halted{group=\"1\"} 1"), "group 1 has halted", "operators now", "start the release"),
        (metric("ekm_directory_age_seconds{shard=\"1\"} 20"), "20 s ago", "strict get 503 in 5 min", "no leader"),
        (
            metric("ekm_certificate_expiry_seconds{listener=\"data\"} 0"),
            "data listener has expired",
            "Cloud KMS",
            "certificates.md",
        ),
        (
            metric("ekm_certificate_expiry_seconds{listener=\"data\"} 172800"),
            "ends in 2 days",
            "Cloud KMS",
            "certificates.md",
        ),
        (metric("ekm_audit_lost_records_total 3"), "audit records were lost", "auditors", "full-disk.md"),
    ]
}

#[test]
fn each_trouble_is_named_with_whom_it_hurts_and_what_to_do() {
    for (seen, what, hurts, todo) in on_the_way().into_iter().chain(in_the_cluster()).chain(in_the_shards()) {
        let diagnosis = diagnose(&seen);
        let found = diagnosis.findings.iter().find(|finding| finding.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {:?}", diagnosis.findings));
        assert!(found.hurts.contains(hurts) && found.todo.contains(todo), "{found:?}");
        assert_eq!(diagnosis.healthy, diagnosis.findings.iter().all(|one| one.severity == Severity::Warning), "{what}");
    }
}

#[test]
fn what_two_sources_tell_is_told_once_and_the_worst_comes_first() {
    let text =
        "ekm_raft_halted{group=\"1\"} 1\nekm_directory_age_seconds{shard=\"1\"} 90\nekm_audit_lost_records_total 1";
    let seen = Observed { admin: answered(&group(Some(9), Some(88.0))), health: healthy(text), ..well() };
    let findings = diagnose(&seen).findings;
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.is_sorted_by_key(|finding| finding.severity));
    let unseen = Observed { health: Health::NotTried, admin: Admin::NotTried { why: "no".to_owned() }, ..well() };
    assert_eq!(diagnose(&unseen).not_looked_at.len(), 2);
}
