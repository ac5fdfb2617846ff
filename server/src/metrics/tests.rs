//! The metrics as an operator's dashboards see them. Names and values are pinned as text.

use super::*;

/// Families with one label, or none, and every value that a fresh server shows. Alerts and runbooks name these.
const PINNED: &str = "\
ekm_admission_in_progress gauge
ekm_admission_shed_total counter
ekm_audit_errors_total counter step=sync,write
ekm_audit_lost_records_total counter
ekm_audit_records_total counter
ekm_audit_unwritten_bytes gauge
ekm_build_info gauge version=0.0.1
ekm_certificate_expiry_seconds gauge listener=data
ekm_certificate_reloads_total counter listener=admin,data,health result=refused,taken
ekm_connections_accepted_total counter listener=admin,data,health
ekm_connections_cut_total counter listener=admin,data,health
ekm_connections_open gauge listener=admin,data,health
ekm_connections_rejected_total counter listener=admin,data,health reason=accept_error,limit
ekm_deny_entries gauge
ekm_directory_age_seconds gauge shard=1
ekm_disk_free_bytes gauge
ekm_disk_short gauge group=0
ekm_handshake_failures_total counter listener=admin,data,health reason=timeout,tls
ekm_key_set_age_seconds gauge
ekm_key_set_epoch gauge
ekm_key_set_fetch_failures_total counter
ekm_key_versions gauge state=destroy_scheduled,destroyed,disabled,enabled,pending
ekm_malformed_requests_total counter reason=base64,body_timeout,body_too_large,empty_body,header,header_timeout,headers_too_large,http2_broken,incomplete,json,method,not_http,other,path,preface_timeout,uri_too_long,verb
ekm_probe_duration_seconds histogram
ekm_probe_passing gauge
ekm_probe_rounds_total counter result=failed,passed
ekm_probe_shard_passing gauge shard=1
ekm_process_start_time_seconds gauge
ekm_quota_buckets gauge
ekm_quota_refusals_total counter level=crypto_space,key,tenant
ekm_quota_uncounted_total counter
ekm_raft_applied_index gauge group=0
ekm_raft_halted gauge group=0
ekm_raft_unannounced_members gauge group=0
ekm_request_duration_seconds histogram operation=asymmetric_sign,check_crypto_space_permissions,create_key,destroy_key,get_info,get_public_key,other,unwrap,wrap
ekm_requests_finished_total counter code=ABORTED,ALREADY_EXISTS,CANCELLED,DATA_LOSS,DEADLINE_EXCEEDED,FAILED_PRECONDITION,INTERNAL,INVALID_ARGUMENT,NOT_FOUND,OK,OUT_OF_RANGE,PERMISSION_DENIED,RESOURCE_EXHAUSTED,UNAUTHENTICATED,UNAVAILABLE,UNIMPLEMENTED,UNKNOWN operation=asymmetric_sign,check_crypto_space_permissions,create_key,destroy_key,get_info,get_public_key,other,unwrap,wrap
ekm_requests_started_total counter operation=asymmetric_sign,check_crypto_space_permissions,create_key,destroy_key,get_info,get_public_key,other,unwrap,wrap
ekm_shard_serves gauge shard=1
ekm_shard_task_panics_total counter shard=1
ekm_token_cache_lookups_total counter result=hit,miss
";

fn complete() -> Metrics {
    let metrics = Metrics::new(Timestamp(1_700_000_000_000), "0.0.1");
    let one = || -> Source { Box::new(|| 1.0) };
    metrics.sample_admission_shed(one());
    metrics.sample_admission_in_progress(one());
    metrics.sample_quota_buckets(one());
    metrics.sample_quota_uncounted(one());
    for result in CacheResult::ALL {
        metrics.sample_token_cache(*result, one());
    }
    metrics.sample_key_set_age_seconds(one());
    metrics.sample_key_set_epoch(one());
    metrics.sample_key_set_fetch_failures(one());
    for state in VersionState::ALL {
        metrics.sample_key_versions(*state, one());
    }
    metrics.sample_directory_age_seconds(1, one());
    metrics.sample_shard_serves(1, one());
    metrics.sample_shard_panics(1, one());
    metrics.shard_probed(1, ProbeResult::Passed);
    metrics.sample_raft_applied_index(0, one());
    metrics.sample_raft_halted(0, one());
    metrics.sample_raft_unannounced(0, one());
    metrics.sample_audit_lost(one());
    for step in AuditStep::ALL {
        metrics.sample_audit_errors(*step, one());
    }
    metrics.sample_deny_entries(one());
    metrics.sample_disk_free_bytes(one());
    metrics.sample_disk_short(0, one());
    metrics.sample_audit_records(one());
    metrics.sample_audit_unwritten_bytes(one());
    metrics.sample_certificate_seconds(ListenerLabel::Data, one());
    metrics
}

