//! What a process is told at its start, as types. Immutable from then on: what changes at run time is data, and goes
//! through the log.

pub mod file;
pub mod form;
pub mod mistake;
pub mod parts;
pub mod reader;
pub mod writer;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use crate::authn::KeySource;
use crate::edge::limits::ConnectionLimits;
use crate::edge::service::DataSettings;
use crate::edge::tls::TlsFiles;
use crate::policy::UnknownReasons;

/// What a frontend is told.
#[derive(Debug, Clone)]
pub struct FrontendSettings {
    /// The machine's name, as audit records and answers spell it.
    pub name: String,
    /// Where it listens for Google.
    pub data_address: SocketAddr,
    /// What it presents.
    pub tls: TlsFiles,
    /// Where the keys come from that callers' tokens are verified with.
    pub key_set: KeySource,
    /// Where decisions are recorded.
    pub audit_file: PathBuf,
    /// Bounds of one listener's connections.
    pub limits: ConnectionLimits,
    /// Requests in progress at once.
    pub in_progress_max: NonZeroUsize,
    /// Key versions whose material is kept unsealed.
    pub unsealed_max: NonZeroU32,
    /// The dialect's own settings.
    pub dialect: DataSettings,
    /// What a stated reason that this release does not know does under a list of reasons.
    pub unknown_reasons: UnknownReasons,
}
