//! Every metric of the server: names, units, labels and allowed values, in one place. No label ever names a key, a tenant
//! or a caller, and nothing here looks a label up while a request waits: handles are resolved once, at start.

mod families;
mod labels;
mod sampled;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use replication::clock::Timestamp;

use families::{
    AUDIT_ERRORS, AUDIT_LOST, AUDIT_RECORDS, AUDIT_UNWRITTEN_BYTES, BUILD, CERTIFICATE_RELOADS, CERTIFICATE_SECONDS,
    CONNECTIONS_ACCEPTED, CONNECTIONS_CUT, CONNECTIONS_OPEN, CONNECTIONS_REJECTED, DENY_ENTRIES, DIRECTORY_AGE,
    DISK_FREE_BYTES, DISK_SHORT, Family, HANDSHAKE_FAILURES, IN_PROGRESS, KEY_SET_AGE, KEY_SET_EPOCH, KEY_SET_FAILURES,
    KEY_VERSIONS, LATENCY_SECONDS, MALFORMED, OVER_QUOTA, PROBE_PASSING, PROBE_ROUNDS, PROBE_SECONDS,
    PROBE_SHARD_PASSING, QUOTA_BUCKETS, QUOTA_UNCOUNTED, RAFT_APPLIED, RAFT_HALTED, RAFT_UNANNOUNCED, REQUEST_SECONDS,
    REQUESTS_FINISHED, REQUESTS_STARTED, SHARD_PANICS, SHARD_SERVES, SHED, START_TIME, TOKEN_CACHE,
};
pub use labels::{
    AuditStep, CacheResult, CodeLabel, HandshakeFailure, ListenerLabel, MalformedReason, OperationLabel, ProbeResult,
    QuotaLevel, RejectReason, ReloadResult, VersionState,
};
use sampled::Sampled;
pub use sampled::Source;

/// All metrics of one process. Has its own registry; there is no global one.
pub struct Metrics {
    registry: Registry,
    requests: Vec<RequestHandles>,
    malformed: Vec<IntCounter>,
    over_quota: Vec<IntCounter>,
    listeners: Vec<ConnectionCounters>,
    reloads: Vec<Vec<IntCounter>>,
    probe: ProbeHandles,
    sampled: SampledFamilies,
}

struct RequestHandles {
    started: IntCounter,
    finished: Vec<IntCounter>,
    duration: Histogram,
}

struct ProbeHandles {
    passing: IntGauge,
    shards: IntGaugeVec,
    rounds: Vec<IntCounter>,
    duration: Histogram,
}

struct SampledFamilies {
    shed: Sampled,
    quota_buckets: Sampled,
    quota_uncounted: Sampled,
    in_progress: Sampled,
    token_cache: Sampled,
    key_set_age: Sampled,
    key_set_epoch: Sampled,
    key_set_failures: Sampled,
    key_versions: Sampled,
    directory_age: Sampled,
    raft_applied: Sampled,
    raft_halted: Sampled,
    raft_unannounced: Sampled,
    audit_lost: Sampled,
    audit_errors: Sampled,
    deny_entries: Sampled,
    disk_free_bytes: Sampled,
    disk_short: Sampled,
    shard_serves: Sampled,
    shard_panics: Sampled,
    audit_records: Sampled,
    audit_unwritten_bytes: Sampled,
    certificate_seconds: Sampled,
}

/// The counters of one listener, resolved once. Clones count into the same metrics.
#[derive(Clone)]
pub struct ConnectionCounters {
    /// Connections open now.
    pub open: IntGauge,
    /// Connections accepted from the socket.
    pub accepted: IntCounter,
    /// Connections dropped because a polite end took too long.
    pub cut: IntCounter,
    rejected: Vec<IntCounter>,
    handshake: Vec<IntCounter>,
    malformed: Vec<IntCounter>,
}

impl ConnectionCounters {
    /// Counts a pause or a failure of accepting.
    pub fn rejected(&self, reason: RejectReason) {
        self.rejected[reason.index()].inc();
    }

    /// Counts a failed TLS handshake.
    pub fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshake[reason.index()].inc();
    }

    /// Counts bytes that were no good HTTP.
    pub fn malformed(&self, reason: MalformedReason) {
        self.malformed[reason.index()].inc();
    }

    /// How often accepting has paused or failed for `reason`.
    pub fn rejected_total(&self, reason: RejectReason) -> u64 {
        self.rejected[reason.index()].get()
    }

    /// How many handshakes have failed for `reason`.
    pub fn handshake_failed_total(&self, reason: HandshakeFailure) -> u64 {
        self.handshake[reason.index()].get()
    }

    /// How often `reason` was counted, over all listeners.
    pub fn malformed_total(&self, reason: MalformedReason) -> u64 {
        self.malformed[reason.index()].get()
    }
}

