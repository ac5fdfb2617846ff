//! What a process is told at its start, as types. Immutable from then on: what changes at run time is data, and goes
//! through the log.

pub mod data_plane;
pub mod file;
pub mod form;
pub mod frontend;
pub mod key_store;
pub mod kind;
pub mod listeners;
pub mod mistake;
pub mod names;
pub mod parts;
pub mod reader;
pub mod writer;

#[cfg(test)]
mod cluster_tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::authn::KeySource;
use crate::edge::tls::TlsFiles;

use data_plane::DataPlaneSettings;

/// What answers Google is told, in whatever process it runs.
#[derive(Debug, Clone)]
pub struct ServingSettings {
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
    /// How callers are answered.
    pub data: DataPlaneSettings,
}