/// One line per family: name, kind, and for each label the sorted values that occur.
fn summary(metrics: &Metrics) -> String {
    use std::collections::{BTreeMap, BTreeSet};
    let line = |family: &prometheus::proto::MetricFamily| {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for label in family.get_metric().iter().flat_map(prometheus::proto::Metric::get_label) {
            labels.entry(label.name().to_owned()).or_default().insert(label.value().to_owned());
        }
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let label = |(label, values): (String, BTreeSet<String>)| {
            format!("{label}={}", values.into_iter().collect::<Vec<_>>().join(","))
        };
        [family.name().to_owned(), kind].into_iter().chain(labels.into_iter().map(label)).collect::<Vec<_>>().join(" ")
    };
    metrics.registry.gather().iter().map(line).map(|line| line + "\n").collect()
}

#[test]
fn families_labels_and_values_are_the_pinned_ones() {
    assert_eq!(summary(&complete()), PINNED);
}

#[test]
fn render_shows_every_family_with_its_help() {
    let text = complete().render();
    for line in PINNED.lines() {
        let name = line.split(' ').next().expect("a pinned line begins with a name");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is missing:\n{text}");
    }
}

#[test]
fn counted_requests_appear_under_their_operation_and_code() {
    let metrics = complete();
    metrics.request_started(OperationLabel::Wrap);
    metrics.request_finished(OperationLabel::Wrap, CodeLabel::Unavailable, Duration::from_micros(120));
    metrics.malformed(MalformedReason::Json);
    metrics.probe_finished(ProbeResult::Passed, Duration::from_millis(1));
    let text = metrics.render();
    let lines = [
        r#"ekm_requests_started_total{operation="wrap"} 1"#,
        r#"ekm_requests_started_total{operation="unwrap"} 0"#,
        r#"ekm_requests_finished_total{code="UNAVAILABLE",operation="wrap"} 1"#,
        r#"ekm_requests_finished_total{code="OK",operation="wrap"} 0"#,
        r#"ekm_request_duration_seconds_bucket{operation="wrap",le="0.0001"} 0"#,
        r#"ekm_request_duration_seconds_bucket{operation="wrap",le="0.0002"} 1"#,
        r#"ekm_malformed_requests_total{reason="json"} 1"#,
        "ekm_probe_passing 1",
        "ekm_process_start_time_seconds 1700000000",
        r#"ekm_build_info{version="0.0.1"} 1"#,
        r#"ekm_raft_halted{group="0"} 1"#,
    ];
    for line in lines {
        assert!(text.lines().any(|shown| shown == line), "{line} is missing:\n{text}");
    }
}

#[test]
fn a_sampled_family_without_a_source_is_left_out() {
    let text = Metrics::new(Timestamp(0), "0.0.1").render();
    assert!(!text.contains("ekm_key_versions"));
    assert!(text.contains("ekm_requests_started_total"));
}

#[test]
fn a_second_source_takes_the_place_of_the_first() {
    let metrics = complete();
    metrics.sample_certificate_seconds(ListenerLabel::Data, Box::new(|| 30.5));
    let text = metrics.render();
    assert!(text.contains("ekm_certificate_expiry_seconds{listener=\"data\"} 30.5\n"), "{text}");
    assert_eq!(text.matches("ekm_certificate_expiry_seconds{").count(), 1);
}
