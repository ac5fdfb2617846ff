//! Every bound on what a stranger's connection can take from us, with its default and the range a setting may choose
//! from. Nothing here reads settings.

use std::time::Duration;

/// The bounds of one listener's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once; at the limit accepting stops, and newcomers wait in the kernel's backlog. Default 4096.
    pub connections_max: usize,
    /// From the accepted socket to the end of the TLS handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// From the handshake to the end of the HTTP/2 preface, which hyper would await for ever. Default 5 s.
    pub preface_timeout: Duration,
    /// From the first wait for an HTTP/1 head to its end, which also bounds how long a connection may idle. Default 30 s.
    pub header_timeout: Duration,
    /// Request line and headers together, HTTP/1 and HTTP/2; more is answered 431. Default 32 KiB: a token of 8 KiB and
    /// room for what balancers add.
    pub header_bytes_max: u32,
    /// Path and query; more is answered 414. Default 8 KiB.
    pub uri_bytes_max: usize,
    /// Requests in progress on one HTTP/2 connection. Default 256.
    pub streams_max: u32,
    /// HTTP/2 streams that were reset before we took them up; more closes the connection (CVE-2023-44487). Default 20.
    pub pending_resets_max: usize,
    /// Silence on an HTTP/2 connection before we ping. Default 20 s.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered. Default 10 s.
    pub ping_timeout: Duration,
    /// Age at which a connection is asked to end, so that balancers spread anew; up to a tenth is added, different for
    /// neighbouring connections, so that they do not all return at once. Default 15 min.
    pub age_max: Duration,
    /// How long a connection may take to end politely before it is dropped. Default 10 s.
    pub drain_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            handshake_timeout: Duration::from_secs(5),
            preface_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(30),
            header_bytes_max: 32 * 1024,
            uri_bytes_max: 8 * 1024,
            streams_max: 256,
            pending_resets_max: 20,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            age_max: Duration::from_mins(15),
            drain_max: Duration::from_secs(10),
        }
    }
}

/// What a setting may choose from, one range a limit.
pub mod range {
    use std::ops::RangeInclusive;
    use std::time::Duration;

    /// Of [`connections_max`](super::ConnectionLimits::connections_max).
    pub const CONNECTIONS_MAX: RangeInclusive<usize> = 1..=1_000_000;
    /// Of [`handshake_timeout`](super::ConnectionLimits::handshake_timeout).
    pub const HANDSHAKE_TIMEOUT: RangeInclusive<Duration> = millis(1)..=secs(60);
    /// Of [`preface_timeout`](super::ConnectionLimits::preface_timeout).
    pub const PREFACE_TIMEOUT: RangeInclusive<Duration> = millis(1)..=secs(60);
    /// Of [`header_timeout`](super::ConnectionLimits::header_timeout).
    pub const HEADER_TIMEOUT: RangeInclusive<Duration> = millis(1)..=secs(600);
    /// Of [`header_bytes_max`](super::ConnectionLimits::header_bytes_max).
    pub const HEADER_BYTES_MAX: RangeInclusive<u32> = 8 * 1024..=128 * 1024;
    /// Of [`uri_bytes_max`](super::ConnectionLimits::uri_bytes_max).
    pub const URI_BYTES_MAX: RangeInclusive<usize> = 256..=32 * 1024;
    /// Of [`streams_max`](super::ConnectionLimits::streams_max).
    pub const STREAMS_MAX: RangeInclusive<u32> = 1..=10_000;
    /// Of [`pending_resets_max`](super::ConnectionLimits::pending_resets_max).
    pub const PENDING_RESETS_MAX: RangeInclusive<usize> = 1..=1_000;
    /// Of [`ping_interval`](super::ConnectionLimits::ping_interval).
    pub const PING_INTERVAL: RangeInclusive<Duration> = secs(1)..=secs(600);
    /// Of [`ping_timeout`](super::ConnectionLimits::ping_timeout).
    pub const PING_TIMEOUT: RangeInclusive<Duration> = secs(1)..=secs(60);
    /// Of [`age_max`](super::ConnectionLimits::age_max).
    pub const AGE_MAX: RangeInclusive<Duration> = secs(1)..=secs(86_400);
    /// Of [`drain_max`](super::ConnectionLimits::drain_max).
    pub const DRAIN_MAX: RangeInclusive<Duration> = millis(1)..=secs(600);

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
}
