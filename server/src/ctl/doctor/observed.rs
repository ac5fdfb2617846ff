//! What a look around saw, without a judgement.

use std::path::PathBuf;

use replication::clock::Timestamp;

use super::metrics::Metrics;
use crate::admin::wire::{FailureBody, Status};

/// Everything that was seen.
pub(super) struct Observed {
    /// By this machine's clock.
    pub(super) now: Timestamp,
    /// With `--dev`.
    pub(super) dev: Option<DevFolder>,
    pub(super) identity: Identity,
    pub(super) admin_url: Option<String>,
    pub(super) admin: Admin,
    /// By the server's clock, when `now` was read.
    pub(super) server_time: Option<Timestamp>,
    pub(super) health: Health,
}

/// The data directory of an `ekm dev`.
pub(super) struct DevFolder {
    pub(super) folder: PathBuf,
    pub(super) process: Process,
    /// Bytes that are free where it lies.
    pub(super) free_bytes: Option<u64>,
}

/// The process that `dev.json` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Process {
    /// There is no usable `dev.json`.
    Unknown {
        why: String,
    },
    Gone {
        pid: u32,
    },
    Alive {
        pid: u32,
    },
}

/// The own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    NotRead { why: String },
    Read { name: String, not_before: Timestamp, not_after: Timestamp },
}

/// How far a call to the admin API came.
pub(super) enum Admin {
    NotTried { why: String },
    NoName { host: String },
    Refused,
    TimedOut,
    Tls(TlsTrouble),
    Broken { why: String },
    NotOurs { status: u16 },
    Said(FailureBody),
    Answered(Box<Status>),
}

/// What was wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsTrouble {
    /// The server's certificate descends from none of the given ones.
    WrongAuthority,
    ServerExpired,
    ServerNotYetValid,
    WrongName,
    /// The server did not take the own certificate.
    OursRefused,
    OursExpired,
    /// What answers is no TLS.
    NotTls,
    Other,
}

/// What the health listener says.
pub(super) enum Health {
    NotTried,
    Silent { url: String },
    Answered(HealthAnswer),
}

/// The three answers of the health listener.
pub(super) struct HealthAnswer {
    pub(super) is_live: bool,
    /// Why it is not ready; empty if it is. `None` if that was not answered.
    pub(super) unready_reasons: Option<Vec<String>>,
    pub(super) metrics: Metrics,
}
