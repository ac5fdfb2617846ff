//! Everything for which `ekm dev` does not start, or cannot go on. Decides nothing.

use std::path::PathBuf;

use replication::ids::{GroupId, SignerId};
use replication::machine::signing::SigningKeyError;
use replication::raft::group::Failure;
use replication::raft::host::HostError;

use crate::admin::client::ClientError;
use crate::authn::mint::IssuerKeyError;
use crate::crypto::ArenaError;
use crate::edge::listener::BindError;
use crate::edge::tls::TlsError;
use crate::frontend::FrontendError;
use crate::health::probe::ProbeError;
use crate::keystore::{FoundError, RootError};
use crate::settings::mistake::SettingsError;
use crate::tasks::TaskPanicked;

use super::announce::AnnounceError;
use super::demo::DemoError;
use super::folder::FolderError;
use super::pki::PkiError;
use super::token::TokenError;
use crate::process::ProcessError;
use crate::process::files::FileError;

/// Why `ekm dev` does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its error says, and no more")]
pub enum DevError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Arena(#[from] ArenaError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error("{} is gone, and this data knows the replica by it alone; put it back from a copy", .0.display())]
    ReplicaKeyGone(PathBuf),
    #[error("{} is not the key that this data knows {person} by; put it back, or move the data directory away to begin anew", key.display())]
    PersonKey { key: PathBuf, person: SignerId },
    #[error("{} is not the replica's signing key; put it back from a copy", path.display())]
    SigningKey { path: PathBuf, source: SigningKeyError },
    #[error("{} does not belong to this data", path.display())]
    Foreign { path: PathBuf, source: FoundError },
    #[error("the deny entries in {} cannot be read: there should be a folder that the server may read, or nothing; what it held comes from other key stores, or has to be asked for again", folder.display())]
    DenyEntries { folder: PathBuf, source: std::io::Error },
    #[error("no replica signing key can be made")]
    NoSigningKey,
    #[error("the probe's key cannot be made")]
    ProbeKey(#[from] IssuerKeyError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Found(#[from] FoundError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("it did not serve within a minute: {0}")]
    NotReady(String),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    #[error(transparent)]
    Panicked(#[from] TaskPanicked),
    #[error("group {0} cannot go on")]
    Group(GroupId, #[source] Failure),
}
