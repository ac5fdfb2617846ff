//! The fields of what more than one kind of file holds. States no default and no range: those stand with the types.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replication::raft::group::Timers;

use crate::authn::{KeySetUrl, KeySource};
use crate::edge::limits::{ConnectionLimits, range};
use crate::edge::path::PATH_BYTES_MAX;

use super::form::{Form, Text, spell_time};
use super::mistake::Mistake;
use super::reader::shown;

/// What the tables of limits are for.
pub const LIMITS: &str = "What a stranger's connection can take from this listener.";

/// The limits of one listener.
pub fn connection_limits(limits: &mut ConnectionLimits, form: &mut impl Form) {
    let ConnectionLimits {
        connections_max,
        handshake_timeout,
        preface_timeout,
        header_timeout,
        header_bytes_max,
        uri_bytes_max,
        streams_max,
        pending_resets_max,
        ping_interval,
        ping_timeout,
        age_max,
        drain_max,
    } = limits;
    form.count(
        "connections_max",
        "Connections open at once; newcomers wait in the kernel's backlog.",
        connections_max,
        range::CONNECTIONS_MAX,
    );
    form.time(
        "handshake_timeout",
        "From the accepted socket to the end of the TLS handshake.",
        handshake_timeout,
        range::HANDSHAKE_TIMEOUT,
    );
    form.time(
        "preface_timeout",
        "From the handshake to the end of the HTTP/2 preface.",
        preface_timeout,
        range::PREFACE_TIMEOUT,
    );
    form.time(
        "header_timeout",
        "From the first wait for an HTTP/1 head to its end; an idle connection ends by it too.",
        header_timeout,
        range::HEADER_TIMEOUT,
    );
    form.count(
        "header_bytes_max",
        "Request line and headers together, in bytes; more is answered 431.",
        header_bytes_max,
        range::HEADER_BYTES_MAX,
    );
    form.count("uri_bytes_max", "Path and query, in bytes; more is answered 414.", uri_bytes_max, range::URI_BYTES_MAX);
    form.count("streams_max", "Requests in progress on one HTTP/2 connection.", streams_max, range::STREAMS_MAX);
    form.count(
        "pending_resets_max",
        "HTTP/2 streams reset before they were taken up; more closes the connection.",
        pending_resets_max,
        range::PENDING_RESETS_MAX,
    );
    form.time("ping_interval", "Silence on an HTTP/2 connection before a ping.", ping_interval, range::PING_INTERVAL);
    form.time("ping_timeout", "How long a ping may stay unanswered.", ping_timeout, range::PING_TIMEOUT);
    form.time(
        "age_max",
        "Age at which a connection is asked to end, so that balancers spread anew; up to a tenth is added.",
        age_max,
        range::AGE_MAX,
    );
    form.time("drain_max", "How long a connection may take to end politely.", drain_max, range::DRAIN_MAX);
}

/// What the replicas' times may be: a start gives an election half a minute.
const TIMER: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);

/// The times of the key store's groups.
fn timers(timers: &mut Timers, form: &mut impl Form) {
    let Timers { heartbeat, election_min, election_max } = timers;
    form.time("heartbeat", "Between two heartbeats of a leader.", heartbeat, TIMER);
    form.time("election_min", "Shortest silence after which a replica stands for election.", election_min, TIMER);
    form.time("election_max", "Longest such silence.", election_max, TIMER);
    if election_min <= heartbeat {
        form.object("election_min", not_longer(*election_min, "heartbeat", *heartbeat));
    }
    if election_max <= election_min {
        form.object("election_max", not_longer(*election_max, "election_min", *election_min));
    }
}

fn not_longer(value: Duration, other: &'static str, than: Duration) -> Mistake {
    Mistake::NotLonger { value: spell_time(value), other, than: spell_time(than) }
}