/// Where the values come from that other parts of the server own. Each takes the place of the one given before.
impl Metrics {
    /// Requests shed by admission since start.
    pub fn sample_admission_shed(&self, source: Source) {
        self.sampled.shed.set(&[], source);
    }

    /// Levels whose requests are being counted against a quota.
    pub fn sample_quota_buckets(&self, source: Source) {
        self.sampled.quota_buckets.set(&[], source);
    }

    /// Times that a level's quota was not looked at since start, for lack of room.
    pub fn sample_quota_uncounted(&self, source: Source) {
        self.sampled.quota_uncounted.set(&[], source);
    }

    /// Requests admitted and not yet answered.
    pub fn sample_admission_in_progress(&self, source: Source) {
        self.sampled.in_progress.set(&[], source);
    }

    /// Verified-token cache lookups since start, by result.
    pub fn sample_token_cache(&self, result: CacheResult, source: Source) {
        self.sampled.token_cache.set(&[result.text()], source);
    }

    /// Age of the token key set, in seconds.
    pub fn sample_key_set_age_seconds(&self, source: Source) {
        self.sampled.key_set_age.set(&[], source);
    }

    /// Changes of the token key set since start.
    pub fn sample_key_set_epoch(&self, source: Source) {
        self.sampled.key_set_epoch.set(&[], source);
    }

    /// Failed fetches of the token key set since start.
    pub fn sample_key_set_fetch_failures(&self, source: Source) {
        self.sampled.key_set_failures.set(&[], source);
    }

    /// Key versions in one lifecycle state.
    pub fn sample_key_versions(&self, state: VersionState, source: Source) {
        self.sampled.key_versions.set(&[state.text()], source);
    }

    /// Age of this machine's view of a shard, in seconds. Shards are made by operators, not by callers.
    pub fn sample_directory_age_seconds(&self, shard: u32, source: Source) {
        self.sampled.directory_age.set(&[&shard.to_string()], source);
    }

    /// The last index that a group applied.
    pub fn sample_raft_applied_index(&self, group: u32, source: Source) {
        self.sampled.raft_applied.set(&[&group.to_string()], source);
    }

    /// How many members of a group no officer announced.
    pub fn sample_raft_unannounced(&self, group: u32, source: Source) {
        self.sampled.raft_unannounced.set(&[&group.to_string()], source);
    }

    /// 1 if a group has halted, else 0.
    pub fn sample_raft_halted(&self, group: u32, source: Source) {
        self.sampled.raft_halted.set(&[&group.to_string()], source);
    }

    /// Audit records taken since start.
    pub fn sample_audit_records(&self, source: Source) {
        self.sampled.audit_records.set(&[], source);
    }

    /// Decisions whose audit record was lost since start.
    pub fn sample_audit_lost(&self, source: Source) {
        self.sampled.audit_lost.set(&[], source);
    }

    /// Failed writes or syncs of the audit file since start.
    pub fn sample_audit_errors(&self, step: AuditStep, source: Source) {
        self.sampled.audit_errors.set(&[step.text()], source);
    }

    /// How many deny entries are known.
    pub fn sample_deny_entries(&self, source: Source) {
        self.sampled.deny_entries.set(&[], source);
    }

    /// Free bytes where the data lies.
    pub fn sample_disk_free_bytes(&self, source: Source) {
        self.sampled.disk_free_bytes.set(&[], source);
    }

    /// 1 while a group refuses changes for lack of room, else 0.
    pub fn sample_disk_short(&self, group: u32, source: Source) {
        self.sampled.disk_short.set(&[&group.to_string()], source);
    }

    /// 1 if a shard serves here, else 0.
    pub fn sample_shard_serves(&self, shard: u32, source: Source) {
        self.sampled.shard_serves.set(&[&shard.to_string()], source);
    }

    /// Panics of one shard's tasks since start.
    pub fn sample_shard_panics(&self, shard: u32, source: Source) {
        self.sampled.shard_panics.set(&[&shard.to_string()], source);
    }

    /// Bytes of audit records that wait for the file.
    pub fn sample_audit_unwritten_bytes(&self, source: Source) {
        self.sampled.audit_unwritten_bytes.set(&[], source);
    }

    /// Seconds until a listener's certificate expires; negative when it has.
    pub fn sample_certificate_seconds(&self, listener: ListenerLabel, source: Source) {
        self.sampled.certificate_seconds.set(&[listener.text()], source);
    }
}

