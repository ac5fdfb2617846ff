//! Every bound on what a stranger's connection can take from us, with its default and the range a setting may choose
//! from. Nothing here reads settings.

use std::ops::RangeInclusive;
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

/// A limit outside its range: which, and what it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A number of things or bytes.
    #[error("{limit} is {value}; it must be from {} to {}", .allowed.start(), .allowed.end())]
    Count {
        /// The field of [`ConnectionLimits`].
        limit: &'static str,
        /// What it was set to.
        value: usize,
        /// What it may be.
        allowed: RangeInclusive<usize>,
    },
    /// A span of time.
    #[error("{limit} is {value:?}; it must be from {:?} to {:?}", .allowed.start(), .allowed.end())]
    Time {
        /// The field of [`ConnectionLimits`].
        limit: &'static str,
        /// What it was set to.
        value: Duration,
        /// What it may be.
        allowed: RangeInclusive<Duration>,
    },
}

/// A limit's name, how to read it, and what it may be.
type Range<T> = (&'static str, fn(&ConnectionLimits) -> T, RangeInclusive<T>);

/// The range of every number.
const COUNTS: [Range<usize>; 5] = [
    ("connections_max", |limits| limits.connections_max, 1..=1_000_000),
    ("header_bytes_max", |limits| limits.header_bytes_max as usize, 8 * 1024..=128 * 1024),
    ("uri_bytes_max", |limits| limits.uri_bytes_max, 256..=32 * 1024),
    ("streams_max", |limits| limits.streams_max as usize, 1..=10_000),
    ("pending_resets_max", |limits| limits.pending_resets_max, 1..=1_000),
];

/// The range of every time.
const TIMES: [Range<Duration>; 7] = [
    ("handshake_timeout", |limits| limits.handshake_timeout, millis(1)..=secs(60)),
    ("preface_timeout", |limits| limits.preface_timeout, millis(1)..=secs(60)),
    ("header_timeout", |limits| limits.header_timeout, millis(1)..=secs(600)),
    ("ping_interval", |limits| limits.ping_interval, secs(1)..=secs(600)),
    ("ping_timeout", |limits| limits.ping_timeout, secs(1)..=secs(60)),
    ("age_max", |limits| limits.age_max, secs(1)..=secs(86_400)),
    ("drain_max", |limits| limits.drain_max, millis(1)..=secs(600)),
];

impl ConnectionLimits {
    /// Refuses the first limit that is outside its range.
    ///
    /// # Errors
    /// [`LimitError`] names the limit, its value and the range.
    pub fn check(&self) -> Result<(), LimitError> {
        for (limit, value, allowed) in COUNTS {
            let value = value(self);
            if !allowed.contains(&value) {
                return Err(LimitError::Count { limit, value, allowed });
            }
        }
        for (limit, value, allowed) in TIMES {
            let value = value(self);
            if !allowed.contains(&value) {
                return Err(LimitError::Time { limit, value, allowed });
            }
        }
        Ok(())
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert_eq!(ConnectionLimits::default().check(), Ok(()));
    }

    #[test]
    fn a_limit_outside_its_range_is_named_with_its_range() {
        let none = ConnectionLimits { connections_max: 0, ..ConnectionLimits::default() };
        let refused = none.check().expect_err("no connection at all is refused");
        assert_eq!(refused.to_string(), "connections_max is 0; it must be from 1 to 1000000");
        let never = ConnectionLimits { drain_max: Duration::from_hours(1), ..ConnectionLimits::default() };
        let refused = never.check().expect_err("an hour of draining is refused");
        assert_eq!(refused.to_string(), "drain_max is 3600s; it must be from 1ms to 600s");
    }
}
