//! Every metric family's name, help text and labels. Dashboards and alerts name these: a name is not changed, it is
//! replaced, and nothing here is made up at run time.

/// Upper bounds of the latency buckets, in seconds. A wrap costs 12 to 17 µs of CPU and Cloud KMS gives up after 150 ms,
/// so the steps are fine between the two.
pub(super) const LATENCY_SECONDS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.09, 0.15, 0.5, 1.0];

/// One family: its name, and what it says. The table is what an operator can be shown.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
}

const fn family(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    Family { name, help, labels }
}

pub(super) const REQUESTS_STARTED: Family =
    family("ekm_requests_started_total", "Data-plane calls whose handling began.", &["operation"]);
pub(super) const REQUESTS_FINISHED: Family = family(
    "ekm_requests_finished_total",
    "Data-plane calls that were answered, by google.rpc code.",
    &["operation", "code"],
);
pub(super) const REQUEST_SECONDS: Family =
    family("ekm_request_duration_seconds", "Time from the parsed head to the answer.", &["operation"]);
pub(super) const MALFORMED: Family =
    family("ekm_malformed_requests_total", "Bytes or requests that broke the rules, by reason.", &["reason"]);
pub(super) const SHED: Family =
    family("ekm_admission_shed_total", "Requests answered UNAVAILABLE because too many were in progress.", &[]);
pub(super) const OVER_QUOTA: Family = family(
    "ekm_quota_refusals_total",
    "Requests answered RESOURCE_EXHAUSTED, by the nearest level whose quota had no room on this machine.",
    &["level"],
);
pub(super) const QUOTA_BUCKETS: Family =
    family("ekm_quota_buckets", "Tenants, crypto spaces and keys whose requests are being counted.", &[]);
pub(super) const QUOTA_UNCOUNTED: Family = family(
    "ekm_quota_uncounted_total",
    "Times that a level's quota was not looked at, because as many others as there is room for were being counted.",
    &[],
);
pub(super) const IN_PROGRESS: Family =
    family("ekm_admission_in_progress", "Requests admitted and not yet answered.", &[]);
pub(super) const TOKEN_CACHE: Family =
    family("ekm_token_cache_lookups_total", "Lookups of verified tokens, by result.", &["result"]);
pub(super) const KEY_SET_AGE: Family =
    family("ekm_key_set_age_seconds", "Time since the token key set was last fetched or confirmed.", &[]);
pub(super) const KEY_SET_EPOCH: Family =
    family("ekm_key_set_epoch", "How often the token key set has changed since start.", &[]);
pub(super) const KEY_SET_FAILURES: Family =
    family("ekm_key_set_fetch_failures_total", "Fetches of the token key set that failed.", &[]);
pub(super) const KEY_VERSIONS: Family = family("ekm_key_versions", "Key versions by lifecycle state.", &["state"]);
pub(super) const DIRECTORY_AGE: Family =
    family("ekm_directory_age_seconds", "Age of what this machine knows of a shard.", &["shard"]);
pub(super) const RAFT_APPLIED: Family =
    family("ekm_raft_applied_index", "The last log index applied by a group.", &["group"]);
pub(super) const RAFT_HALTED: Family = family(
    "ekm_raft_halted",
    "1 if the group stopped applying at an entry that this binary cannot decode, else 0.",
    &["group"],
);
pub(super) const RAFT_UNANNOUNCED: Family = family(
    "ekm_raft_unannounced_members",
    "Members of a group that no officer announced, or that are elsewhere than announced. Nothing is refused for good meanwhile.",
    &["group"],
);
pub(super) const AUDIT_LOST: Family = family(
    "ekm_audit_lost_records_total",
    "Decisions whose record was lost: the file refused records, and the memory for them was full.",
    &[],
);
pub(super) const AUDIT_ERRORS: Family =
    family("ekm_audit_errors_total", "Writes and syncs of the audit file that failed.", &["step"]);
pub(super) const DENY_ENTRIES: Family =
    family("ekm_deny_entries", "Deny entries of officers that this machine knows and that have not ended.", &[]);
pub(super) const DISK_FREE_BYTES: Family =
    family("ekm_disk_free_bytes", "Bytes that are free where the data lies, as last measured.", &[]);
pub(super) const DISK_SHORT: Family = family(
    "ekm_disk_short",
    "1 if a group refuses changes because the disk has too little room, else 0. Wraps and unwraps go on.",
    &["group"],
);
pub(super) const AUDIT_RECORDS: Family =
    family("ekm_audit_records_total", "Audit records taken: in the file, or waiting for it.", &[]);
pub(super) const AUDIT_UNWRITTEN_BYTES: Family = family(
    "ekm_audit_unwritten_bytes",
    "Bytes of audit records that the file has not taken: a crash would lose them.",
    &[],
);
pub(super) const CERTIFICATE_SECONDS: Family = family(
    "ekm_certificate_expiry_seconds",
    "Seconds until the certificate that a listener presents expires; negative when it has.",
    &["listener"],
);
pub(super) const CERTIFICATE_RELOADS: Family = family(
    "ekm_certificate_reloads_total",
    "Changed certificate files that were taken, or refused; the same content is refused once.",
    &["listener", "result"],
);
pub(super) const CONNECTIONS_OPEN: Family = family("ekm_connections_open", "Connections open now.", &["listener"]);
pub(super) const CONNECTIONS_ACCEPTED: Family =
    family("ekm_connections_accepted_total", "Connections accepted from the socket.", &["listener"]);
pub(super) const CONNECTIONS_REJECTED: Family = family(
    "ekm_connections_rejected_total",
    "Times that accepting paused at the connection limit, or failed.",
    &["listener", "reason"],
);
pub(super) const CONNECTIONS_CUT: Family =
    family("ekm_connections_cut_total", "Connections dropped because a polite end took too long.", &["listener"]);
pub(super) const HANDSHAKE_FAILURES: Family =
    family("ekm_handshake_failures_total", "TLS handshakes that failed.", &["listener", "reason"]);
pub(super) const PROBE_PASSING: Family =
    family("ekm_probe_passing", "1 if the last round of the health probe passed, else 0.", &[]);
pub(super) const PROBE_SHARD_PASSING: Family = family(
    "ekm_probe_shard_passing",
    "1 if a shard's canary was wrapped and unwrapped in the last round of the health probe, else 0.",
    &["shard"],
);
pub(super) const SHARD_SERVES: Family = family(
    "ekm_shard_serves",
    "1 if this replica brought the shard up and its group goes on, else 0: then its tenants take no changes.",
    &["shard"],
);
pub(super) const SHARD_PANICS: Family =
    family("ekm_shard_task_panics_total", "Times that a task of one shard panicked and was begun again.", &["shard"]);
pub(super) const PROBE_ROUNDS: Family =
    family("ekm_probe_rounds_total", "Rounds of the health probe, by result.", &["result"]);
pub(super) const PROBE_SECONDS: Family =
    family("ekm_probe_duration_seconds", "Time that a round of the health probe took.", &[]);
pub(super) const START_TIME: Family =
    family("ekm_process_start_time_seconds", "When the process started, in seconds since 1970.", &[]);
pub(super) const BUILD: Family = family("ekm_build_info", "Always 1; the label says which release runs.", &["version"]);