impl Metrics {
    /// Registers everything. `started` is when the process started, `version` the release.
    pub fn new(started: Timestamp, version: &str) -> Self {
        let registry = Registry::new();
        let malformed = resolve(&counters(&registry, &MALFORMED), &texts(MalformedReason::ALL, MalformedReason::text));
        let over_quota = resolve(&counters(&registry, &OVER_QUOTA), &texts(QuotaLevel::ALL, QuotaLevel::text));
        constants(&registry, started, version);
        Self {
            requests: requests(&registry),
            listeners: listeners(&registry, &malformed),
            reloads: reloads(&registry),
            probe: probe(&registry),
            sampled: sampled_families(&registry),
            malformed,
            over_quota,
            registry,
        }
    }

    /// Counts the beginning of a call.
    pub fn request_started(&self, operation: OperationLabel) {
        self.requests[operation.index()].started.inc();
    }

    /// Counts the answer to a call, and how long it took.
    pub fn request_finished(&self, operation: OperationLabel, code: CodeLabel, took: Duration) {
        let handles = &self.requests[operation.index()];
        handles.finished[code.index()].inc();
        handles.duration.observe(took.as_secs_f64());
    }

    /// Counts a malformed request.
    pub fn malformed(&self, reason: MalformedReason) {
        self.malformed[reason.index()].inc();
    }

    /// Counts a request that a quota refused.
    pub fn over_quota(&self, level: QuotaLevel) {
        self.over_quota[level.index()].inc();
    }

    /// The counters of one listener.
    pub fn connections(&self, listener: ListenerLabel) -> ConnectionCounters {
        self.listeners[listener.index()].clone()
    }

    /// Counts what became of changed certificate files.
    pub fn certificate_reload(&self, listener: ListenerLabel, result: ReloadResult) {
        self.reloads[listener.index()][result.index()].inc();
    }

    /// Records what became of one shard's canary in a round of the health probe.
    pub fn shard_probed(&self, shard: u32, result: ProbeResult) {
        let has_passed = i64::from(result == ProbeResult::Passed);
        self.probe.shards.with_label_values(&[&shard.to_string()]).set(has_passed);
    }

    /// Records a round of the health probe.
    pub fn probe_finished(&self, result: ProbeResult, took: Duration) {
        self.probe.passing.set(i64::from(result == ProbeResult::Passed));
        self.probe.rounds[result.index()].inc();
        self.probe.duration.observe(took.as_secs_f64());
    }

    /// Everything, in the text format that Prometheus reads.
    pub fn render(&self) -> String {
        encode(&self.registry)
    }
}

fn encode(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .expect("every gathered family has a name and at least one sample")
}

fn requests(registry: &Registry) -> Vec<RequestHandles> {
    let started = counters(registry, &REQUESTS_STARTED);
    let finished = counters(registry, &REQUESTS_FINISHED);
    let duration = HistogramVec::new(histogram_opts(&REQUEST_SECONDS), REQUEST_SECONDS.labels);
    let duration = register(registry, duration.expect(CONSTANT));
    let handles = |operation: &OperationLabel| RequestHandles {
        started: started.with_label_values(&[operation.text()]),
        finished: CodeLabel::ALL
            .iter()
            .map(|code| finished.with_label_values(&[operation.text(), code.text()]))
            .collect(),
        duration: duration.with_label_values(&[operation.text()]),
    };
    OperationLabel::ALL.iter().map(handles).collect()
}

fn listeners(registry: &Registry, malformed: &[IntCounter]) -> Vec<ConnectionCounters> {
    let open = IntGaugeVec::new(opts(&CONNECTIONS_OPEN), CONNECTIONS_OPEN.labels).expect(CONSTANT);
    let open = register(registry, open);
    let accepted = counters(registry, &CONNECTIONS_ACCEPTED);
    let cut = counters(registry, &CONNECTIONS_CUT);
    let rejected = counters(registry, &CONNECTIONS_REJECTED);
    let handshake = counters(registry, &HANDSHAKE_FAILURES);
    let by_reason = |family: &IntCounterVec, listener: &str, reasons: Vec<&str>| -> Vec<IntCounter> {
        reasons.into_iter().map(|reason| family.with_label_values(&[listener, reason])).collect()
    };
    let handles = |listener: &ListenerLabel| ConnectionCounters {
        open: open.with_label_values(&[listener.text()]),
        accepted: accepted.with_label_values(&[listener.text()]),
        cut: cut.with_label_values(&[listener.text()]),
        rejected: by_reason(&rejected, listener.text(), texts(RejectReason::ALL, RejectReason::text)),
        handshake: by_reason(&handshake, listener.text(), texts(HandshakeFailure::ALL, HandshakeFailure::text)),
        malformed: malformed.to_vec(),
    };
    ListenerLabel::ALL.iter().map(handles).collect()
}