/// Where the key set comes from; without a word in the file it stays what it is, and must be something.
pub fn key_set(source: &mut Option<KeySource>, form: &mut impl Form) {
    let (mut file, mut url, mut spool) = match source.clone() {
        None => (None, None, None),
        Some(KeySource::File(file)) => (Some(file), None, None),
        Some(KeySource::Url { url, spool }) => (None, Some(url), spool),
    };
    form.optional("file", "A file that somebody else keeps up to date.", &mut file, "issuer/jwks.json");
    form.optional(
        "url",
        "Instead of a file: the issuer's own address, https unless its host is this machine.",
        &mut url,
        "https://issuer.example/jwks.json",
    );
    form.optional(
        "spool",
        "Where the last good set of that address is kept over restarts; its folder must exist, and its name ends in .spool.",
        &mut spool,
        "issuer/jwks.spool",
    );
    if let Some(spool) = &spool {
        ends_in(spool, "spool", ".spool", form);
    }
    match (file, url, spool) {
        (Some(_), Some(_), _) => form.object("url", Mistake::Beside { other: "file" }),
        (_, None, Some(_)) => form.object("spool", Mistake::Needs { other: "url" }),
        (Some(file), None, None) => *source = Some(KeySource::File(file)),
        (None, Some(url), spool) => *source = Some(KeySource::Url { url, spool }),
        // where one is given and wrong, that was said
        (None, None, None) if source.is_none() && !form.gives("file") && !form.gives("url") => {
            form.object("file", Mistake::MissingBoth { other: "url" });
        }
        (None, None, None) => {}
    }
}

/// How often certificates are looked at: a renewal is known days before it is due.
const LOOK_EVERY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_hours(1);

/// The table of certificates.
pub fn certificates(look_every: &mut Duration, form: &mut impl Form) {
    form.table("certificates", "The certificates and keys that the listeners present.", |form| {
        form.time(
            "look_every",
            "How often their files are looked at for a change, which is taken once it stands still; SIGHUP looks at once.",
            look_every,
            LOOK_EVERY,
        );
    });
}

/// Less than a commit and a snapshot of small data may take, and more than any disk has, make no sense.
const DISK_RESERVE_BYTES: RangeInclusive<u64> = 16 * 1024 * 1024..=1024 * 1024 * 1024 * 1024;

/// The table of the groups.
pub fn key_store(disk_reserve_bytes: &mut u64, times: &mut Timers, form: &mut impl Form) {
    form.table("key_store", "The groups that hold the keys.", |form| {
        form.count(
            "disk_reserve_bytes",
            "Bytes that changes leave free on the file system of the data, an eighth of it at most.",
            disk_reserve_bytes,
            DISK_RESERVE_BYTES,
        );
        form.table("timers", "How long the replicas of a group wait for each other.", |form| timers(times, form));
    });
}

/// Objects to a file that is written to and could be any other. `name` is the field.
pub fn ends_in(path: &Path, name: &'static str, ending: &'static str, form: &mut impl Form) {
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
    if !file.ends_with(ending) {
        form.object(name, Mistake::OtherEnding { ending });
    }
}

impl Text for KeySetUrl {
    fn parse(text: &str) -> Result<Self, Mistake> {
        Ok(text.parse()?)
    }

    fn spell(&self) -> String {
        self.to_string()
    }
}

/// A path of a URL on which something answers, such as `/v0/info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(String);

impl Text for UrlPath {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%".contains(&byte);
        if text.starts_with('/') && text.len() <= PATH_BYTES_MAX && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Mistake::NotAUrlPath { value: shown(text), bytes_max: PATH_BYTES_MAX })
        }
    }

    fn spell(&self) -> String {
        self.0.clone()
    }
}

impl std::str::FromStr for UrlPath {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        Self::parse(text)
    }
}

impl From<UrlPath> for String {
    fn from(path: UrlPath) -> Self {
        path.0
    }
}

/// A relative path counts from `root`.
pub fn below(root: &Path, source: &KeySource) -> KeySource {
    match source {
        KeySource::File(file) => KeySource::File(root.join(file)),
        KeySource::Url { url, spool } => {
            KeySource::Url { url: url.clone(), spool: spool.as_ref().map(|spool: &PathBuf| root.join(spool)) }
        }
    }
}