fn reloads(registry: &Registry) -> Vec<Vec<IntCounter>> {
    let family = counters(registry, &CERTIFICATE_RELOADS);
    let of = |listener: &ListenerLabel| {
        let results = texts(ReloadResult::ALL, ReloadResult::text).into_iter();
        results.map(|result| family.with_label_values(&[listener.text(), result])).collect()
    };
    ListenerLabel::ALL.iter().map(of).collect()
}

fn probe(registry: &Registry) -> ProbeHandles {
    let rounds = counters(registry, &PROBE_ROUNDS);
    ProbeHandles {
        passing: register(registry, IntGauge::with_opts(opts(&PROBE_PASSING)).expect(CONSTANT)),
        shards: register(
            registry,
            IntGaugeVec::new(opts(&PROBE_SHARD_PASSING), PROBE_SHARD_PASSING.labels).expect(CONSTANT),
        ),
        rounds: resolve(&rounds, &texts(ProbeResult::ALL, ProbeResult::text)),
        duration: register(registry, Histogram::with_opts(histogram_opts(&PROBE_SECONDS)).expect(CONSTANT)),
    }
}

fn sampled_families(registry: &Registry) -> SampledFamilies {
    let sampled = |family: &Family, kind: MetricType| {
        register(registry, Sampled::new(family.name, family.help, kind, family.labels))
    };
    let counter = |family: &Family| sampled(family, MetricType::COUNTER);
    let gauge = |family: &Family| sampled(family, MetricType::GAUGE);
    SampledFamilies {
        shed: counter(&SHED),
        quota_buckets: gauge(&QUOTA_BUCKETS),
        quota_uncounted: counter(&QUOTA_UNCOUNTED),
        in_progress: gauge(&IN_PROGRESS),
        token_cache: counter(&TOKEN_CACHE),
        key_set_age: gauge(&KEY_SET_AGE),
        key_set_epoch: gauge(&KEY_SET_EPOCH),
        key_set_failures: counter(&KEY_SET_FAILURES),
        key_versions: gauge(&KEY_VERSIONS),
        directory_age: gauge(&DIRECTORY_AGE),
        raft_applied: gauge(&RAFT_APPLIED),
        raft_halted: gauge(&RAFT_HALTED),
        raft_unannounced: gauge(&RAFT_UNANNOUNCED),
        audit_lost: counter(&AUDIT_LOST),
        audit_errors: counter(&AUDIT_ERRORS),
        deny_entries: gauge(&DENY_ENTRIES),
        disk_free_bytes: gauge(&DISK_FREE_BYTES),
        disk_short: gauge(&DISK_SHORT),
        shard_serves: gauge(&SHARD_SERVES),
        shard_panics: counter(&SHARD_PANICS),
        audit_records: counter(&AUDIT_RECORDS),
        audit_unwritten_bytes: gauge(&AUDIT_UNWRITTEN_BYTES),
        certificate_seconds: gauge(&CERTIFICATE_SECONDS),
    }
}

fn constants(registry: &Registry, started: Timestamp, version: &str) {
    let start_time = register(registry, IntGauge::with_opts(opts(&START_TIME)).expect(CONSTANT));
    start_time.set(i64::try_from(started.seconds()).expect("seconds since 1970 fit 63 bits"));
    let build = register(registry, IntGaugeVec::new(opts(&BUILD), BUILD.labels).expect(CONSTANT));
    build.with_label_values(&[version]).set(1);
}

/// Why making a metric from the table above cannot fail.
const CONSTANT: &str = "metric names and labels are constants that a test renders";

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn histogram_opts(family: &Family) -> HistogramOpts {
    HistogramOpts::new(family.name, family.help).buckets(LATENCY_SECONDS.to_vec())
}

fn counters(registry: &Registry, family: &Family) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(family), family.labels).expect(CONSTANT))
}

fn resolve(family: &IntCounterVec, values: &[&str]) -> Vec<IntCounter> {
    values.iter().map(|value| family.with_label_values(&[*value])).collect()
}

fn texts<L: Copy>(labels: &[L], text: impl Fn(L) -> &'static str) -> Vec<&'static str> {
    labels.iter().map(|label| text(*label)).collect()
}

fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> M {
    registry.register(Box::new(metric.clone())).expect("each family is registered once, by Metrics::new");
    metric
}

#[cfg(test)]
mod tests;
